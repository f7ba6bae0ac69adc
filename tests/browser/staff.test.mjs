/**
 * What AIKit's partner team does, in a real browser: a flagged referral is decided and taken back by the keyboard alone, and
 * an agency is suspended and reinstated. Everything is as it was at the end.
 *
 * BASE_URL is the address of a started demo. CHROMIUM names the browser.
 */
import assert from 'node:assert/strict';
import { api, dollars } from './api.mjs';
import { base, browse } from './browser.mjs';

const demo = api(base);

let page;
const { step } = browse((opened) => (page = opened));
let staff;

async function signIn(role) {
  const person = (await demo.people()).find((one) => one.role === role);
  assert.ok(person, `The demo has a person of ${role}.`);
  await page.goto(base);
  await page.locator(`[data-person=${JSON.stringify(person.person)}]`).click();
  await page.getByRole('navigation', { name: 'Pages' }).waitFor();
  return demo.token(person.person);
}

/** Types a reason into the open dialog and sends it, by keys. */
async function say(reason) {
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  await page.keyboard.type(reason);
  await page.keyboard.press('Control+Enter');
  await dialog.waitFor({ state: 'detached' });
}

const chosen = () => page.getByRole('navigation', { name: 'Referrals' }).locator('[aria-current]');
const waits = () => demo.get('/v1/reviews', staff);
const cell = (text, column) => page.getByRole('table', { name: /^Figures of/ }).getByRole('row', { name: text }).getByRole('cell').nth(column);

/** Waits for what the API says to become so. */
async function until(what, is) {
  for (let left = 100; left > 0; left--) {
    if (await is()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(what);
}

let referral;

step('the queue is reached by keys, and says what waits and what each decision changes', async () => {
  staff = await signIn('staff');
  const queue = await waits();
  assert.ok(queue.length > 0, 'Something waits in the demo.');
  const { referrals } = await demo.get('/v1/reviews-waiting', staff);
  assert.equal(referrals, queue.length);
  await page.getByTestId('to-review').waitFor();
  assert.equal(await page.getByTestId('to-review').textContent(), String(referrals));
  await page.keyboard.press('g');
  await page.keyboard.press('v');
  await page.getByRole('heading', { name: 'Reviews', exact: true }).waitFor();
  await chosen().waitFor();

  const at = queue.findIndex(({ flags }) => flags.includes('self_referral'));
  assert.ok(at >= 0, 'One of them has the domain of its agency.');
  for (let n = 0; n < at; n++) await page.keyboard.press('j');
  if (queue.length > at + 1) {
    await page.keyboard.press('j');
    await page.keyboard.press('k');
  }
  referral = queue[at];
  const evidence = page.getByRole('region', { name: 'Evidence' });
  await evidence.getByRole('heading', { name: referral.client_domain, exact: true }).waitFor();
  for (const text of [referral.partner_email, referral.client_email, referral.why[0]]) await evidence.getByText(text, { exact: true }).first().waitFor();

  const { now, outcomes } = await demo.get(`/v1/referrals/${referral.referral}/decisions`, staff);
  await page.getByRole('table', { name: /^Figures of/ }).waitFor();
  for (const [column, { totals }] of [now, ...['cleared', 'rejected'].map((d) => outcomes.find(({ decision }) => decision === d).then)].entries()) {
    assert.ok((await cell('Held', column).textContent()).trim().startsWith(dollars(totals.held)), `Held, column ${column}`);
    assert.ok((await cell('Vested, all time', column).textContent()).trim().startsWith(dollars(totals.vested)), `Vested, column ${column}`);
  }
});

step('a question mark lists the keys of the page', async () => {
  await page.keyboard.press('?');
  const sheet = page.getByRole('dialog', { name: 'Keys' });
  for (const text of ['Clear it', 'Reject it', 'Take the last decision back']) await sheet.getByText(text, { exact: true }).waitFor();
  await page.keyboard.press('Escape');
  await sheet.waitFor({ state: 'detached' });
});

step('it is rejected by keys, which needs a note, and is what was shown before', async () => {
  const before = await waits();
  const { outcomes } = await demo.get(`/v1/referrals/${referral.referral}/decisions`, staff);
  const shown = outcomes.find(({ decision }) => decision === 'rejected').then;
  await page.keyboard.press('r');
  const dialog = page.getByRole('dialog', { name: /^Reject/ });
  await dialog.waitFor();
  assert.ok(await dialog.getByRole('button', { name: 'Reject', exact: true }).isDisabled(), 'Nothing is decided without a note.');
  await page.keyboard.press('Control+Enter');
  await say('The client is the agency itself.');
  await until('It is rejected.', async () => (await demo.get(`/v1/reviews/${referral.referral}`, staff)).decision === 'rejected');
  const { totals, balance_minor, next_payout } = await demo.get(`/v1/partners/${referral.partner.code}`, staff);
  assert.deepEqual({ totals, balance_minor, next_payout }, shown, 'The decision did what was shown before it.');
  await until('It waits no more.', async () => (await waits()).length === before.length - 1);
});

step('U takes it back, and it waits again', async () => {
  const before = (await waits()).length;
  await page.keyboard.press('u');
  await page.getByRole('dialog', { name: /^Take back/ }).waitFor();
  await page.keyboard.press('Control+Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await until('It waits again.', async () => (await waits()).length === before + 1);
  const review = await demo.get(`/v1/reviews/${referral.referral}`, staff);
  assert.deepEqual([review.under_review, review.decision, review.held_minor], [true, null, referral.held_minor]);
  // The page is where it was, and tells what happened.
  await page.getByRole('region', { name: 'Evidence' }).getByText('Taken back').waitFor();
  assert.match(await chosen().textContent(), new RegExp(referral.client_domain));
});

let agency;

step('an agency is found by a few letters, and what is asked is in the address', async () => {
  const { partners } = await demo.get('/v1/partners?sort=balance&descending=true&suspended=false', staff);
  agency = partners.find(({ balance_minor, transfers_active }) => balance_minor > 0 && transfers_active) ?? partners[0];
  await page.keyboard.press('g');
  await page.keyboard.press('p');
  await page.getByRole('heading', { name: 'Partners', exact: true }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type(agency.name.slice(0, 6).toUpperCase());
  await page.waitForFunction((find) => location.hash.includes(find), `q=${encodeURIComponent(agency.name.slice(0, 6).toUpperCase()).replaceAll('%20', '+')}`);
  const table = page.getByRole('grid', { name: 'Partners' });
  await table.getByRole('link', { name: agency.name, exact: true }).waitFor();
  await page.reload();
  await table.getByRole('link', { name: agency.name, exact: true }).waitFor();
  assert.equal(await page.getByLabel('Search partners').inputValue(), agency.name.slice(0, 6).toUpperCase());

  // A view of it has a name on this computer.
  await page.getByLabel('Saved views').click();
  await page.getByRole('button', { name: /^Save this view/ }).click();
  await page.getByRole('dialog').getByLabel('Name').fill('Mine');
  await page.keyboard.press('Enter');
  await page.getByText('is saved on this computer').waitFor();
});

step('it is suspended after the effect was shown, and reinstated', async () => {
  const path = `/v1/partners/${agency.code}`;
  const before = await demo.get(path, staff);
  const { then } = await demo.get(`${path}/effect?suspended=true`, staff);
  await page.getByRole('grid', { name: 'Partners' }).getByRole('link', { name: agency.name, exact: true }).click();
  await page.getByRole('heading', { name: agency.name, exact: true }).waitFor();
  await page.getByRole('button', { name: /^Suspend/ }).click();
  const dialog = page.getByRole('dialog', { name: `Suspend ${agency.name}` });
  const next = dialog.getByRole('row', { name: 'Next payout' }).getByRole('cell');
  assert.equal((await next.first().textContent()).trim(), dollars(before.next_payout.amount_minor));
  assert.ok((await next.nth(1).textContent()).trim().startsWith(dollars(then.next_payout.amount_minor)));
  await say('A question about its invoices.');
  await page.getByText('Suspended', { exact: true }).first().waitFor();
  const suspended = await demo.get(path, staff);
  assert.deepEqual([suspended.partner.suspended, suspended.next_payout.amount_minor], [true, then.next_payout.amount_minor]);
  await page.getByRole('region', { name: 'Decisions' }).getByText('A question about its invoices.').waitFor();

  await page.getByRole('button', { name: /^Reinstate/ }).click();
  await say('It is answered.');
  await page.getByRole('button', { name: /^Suspend/ }).waitFor();
  const now = await demo.get(path, staff);
  assert.deepEqual([now.partner.suspended, now.next_payout, now.totals], [false, before.next_payout, before.totals]);
});

step('some are suspended and reinstated at once, with a result for each', async () => {
  await page.goto(new URL('#/partners', base).href);
  const table = page.getByRole('grid', { name: 'Partners' });
  await table.locator('[data-row="1"]').getByRole('checkbox').waitFor();
  for (const row of [0, 1]) await table.locator(`[data-row="${row}"]`).getByRole('checkbox').check();
  const rows = (await demo.get('/v1/partners', staff)).partners.slice(0, 2);
  for (const deed of ['Suspend', 'Reinstate']) {
    if (deed === 'Reinstate') for (const row of [0, 1]) await table.locator(`[data-row="${row}"]`).getByRole('checkbox').check();
    const affected = rows.filter(({ suspended }) => deed === 'Reinstate' || !suspended);
    await page.getByRole('region', { name: 'Chosen' }).getByRole('button', { name: deed }).click();
    await page.getByRole('dialog').getByLabel('Why').fill('A look at both.');
    await page.keyboard.press('Control+Enter');
    const results = page.getByRole('dialog', { name: `${deed}${deed === 'Suspend' ? 'ed' : 'd'}: ${affected.length} of ${affected.length}` });
    await results.waitFor();
    await results.getByRole('button', { name: 'Close', exact: true }).last().click();
    await results.waitFor({ state: 'detached' });
    if (await page.getByRole('button', { name: 'Choose none' }).isVisible()) await page.getByRole('button', { name: 'Choose none' }).click();
  }
});

step('an auditor looks at the same and is told who decides', async () => {
  await page.getByRole('button', { name: /^Sign out/ }).click();
  await page.getByRole('heading', { name: 'Sign in', exact: true }).waitFor();
  const role = (await demo.people()).some((one) => one.role === 'auditor') ? 'auditor' : 'finance';
  await signIn(role);
  await page.keyboard.press('g');
  await page.keyboard.press('v');
  await page.getByText('AIKit’s partner team (staff) decides.').waitFor();
  assert.equal(await page.getByRole('button', { name: /^(Clear|Reject)/ }).count(), 0);
});
