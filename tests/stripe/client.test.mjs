/**
 * Stripe's own client for Node against the stand-in: it reads every answer, sorts every refusal into its class of errors,
 * goes through pages by itself, repeats a request under its key, and accepts the signature of what is delivered.
 *
 * AIKIT_BIN_DIR is where `fake-stripe` was built.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Stripe from 'stripe';
import { startStandIn, until } from './stand-in.mjs';

let standIn;
let stripe;

before(async () => {
  standIn = await startStandIn('2026-03-01T00:00:00Z');
  stripe = standIn.stripe;
});

after(() => standIn?.stop());

async function fund(amount) {
  const customer = await stripe.customers.create({ email: 'ada@client.example' });
  const product = await stripe.products.create({ name: 'AIKit Business' });
  const price = await stripe.prices.create({ product: product.id, currency: 'usd', unit_amount: amount, recurring: { interval: 'month' } });
  const subscription = await stripe.subscriptions.create({ customer: customer.id, items: [{ price: price.id }], expand: ['latest_invoice'] });
  assert.equal(subscription.status, 'active');
  assert.equal(subscription.latest_invoice.amount_paid, amount);
  // What a client pays is available two days later.
  await standIn.control('/_clock', { now: '2026-03-04T00:00:00Z' });
}

test('a client pays, and an agency is paid out of it, once for a key', async () => {
  await fund(1_000_000);
  const account = await standIn.agency('ops@agency.example');
  assert.equal(account.capabilities.transfers, 'active');
  const { available } = await stripe.balance.retrieve();
  assert.ok(available.find(({ currency }) => currency === 'usd').amount > 900_000);

  const params = { amount: 12_300, currency: 'usd', destination: account.id, transfer_group: 'aikit:test:2026-02.1:A', metadata: { item: '2026-02.1:A' } };
  const made = await stripe.transfers.create(params, { idempotencyKey: 'aikit-test-po-1' });
  const again = await stripe.transfers.create(params, { idempotencyKey: 'aikit-test-po-1' });
  assert.equal(again.id, made.id);
  assert.equal(again.lastResponse.headers['idempotent-replayed'], 'true');
  const found = await stripe.transfers.list({ transfer_group: params.transfer_group });
  assert.deepEqual(found.data.map(({ id, amount, metadata }) => [id, amount, metadata.item]), [[made.id, 12_300, '2026-02.1:A']]);
  const booked = await stripe.balanceTransactions.list({ source: made.id });
  assert.deepEqual(booked.data.map(({ type, amount }) => [type, amount]), [['transfer', -12_300]]);

  await assert.rejects(
    stripe.transfers.create({ ...params, amount: 1 }, { idempotencyKey: 'aikit-test-po-1' }),
    (error) => error instanceof Stripe.errors.StripeIdempotencyError,
  );
  const back = await stripe.transfers.createReversal(made.id, { amount: 300 });
  assert.equal(back.amount, 300);
  assert.equal((await stripe.transfers.retrieve(made.id)).amount_reversed, 300);
});

test('what is refused is an error of the class that Stripe gives it', async () => {
  const account = await standIn.agency('two@agency.example');
  const send = (more) => stripe.transfers.create({ amount: 100, currency: 'usd', destination: account.id, ...more });
  const invalid = (code) => (error) => error instanceof Stripe.errors.StripeInvalidRequestError && error.code === code;
  await assert.rejects(send({ amount: 900_000_000 }), invalid('balance_insufficient'));
  await assert.rejects(send({ destination: 'acct_nobody' }), invalid('resource_missing'));
  await assert.rejects(send({ surprise: 1 }), invalid('parameter_unknown'));
  const waiting = await stripe.accounts.create({ type: 'express', country: 'US', capabilities: { transfers: { requested: true } } });
  await assert.rejects(send({ destination: waiting.id }), invalid('insufficient_capabilities_for_transfer'));
  await assert.rejects(standIn.client('sk_wrong').balance.retrieve(), (error) => error instanceof Stripe.errors.StripeAuthenticationError);
});

test('it goes through all pages by itself', async () => {
  const account = await standIn.agency('many@agency.example');
  for (let n = 1; n <= 23; n += 1) await stripe.transfers.create({ amount: n, currency: 'usd', destination: account.id });
  const amounts = [];
  for await (const { amount } of stripe.transfers.list({ destination: account.id, limit: 5 })) amounts.push(amount);
  assert.deepEqual(amounts.toSorted((a, b) => a - b), Array.from({ length: 23 }, (_, n) => n + 1));
});

test('it accepts what is delivered, and nothing that was changed on the way', async () => {
  await until(() => standIn.delivered.some(({ body }) => body.includes('transfer.created')));
  const kinds = new Set();
  for (const letter of standIn.delivered) {
    kinds.add(standIn.opened(letter).type);
    const changed = { ...letter, body: Buffer.concat([letter.body, Buffer.from(' ')]) };
    assert.throws(() => standIn.opened(changed), (error) => error instanceof Stripe.errors.StripeSignatureVerificationError);
  }
  for (const kind of ['customer.created', 'customer.subscription.created', 'invoice.paid', 'transfer.created', 'account.updated']) {
    assert.ok(kinds.has(kind), `${kind} among ${[...kinds].join(', ')}`);
  }
});
