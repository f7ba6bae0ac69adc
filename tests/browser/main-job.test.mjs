/**
 * The main job of the product in a real browser: an agency sees its figures and shares a link, finance pays a month,
 * and an agency checks what it was paid to the cent.
 *
 * BASE_URL is the address of a freshly started demo, whose newest run is a draft.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { api, cents, dollars } from './api.mjs';
import { base, browse } from './browser.mjs';

// The reader of QR codes that the tests of the pages use.
const { default: jsQR } = createRequire(new URL('../../ui/package.json', import.meta.url))('jsqr');

const SEND_TIMEOUT_MS = 120_000;
const demo = api(base);

let page;
const { open, step } = browse((opened) => (page = opened), { permissions: ['clipboard-read', 'clipboard-write'] });

async function signIn({ person, name }) {
  await page.goto(base);
  await page.getByRole('region', { name: 'Demo: sign in as' }).waitFor();
  await page.locator(`[data-person=${JSON.stringify(person)}]`).click();
  await page.getByRole('navigation', { name: 'Pages' }).waitFor();
  await page.getByTitle(name, { exact: true }).first().waitFor();
}

async function signOut() {
  await page.getByRole('button', { name: /^Sign out/ }).click();
  await page.getByRole('heading', { name: 'Sign in', exact: true }).waitFor();
}

const card = (name) => page.getByRole('region', { name, exact: true });
const says = (locator, text) => locator.getByText(text, { exact: true }).first().waitFor();
/** An owner with paying clients and a finished Stripe account, by what the demo says of it. */
const earns = ({ role, about }) => role === 'owner' && /paying client/.test(about) && !/no paying client|Stripe account/.test(about);

step('an agency signs in by one click and sees the figures of the API', async () => {
  const agency = (await demo.people()).find(earns);
  assert.ok(agency, 'The demo has an agency that earns.');
  const overview = await demo.get('/v1/overview', await demo.token(agency.person));
  assert.notEqual(overview.totals.vested, 0, 'The agency has earned something.');

  await signIn(agency);
  await page.getByRole('heading', { name: 'Overview', exact: true }).waitFor();
  const { estimate, totals, next_payout, months, volume, platinum } = overview;
  const shown = page.locator('main');
  assert.equal(await shown.getByTestId('estimate-total').textContent(), dollars(estimate.total_minor));
  const split = page.getByRole('region', { name: /^Estimate for/ });
  for (const amount of [estimate.vested_minor, estimate.pending_minor, estimate.held_minor]) await says(split, dollars(amount));
  await says(card('Next payout'), next_payout.why_not === null ? dollars(next_payout.amount_minor) : next_payout.why_not);
  for (const sum of [totals.vested, totals.paid, totals.balance]) await says(card('All time'), dollars(sum));
  assert.equal(
    await page.getByRole('meter', { name: 'Referrals that qualify for the volume bonus' }).getAttribute('aria-valuetext'),
    `${volume.qualified} of ${volume.needed}`,
  );
  assert.equal(
    await page.getByRole('meter', { name: 'Referrals towards platinum' }).getAttribute('aria-valuetext'),
    `${platinum.referrals} of ${platinum.referrals_needed}`,
  );

  // The table behind the chart, for those who cannot see it.
  const rows = card('Earnings').locator('tbody tr');
  assert.equal(await rows.count(), months.length);
  assert.deepEqual(
    await rows.evaluateAll((all) => all.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent))),
    months.map((m) => [m.vested_minor, m.pending_minor, m.held_minor, m.forfeited_minor].map(dollars)),
  );
  assert.equal((await page.getByTestId('as-of').textContent()).trim(), 'Live');
});

step('it copies its main link by a key', async () => {
  await page.locator('h1').click();
  await page.keyboard.press('c');
  await page.getByText('Your link is copied.').waitFor();
  const agency = (await demo.people()).find(earns);
  const { link_url } = await demo.get('/v1/overview', await demo.token(agency.person));
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), link_url);
});

step('it makes a link for a campaign and copies it', async () => {
  const agency = (await demo.people()).find(earns);
  const token = await demo.token(agency.person);
  const before = await demo.get('/v1/links', token);
  const campaign = `Browser test ${Date.now()}`;

  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Links' }).click();
  await page.getByRole('heading', { name: 'Links', exact: true }).waitFor();
  await page.getByRole('button', { name: 'Make a link' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'Make a link' });
  await dialog.getByLabel('Campaign').fill(campaign);
  await dialog.getByLabel("Path on AIKit's site").fill('//elsewhere.example');
  assert.ok(await dialog.getByRole('button', { name: 'Make the link' }).isDisabled(), 'A path away from the site is refused.');
  await dialog.getByLabel("Path on AIKit's site").fill('/pricing');
  await dialog.getByLabel('UTM source').fill('newsletter');
  await dialog.getByText('utm_source=newsletter').waitFor();
  const promised = await dialog.locator('code').first().textContent();
  await dialog.getByRole('button', { name: 'Make the link' }).click();
  await dialog.waitFor({ state: 'detached' });

  const links = await demo.get('/v1/links', token);
  assert.equal(links.length, before.length + 1, 'One link was made.');
  const made = links.find((link) => link.campaign === campaign);
  assert.deepEqual([made.path, made.utm.source, made.utm.campaign], ['/pricing', 'newsletter', campaign]);
  assert.equal(made.url, promised, 'The preview said what the link would be.');
  assert.equal(await page.getByTestId('new-link').textContent(), made.url);
  await page.getByRole('button', { name: 'Copy the new link' }).click();
  await page.getByText(`The link «${campaign}» is copied.`).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), made.url);
});

step('it takes away a QR code of the link, which another program reads', async () => {
  const made = await page.getByTestId('new-link').textContent();
  await page.getByRole('button', { name: 'QR code of the new link' }).click();
  const dialog = page.getByRole('dialog', { name: /^QR code/ });
  for (const [kind, mime] of [['PNG', 'image/png'], ['SVG', 'image/svg+xml']]) {
    const [download] = await Promise.all([page.waitForEvent('download'), dialog.getByRole('button', { name: kind, exact: true }).click()]);
    assert.match(download.suggestedFilename(), /^qr-browser-test-\d+\.(png|svg)$/);
    assert.equal(await readCode(await readFile(await download.path()), mime), made);
  }
  await dialog.getByText('is in your downloads').waitFor();
  await page.keyboard.press('Escape');
});

/** What an independent reader finds in a picture that the browser paints. */
async function readCode(file, mime) {
  const { dark, width, height } = await page.evaluate(async (address) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), { width: image.naturalWidth, height: image.naturalHeight });
    const paint = canvas.getContext('2d');
    paint.drawImage(image, 0, 0);
    const { data } = paint.getImageData(0, 0, canvas.width, canvas.height);
    const dark = Array.from({ length: data.length / 4 }, (_, dot) => (data[dot * 4] < 128 ? '1' : '0')).join('');
    return { dark, width: canvas.width, height: canvas.height };
  }, `data:${mime};base64,${file.toString('base64')}`);
  const dots = new Uint8ClampedArray(dark.length * 4).fill(255);
  for (let dot = 0; dot < dark.length; dot++) if (dark[dot] === '1') dots.fill(0, dot * 4, dot * 4 + 3);
  return jsQR(dots, width, height, { inversionAttempts: 'dontInvert' })?.data;
}

step('it renames the link, archives it, and takes that back', async () => {
  const agency = (await demo.people()).find(earns);
  const token = await demo.token(agency.person);
  const list = page.getByRole('region', { name: 'Links', exact: true });
  const [link] = await demo.get('/v1/links', token);
  const more = () => list.getByLabel(/^More for Browser test/).first();

  await more().click();
  await list.getByRole('button', { name: /^Rename/ }).click();
  const dialog = page.getByRole('dialog', { name: 'Rename the link' });
  await dialog.getByLabel('Campaign').fill(`${link.campaign} renamed`);
  await dialog.getByRole('button', { name: 'Rename', exact: true }).click();
  await list.getByText(`${link.campaign} renamed`, { exact: true }).waitFor();

  await more().click();
  await list.getByRole('button', { name: /^Archive/ }).click();
  await list.getByText(`${link.campaign} renamed`, { exact: true }).waitFor({ state: 'detached' });
  assert.equal((await demo.get('/v1/links?archived=true', token))[0].id, link.id);
  await page.getByLabel('Which links').selectOption('archived');
  await list.getByText(`${link.campaign} renamed`, { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Undo' }).first().click();
  await page.getByLabel('Which links').selectOption('live');
  await list.getByText(`${link.campaign} renamed`, { exact: true }).waitFor();
  const back = (await demo.get('/v1/links', token)).find(({ id }) => id === link.id);
  assert.deepEqual([back.archived, back.url, back.utm], [false, link.url, link.utm], 'Only its name has changed.');
});

step('the clients are one table for the keys', async () => {
  const agency = (await demo.people()).find(earns);
  const token = await demo.token(agency.person);
  const { rows, total } = await demo.get('/v1/clients?sort=earned&ascending=true&limit=500', token);
  assert.ok(total >= 3, 'The agency has clients to walk through.');
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Clients' }).click();
  const table = page.getByRole('grid', { name: 'Clients' });
  const names = async () => (await table.locator('tbody .name a').allTextContents()).map((name) => name.trim());
  await page.getByLabel('Order').selectOption({ label: 'All time, least first' });
  await page.waitForFunction((first) => document.querySelector('[data-row="0"] .name a')?.textContent.trim() === first, rows[0].name);
  assert.equal(await table.getByRole('columnheader', { name: 'All time' }).getAttribute('aria-sort'), 'ascending');
  assert.equal(await table.getAttribute('aria-rowcount'), String(total + 1));
  assert.deepEqual(await names(), rows.slice(0, (await names()).length).map(({ name }) => name));

  await table.locator('[data-row="0"]').focus();
  for (const [key, at] of [['ArrowDown', 1], ['End', total - 1], ['ArrowUp', total - 2], ['Home', 0], ['ArrowDown', 1]]) {
    await page.keyboard.press(key);
    await page.waitForFunction((row) => document.activeElement?.dataset.row === row, String(at));
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-rowindex')), String(at + 2));
  }
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: rows[1].name }).getByText('Earned, all time').waitFor();
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => document.activeElement?.dataset.row === '1');

  await page.getByLabel('Filter clients').fill('no such client');
  await page.getByText('No client matches').waitFor();
  await page.getByRole('button', { name: 'Show all clients' }).click();
  await table.locator('[data-row="0"] a').waitFor();
  await page.getByLabel('Order').selectOption({ label: 'Newest first' });
});

step('every cent of a client has its reason', async () => {
  const agency = (await demo.people()).find(earns);
  const token = await demo.token(agency.person);
  const { rows: clients } = await demo.get('/v1/clients?limit=500', token);
  const client = clients.find(({ earned_minor }) => earned_minor > 0);
  assert.ok(client, 'A client has earned something.');
  const { lines } = await demo.get(`/v1/clients/${encodeURIComponent(client.referral)}`, token);

  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Clients' }).click();
  await page.getByLabel('Filter clients').waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type(client.referral);
  await page.getByText('1 client found').waitFor();
  await page.getByRole('region', { name: 'Clients' }).getByRole('link').first().click();
  await page.getByRole('dialog', { name: client.name }).getByText('Earned, all time').waitFor();
  assert.deepEqual(await readLines(), lines.map(({ amount_minor, why }) => [dollars(amount_minor), why]));
  await page.keyboard.press('Escape');
  await signOut();
});

/** Amount and reason of every line in the open panel. */
async function readLines() {
  const panel = page.getByRole('dialog');
  const all = panel.getByRole('button', { name: /^Show all/ });
  if (await all.isVisible()) await all.click();
  const rows = panel.getByRole('region', { name: /^Lines/ }).locator('tbody tr');
  return rows.evaluateAll((found) =>
    found.map((row) => [row.lastElementChild.textContent.trim(), row.querySelector('.why').textContent.trim()]),
  );
}

let finance;
let run;

step('finance opens the draft and seals it', async () => {
  const person = (await demo.people()).find(({ role }) => role === 'finance');
  assert.ok(person, 'The demo has a person of finance.');
  finance = await demo.token(person.person);
  const draft = (await demo.get('/v1/runs', finance)).find(({ state }) => state === 'draft');
  assert.ok(draft, 'The newest run is a draft; start a fresh demo where it has been sent already.');
  run = `/v1/runs/${encodeURIComponent(draft.run)}`;

  await signIn(person);
  await page.getByRole('heading', { name: 'Runs', exact: true }).waitFor();
  await page.getByRole('row').filter({ hasText: 'Draft' }).getByRole('link').click();
  const { summary, items, not_paid } = await demo.get(run, finance);
  assert.equal(await page.getByTestId('run-total').textContent(), dollars(summary.total_minor));
  assert.equal(
    await amountsOf('Partners that are paid').then((all) => all.reduce((a, b) => a + b, 0n)),
    BigInt(summary.total_minor),
    'What the partners get adds up to the total.',
  );
  assert.equal(await page.getByRole('region', { name: 'Partners that are paid' }).locator('tbody tr').count(), items.length);
  for (const { name, text } of not_paid) {
    const row = page.getByRole('region', { name: 'Partners that are not paid' }).getByRole('row').filter({ hasText: name });
    await says(row, text);
  }

  await page.getByRole('button', { name: 'Seal', exact: true }).click();
  await page.getByRole('button', { name: /^Approve/ }).waitFor();
  await page.locator('[aria-current=step]', { hasText: 'Sealed' }).waitFor();
  const sealed = await demo.get(run, finance);
  assert.deepEqual([sealed.summary.state, sealed.summary.total_minor], ['sealed', summary.total_minor]);
});

async function amountsOf(region) {
  const cells = page.getByRole('region', { name: region }).locator('tbody tr td:nth-child(4)');
  return (await cells.allTextContents()).map(cents);
}

step('finance changes its mind, and whoever looked at the seal before is told what is different', async () => {
  const { summary, items } = await demo.get(run, finance);
  const held = items[0];
  await page.getByRole('button', { name: /^Approve/ }).click();
  const approval = page.getByRole('dialog', { name: /^Approve/ });
  await approval.getByLabel('Type the total').fill(dollars(summary.total_minor));

  // In another window, which the address of a message opens.
  const looking = page;
  page = open.page = await open.context.newPage();
  await page.goto(new URL(`/runs/${summary.run}`, base).href);
  await page.getByLabel('More that can be done with this run').click();
  await page.getByRole('button', { name: /^Unseal/ }).click();
  await giveReason('One partner is missing a form.', 'Unseal');
  await page.getByRole('button', { name: `Hold ${held.name} out` }).click();
  await giveReason('Its form is missing.', 'Hold it out');
  const row = page.getByRole('region', { name: 'Partners that are not paid' }).getByRole('row').filter({ hasText: held.name });
  await row.getByText(/: Its form is missing\./).waitFor();
  await says(page.getByTestId('run-total'), dollars(summary.total_minor - held.amount_minor));
  await page.getByRole('button', { name: 'Seal', exact: true }).click();
  await page.getByRole('button', { name: /^Approve/ }).waitFor();
  const sealed = (await demo.get(run, finance)).summary;

  await looking.bringToFront();
  await approval.getByRole('button', { name: 'Approve', exact: true }).click();
  const changed = looking.getByRole('dialog', { name: 'Not done: this run has changed' });
  await says(changed.getByRole('row').filter({ hasText: held.name }), dollars(held.amount_minor));
  await says(changed.getByRole('row').filter({ hasText: held.name }), 'not paid');
  await changed.getByRole('button', { name: 'Look at it again' }).click();
  await says(looking.getByTestId('run-total'), dollars(sealed.total_minor));
  assert.deepEqual((await demo.get(run, finance)).approvals, [], 'Nothing was approved.');

  // It is paid after all.
  await page.bringToFront();
  await page.getByLabel('More that can be done with this run').click();
  await page.getByRole('button', { name: /^Unseal/ }).click();
  await giveReason('The form has come.', 'Unseal');
  await page.getByRole('button', { name: `Pay ${held.name} after all` }).click();
  await says(page.getByTestId('run-total'), dollars(summary.total_minor));
  await page.getByRole('button', { name: 'Seal', exact: true }).click();
  await page.getByRole('button', { name: /^Approve/ }).waitFor();
  assert.equal((await demo.get(run, finance)).summary.run_hash, summary.run_hash, 'The same payments have the same seal.');
  await page.close();
  page = open.page = looking;
  await page.bringToFront();
  await page.reload();
});

/** Answers the question why. */
async function giveReason(reason, button) {
  const dialog = page.getByRole('dialog');
  const deed = dialog.getByRole('button', { name: button, exact: true });
  assert.ok(await deed.isDisabled(), 'Nothing is done without a reason.');
  await dialog.getByLabel('Why').fill(reason);
  await deed.click();
  await dialog.waitFor({ state: 'detached' });
}

step('a wrong total is refused, the right one approves', async () => {
  const { summary } = await demo.get(run, finance);
  const wrong = { run_hash: summary.run_hash, version: summary.version, typed_total_minor: summary.total_minor + 1 };
  const refused = await demo.call('POST', `${run}/approve`, { token: finance, body: wrong });
  assert.ok(refused.status >= 400 && refused.status < 500, `The API refuses a wrong total, and answered ${refused.status}.`);

  await page.getByRole('button', { name: /^Approve/ }).click();
  const dialog = page.getByRole('dialog', { name: /^Approve/ });
  const field = dialog.getByLabel('Type the total');
  const approve = dialog.getByRole('button', { name: 'Approve', exact: true });
  await field.fill(dollars(summary.total_minor + 1));
  await dialog.getByText('is not the sealed total').waitFor();
  assert.ok(await approve.isDisabled());
  assert.equal((await demo.get(run, finance)).summary.state, 'sealed');

  await field.fill(dollars(summary.total_minor).replace(/[$,]/g, ''));
  await dialog.getByText('It matches the sealed total.').waitFor();
  await approve.click();
  await dialog.waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /^Send/ }).waitFor();
  assert.equal((await demo.get(run, finance)).summary.state, 'approved');
});

step('it is sent, and the page follows until all is paid', async () => {
  await page.getByRole('button', { name: /^Send/ }).click();
  const progress = page.getByRole('progressbar', { name: 'Payouts made' });
  await progress.waitFor();
  await page.locator('[aria-current=step]', { hasText: 'Done' }).waitFor({ timeout: SEND_TIMEOUT_MS });
  const { summary, items } = await demo.get(run, finance);
  assert.deepEqual([summary.state, summary.paid_minor], ['done', summary.total_minor]);
  assert.equal(await progress.getAttribute('aria-valuetext'), `${items.length} of ${items.length} paid`);
  await says(card('To pay'), dollars(summary.total_minor));
  const transfers = items.map(({ transfer }) => transfer);
  assert.ok(transfers.every((id) => /^tr_/.test(id)), 'Every item has its transfer.');
  assert.equal(new Set(transfers).size, transfers.length, 'No transfer pays two items.');
  await signOut();
});

step('an agency that was paid can check it to the cent', async () => {
  const { summary, items } = await demo.get(run, finance);
  const people = await demo.people();
  const item = items.toSorted((a, b) => b.lines - a.lines).find(({ name }) => people.some((one) => one.name === name));
  assert.ok(item, 'One of the demo\u2019s agencies was paid.');
  const agency = people.find(({ name }) => name === item.name);
  const detail = await demo.get(`/v1/payouts/${encodeURIComponent(item.item)}`, await demo.token(agency.person));

  await signIn(agency);
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Payouts' }).click();
  await page.getByRole('row').filter({ hasText: item.transfer }).getByRole('link').click();
  const panel = page.getByRole('dialog');
  await panel.getByTestId('transfer').waitFor();
  assert.equal(await panel.getByTestId('transfer').textContent(), item.transfer);
  await says(panel, item.digest);

  const [paid, carried, sum] = await Promise.all(
    ['payout-amount', 'carried', 'lines-sum'].map(async (id) => cents(await panel.getByTestId(id).textContent())),
  );
  assert.equal(paid, BigInt(item.amount_minor));
  assert.equal(carried + sum, paid, 'Carried and lines add up to the payout.');
  await panel.getByText('add up to the payout, to the cent').waitFor();
  const lines = await readLines();
  assert.deepEqual(lines, detail.lines.map(({ amount_minor, why }) => [dollars(amount_minor), why]));
  assert.equal(lines.reduce((total, [amount]) => total + cents(amount), 0n), sum);
  assert.ok(lines.every(([, why]) => why.length > 10), 'Every line says why.');
  assert.equal(detail.payout.period, summary.period);

  const receipt = page.waitForEvent('download');
  await panel.getByRole('button', { name: 'Receipt (PDF)' }).click();
  assert.equal((await receipt).suggestedFilename(), `receipt-${summary.period}-${item.partner}.pdf`);
});
