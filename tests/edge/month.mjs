// One month of many agencies, drafted by the trigger in workerd with D1 and by the embedded server on the same database:
// both must come to the same run. Prints how long each took.
//
// node month.mjs FOLDER FACTS DRAFT_SLICES: a journal of so many facts with an agency for ten, in slices of 400 agencies,
// so many of them at each trigger.
import { spawn, execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [folder, facts, slices] = process.argv.slice(2);
const { AIKIT_SERVER: server, AIKIT_BENCH: bench } = process.env;
if (!folder || !facts || !slices || !server || !bench) {
  console.error('usage: AIKIT_SERVER=PROGRAM AIKIT_BENCH=PROGRAM node month.mjs FOLDER FACTS DRAFT_SLICES');
  process.exit(2);
}
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const database = join(folder, 'made.db');
execFileSync(bench, ['month', database, facts], { stdio: ['ignore', 'ignore', 'inherit'] });

// Stripe is asked for nothing here but the time of the demo: two days after the month.
const stripe = createServer((request, answer) => answer.end(JSON.stringify({ now: '2028-01-02T00:00:00Z', live: false })));
const stripeUrl = await listening(stripe);

const edge = [process.execPath, fileURLToPath(new URL('serve.mjs', import.meta.url))];
const hosts = { edge, server: [server] };
const runs = {};
for (const [host, command] of Object.entries(hosts)) runs[host] = await month(host, command);
stripe.close();
for (const [host, run] of Object.entries(runs)) {
  console.log(`${host}: ${run.items} of ${run.items + run.not_paid} agencies paid, run ${run.run_hash}; drafted in ${run.drafted_s} s, sealed in ${run.sealed_s} s`);
}
const [one, other] = Object.values(runs);
if (!one.run_hash || one.run_hash !== other.run_hash || one.items === 0) {
  console.error('the two hosts do not come to the same run');
  process.exit(1);
}

async function month(host, [program, ...words]) {
  const data = join(folder, host);
  mkdirSync(data);
  copyFileSync(database, join(data, 'referral.db'));
  const probe = createServer();
  const port = new URL(await listening(probe)).port;
  await new Promise((done) => probe.close(done));
  const child = spawn(program, [...words, 'serve', '--data', data, '--port', port, '--demo'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, STRIPE_API_BASE: stripeUrl, DRAFT_SLICES: slices, RUST_LOG: 'warn' },
  });
  let ended = false;
  child.on('exit', () => (ended = true));
  const api = async (method, path, token, body) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      body: body && JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${host}: ${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  };
  const until = async (what, look) => {
    for (;;) {
      if (ended) throw new Error(`${host} ended before ${what}`);
      const found = await look().catch((error) => {
        // Not there yet, or a connection that was closed while it was not used.
        if (!error.cause) throw error;
      });
      if (found) return found;
      await new Promise((done) => setTimeout(done, 200));
    }
  };
  try {
    await until('it listened', () => api('GET', '/healthz'));
    const began = Date.now();
    const { access_token: token } = await api('POST', '/v1/demo/sessions', '', { person: 'u_finance', keep: 'token' });
    const [draft] = await until('the month was drafted', async () => {
      const all = await api('GET', '/v1/runs', token);
      return all.length && all;
    });
    const drafted = Date.now();
    const sealed = await api('POST', `/v1/runs/${draft.run}/seal`, token, { version: draft.version });
    const { run_hash } = await api('GET', '/v1/runs', token).then(([run]) => run);
    return {
      run_hash,
      items: sealed.items.length,
      not_paid: sealed.not_paid.length,
      drafted_s: Math.round((drafted - began) / 100) / 10,
      sealed_s: Math.round((Date.now() - drafted) / 100) / 10,
    };
  } finally {
    child.kill('SIGTERM');
    await new Promise((done) => (ended ? done() : child.on('exit', done)));
  }
}

function listening(of) {
  return new Promise((done) => of.listen(0, '127.0.0.1', () => done(`http://127.0.0.1:${of.address().port}`)));
}
