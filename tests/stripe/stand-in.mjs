/**
 * The stand-in for Stripe with a folder of its own, and a receiver of what it delivers.
 *
 * AIKIT_BIN_DIR is where `fake-stripe` was built.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import Stripe from 'stripe';

export const SECRETS = { account: 'whsec_of_the_account', connect: 'whsec_of_connected_accounts' };

/** Starts it at an instant of its clock. `delivered` grows by `{ door, body, signature }`. */
export async function startStandIn(now) {
  const folder = mkdtempSync(join(tmpdir(), 'aikit-stripe-'));
  const delivered = [];
  const inbox = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    delivered.push({ door: request.url.slice(1), body: Buffer.concat(parts), signature: request.headers['stripe-signature'] });
    response.end();
  });
  await once(inbox.listen(0, '127.0.0.1'), 'listening');
  const program = join(process.env.AIKIT_BIN_DIR, 'fake-stripe');
  const child = spawn(program, ['--port', '0', '--data', join(folder, 'state.db'), '--now', now], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(child.stdout), 'line');
  const base = new URL(/http:\S+/.exec(line)[0]);

  const control = async (path, body) => {
    const response = await fetch(new URL(path, base), { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    assert.equal(response.status, 200, await response.text());
  };
  const client = (key) => new Stripe(key, { host: base.hostname, port: Number(base.port), protocol: 'http', maxNetworkRetries: 0, telemetry: false });
  const stripe = client('sk_test_client');
  const door = (name) => ({ url: `http://127.0.0.1:${inbox.address().port}/${name}`, secret: SECRETS[name] });
  await control('/_control/webhooks', { account: door('account'), connect: door('connect') });

  return {
    base, folder, delivered, control, client, stripe,

    /** An account that can be paid. */
    async agency(email) {
      const account = await stripe.accounts.create({ type: 'express', country: 'US', email, capabilities: { transfers: { requested: true } } });
      await control(`/_control/accounts/${account.id}/onboard`, {});
      return stripe.accounts.retrieve(account.id);
    },

    /** The event in what was delivered, if its signature is good. The stand-in signs at the instant of its own clock. */
    opened({ door: of, body, signature }) {
      return stripe.webhooks.constructEvent(body, signature, SECRETS[of], 300, undefined, Number(/t=(\d+)/.exec(signature)[1]));
    },

    stop() {
      child.kill();
      inbox.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until something is there, for at most five seconds. */
export async function until(found) {
  for (let tries = 0; tries < 250; tries += 1) {
    const it = found();
    if (it) return it;
    await new Promise((done) => setTimeout(done, 20));
  }
  return undefined;
}
