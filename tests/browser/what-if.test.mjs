/**
 * What-if in a real browser, by the keyboard alone: the figures are those of the API, a mistake is shown where it is,
 * what is supposed is still there later, and the page is clean for those who cannot see it.
 *
 * BASE_URL is the address of a running demo. Nothing in it is changed.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { api, cents, dollars } from './api.mjs';
import { base, browse } from './browser.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const MOST_TABS = 80;
const demo = api(base);

let page;
const { step } = browse((opened) => (page = opened));
let agency;
let token;
let usual;

/** Goes on by Tab, or back by Shift+Tab, until that element has the focus. */
async function tabTo(locator, key = 'Tab') {
  for (let tabs = 0; tabs < MOST_TABS; tabs++) {
    if (await locator.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press(key);
  }
  assert.fail(`${locator} is not reached by ${key}.`);
}

async function typeOver(text) {
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type(text);
}

async function go(keys) {
  await page.locator('h1').focus();
  for (const key of keys) await page.keyboard.press(key);
}

const forecastOf = async (assumptions) => (await demo.call('POST', '/v1/what-if', { token, body: assumptions })).body;
/** What the months of a forecast earn, without what is lost of it again. */
const earned = ({ months }) => months.reduce((sum, month) => sum + BigInt(month.earned.total_minor - month.forfeited_minor), 0n);
const figure = (id) => page.getByTestId(id);

/** Waits until the page shows what the API answers to these assumptions. */
async function shows(assumptions) {
  const answer = await forecastOf(assumptions);
  assert.ok(answer.months, `The API answers: ${JSON.stringify(answer)}`);
  await figure('earned-24').getByText(dollars(earned(answer)), { exact: true }).waitFor();
  await figure('mrr').getByText(dollars(answer.months.at(-1).mrr_minor)).waitFor();
  assert.equal(await figure('earned-12').textContent(), dollars(earned({ months: answer.months.slice(0, 12) })));
  return answer;
}

const clients = () => page.getByLabel('New clients a month', { exact: true });
const button = (name) => page.getByRole('button', { name, exact: true });

step('an agency goes to What-if by keys and sees what its last half year suggests', async () => {
  agency = (await demo.people()).find(({ role, about }) => role === 'owner' && /paying client/.test(about) && !/no paying client|Platinum/.test(about));
  assert.ok(agency, 'The demo has an agency that earns and is not platinum.');
  token = await demo.token(agency.person);
  usual = await demo.get('/v1/what-if', token);

  await page.goto(base);
  const person = page.locator(`[data-person=${JSON.stringify(agency.person)}]`);
  await person.waitFor();
  await tabTo(person);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Overview', exact: true }).waitFor();
  await go('gw');
  await page.getByRole('heading', { name: 'What-if', exact: true }).waitFor();
  assert.equal(new URL(page.url()).hash, '#/what-if');
  await page.getByText('Nothing here is promised.').waitFor();

  const answer = await shows(usual);
  const nothing = await forecastOf({ ...usual, new_clients_per_month: '0', plans: [], trial_days: 0 });
  await figure('nothing-new-24').getByText(dollars(earned(nothing)), { exact: true }).waitFor();
  const difference = cents((await figure('difference-24').textContent()).replace('+', ''));
  assert.equal(difference, earned(answer) - earned(nothing));
  assert.equal(await figure('clients').textContent(), String(answer.months.at(-1).active_clients));

  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keys' }).getByText('Go to What-if').waitFor();
  await page.keyboard.press('Escape');
});

step('it supposes more clients by the number and by the slider', async () => {
  await tabTo(clients());
  await typeOver('3');
  await shows({ ...usual, new_clients_per_month: '3' });
  await page.keyboard.press('ArrowUp');
  assert.equal(await clients().inputValue(), '3.5');
  await shows({ ...usual, new_clients_per_month: '3.5' });
  await tabTo(page.getByRole('slider', { name: 'New clients a month, slider' }));
  await page.keyboard.press('ArrowLeft');
  assert.equal(await clients().inputValue(), '3');
  await shows({ ...usual, new_clients_per_month: '3' });
});

step('only the newest of many changes counts', async () => {
  const asksFor4 = (request) => request.postDataJSON()?.new_clients_per_month === '4';
  // The answer to the first question comes after that to the second.
  await page.route('**/v1/what-if', async (route) => {
    if (asksFor4(route.request())) await new Promise((done) => setTimeout(done, 1500));
    await route.continue();
  });
  await tabTo(clients(), 'Shift+Tab');
  const before = await figure('earned-24').textContent();
  const asked = page.waitForRequest(asksFor4);
  const late = page.waitForResponse((response) => asksFor4(response.request()));
  await typeOver('4');
  await asked;
  assert.equal(await figure('earned-24').textContent(), before, 'What is on the screen stays until the answer is there.');
  await typeOver('5');
  const answer = await shows({ ...usual, new_clients_per_month: '5' });
  await (await late).finished();
  await page.evaluate(() => new Promise(requestAnimationFrame));
  assert.equal(await figure('earned-24').textContent(), dollars(earned(answer)));
  await page.unroute('**/v1/what-if');
});

step('shares that do not add up are shown where they are, and evened out', async () => {
  const share = page.getByLabel('Share of plan 1 in percent');
  await tabTo(share);
  const before = await figure('earned-24').textContent();
  await typeOver('1');
  await page.getByText(/^The shares add up to .* short of 100 %\.$/).waitFor();
  assert.equal(await share.getAttribute('aria-invalid'), 'true');
  assert.equal(await figure('earned-24').textContent(), before);
  await tabTo(button('Even out'));
  await page.keyboard.press('Enter');
  await page.getByText('The shares add up to 100 %.', { exact: true }).waitFor();
  const shares = await page.getByLabel(/^Share of plan \d in percent$/).evaluateAll((all) => all.map(({ value }) => Number(value)));
  assert.equal(shares.reduce((a, b) => a + b, 0), 100);
  const hundredths = (n) => (n === 100 ? '1' : `0.${String(n).padStart(2, '0')}`);
  const plans = usual.plans.map((plan, index) => ({ ...plan, share: hundredths(shares[index]) }));
  await shows({ ...usual, new_clients_per_month: '5', plans });
});

step('the months are gone through by the arrow keys, and say what they bring', async () => {
  const chart = page.getByRole('slider', { name: /^Earned by month/ });
  await tabTo(chart);
  assert.match(await chart.getAttribute('aria-valuetext'), /^24 months: First year \$/);
  const rows = page.getByRole('region', { name: 'The months in figures' }).locator('tbody tr');
  assert.equal(await rows.count(), 24);
  const said = [];
  for (const key of ['Home', 'ArrowRight', 'ArrowRight', 'End']) {
    await page.keyboard.press(key);
    said.push(await chart.getAttribute('aria-valuetext'));
  }
  const cells = async (row) => rows.nth(row).locator('td').allTextContents();
  for (const [index, row] of [0, 1, 2, 23].entries()) {
    const [firstYear, recurring] = await cells(row);
    assert.match(said[index], /^[A-Z][a-z]+ 20\d\d: /);
    assert.ok(said[index].includes(`First year ${firstYear}, Recurring ${recurring}`), `${said[index]} has the figures of its row.`);
  }
  await page.keyboard.press('Escape');
  assert.match(await chart.getAttribute('aria-valuetext'), /^24 months/);
});

step('the file has the same months, and adds up to the total', async () => {
  await tabTo(button('CSV'));
  const download = page.waitForEvent('download');
  await page.keyboard.press('Enter');
  const file = await download;
  assert.match(file.suggestedFilename(), /^what-if-20\d\d-\d\d\.csv$/);
  const [head, ...lines] = readFileSync(await file.path(), 'utf8').trimEnd().split('\r\n').map((line) => line.split(','));
  assert.equal(lines.length, 24);
  const column = head.indexOf('earned');
  const sum = lines.reduce((all, cells) => all + BigInt(cells[column].replace('.', '')), 0n);
  assert.equal(await figure('earned-24').textContent(), dollars(sum));
});

step('what is supposed is still there after another page and after a reload', async () => {
  const before = await figure('earned-24').textContent();
  await go('go');
  await page.getByRole('heading', { name: 'Overview', exact: true }).waitFor();
  await go('gw');
  await figure('earned-24').getByText(before, { exact: true }).waitFor();
  await page.reload();
  await figure('earned-24').getByText(before, { exact: true }).waitFor();
  assert.equal(await clients().inputValue(), '5');
});

step('nothing new makes no difference, and the last half year is one key away', async () => {
  await tabTo(button('Nothing new'));
  await page.keyboard.press('Enter');
  for (const many of [12, 24]) await figure(`difference-${many}`).getByText('$0.00', { exact: true }).waitFor();
  assert.equal(await figure('earned-24').textContent(), await figure('nothing-new-24').textContent());
  await tabTo(button('As the last half year went'), 'Shift+Tab');
  await page.keyboard.press('Enter');
  await shows(usual);
  assert.equal(await clients().inputValue(), usual.new_clients_per_month);
});

step('the page is clean for assistive technology, light and dark, wide and narrow', async () => {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const width of [1180, 320]) {
      await page.setViewportSize({ width, height: 820 });
      await page.evaluate(AXE);
      const { violations, passes } = await page.evaluate(() => window.axe.run());
      assert.ok(passes.length > 20, 'It was looked at.');
      assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], `${colorScheme}, ${width} px`);
      const { wide, window: room } = await page.evaluate(() => ({ wide: document.documentElement.scrollWidth, window: innerWidth }));
      assert.ok(wide <= room, `The page is ${wide} px wide in a window of ${room}.`);
    }
  }
});
