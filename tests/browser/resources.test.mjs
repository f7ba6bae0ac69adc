/**
 * What agencies work with, in a real browser: the partner team writes it, sends a file, publishes and orders it; an agency
 * finds it, copies a template with its own link in it and saves the file.
 *
 * BASE_URL is the address of a running demo. CHROMIUM names the browser.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { api } from './api.mjs';
import { base, browse } from './browser.mjs';

const demo = api(base);
/** Of its own, so that a demo that ran before is good enough. */
const TITLE = `Slides for a first meeting, in a title that is long enough for two lines (${process.pid})`;
/** Two parts. */
const FILE = Buffer.concat([Buffer.from('%PDF-1.7\n'), Buffer.alloc(200_000, 'x')]);

let page;
const { step } = browse((opened) => (page = opened), { permissions: ['clipboard-read', 'clipboard-write'], settings: {} });

const person = async (role) => (await demo.people()).find((one) => one.role === role);
const pages = () => page.getByRole('navigation', { name: 'Pages' });

async function signIn(role) {
  const { person: id } = await person(role);
  await page.goto(base);
  await page.locator(`[data-person=${JSON.stringify(id)}]`).click();
  await pages().waitFor();
}
async function signOut() {
  await page.getByRole('button', { name: /^Sign out/ }).click();
  await page.getByRole('heading', { name: 'Sign in', exact: true }).waitFor();
}
const titles = () => page.getByRole('list', { name: 'Resources' }).getByRole('listitem');
const mine = () => page.getByRole('listitem', { name: TITLE, exact: true });

step('an agency copies a template with its own link in it', async () => {
  await signIn('owner');
  await page.keyboard.press('g');
  await page.keyboard.press('s');
  await page.getByRole('heading', { name: 'Resources', exact: true }).waitFor();
  for (const kind of ['E-mail templates', 'Case studies', 'Best practice']) await page.getByRole('heading', { name: kind, exact: true }).waitFor();
  const { link_url, partner } = await demo.get('/v1/overview', await demo.token((await person('owner')).person));

  await page.getByRole('region', { name: 'E-mail templates' }).getByRole('button', { name: 'Copy' }).first().click();
  await page.getByText('is copied, with your link in it.').waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(copied.includes(link_url) && copied.includes(partner.name), copied);
  assert.ok(!/\{(link|agency)\}/.test(copied), copied);
  assert.match(copied, /AIKit pays us a commission/);

  await page.getByRole('region', { name: 'Case studies' }).getByRole('button', { name: 'Read' }).first().click();
  const panel = page.getByRole('dialog');
  assert.ok((await panel.getByTestId('resource-text').textContent()).length > 500);
  await page.keyboard.press('Escape');
  await panel.waitFor({ state: 'detached' });

  await page.keyboard.press('/');
  await page.keyboard.type('lógistics twelve');
  assert.equal(await page.getByRole('article').count(), 1);
  await page.keyboard.type(' nowhere');
  await page.getByText('Nothing found').waitFor();
  await signOut();
});

step('finance has no page for it', async () => {
  await signIn('finance');
  await pages().getByRole('link', { name: /^Runs/ }).waitFor();
  assert.equal(await pages().getByRole('link', { name: /Material/ }).count(), 0);
  await page.goto(new URL('#/material', base).href);
  await page.getByRole('heading', { name: 'No such page' }).waitFor();
  await signOut();
});

step('the partner team writes a resource with a file, and publishes it', async () => {
  await signIn('staff');
  await pages().getByRole('link', { name: /^Material/ }).click();
  await titles().first().waitFor();
  await page.getByRole('button', { name: 'Write a resource' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Kind').selectOption({ label: 'Material' });
  await dialog.getByRole('textbox', { name: 'Title' }).fill(TITLE);
  await dialog.getByLabel('Summary').fill('Twelve pages that you may change.');
  await dialog.getByLabel('Link', { exact: true }).fill('http://aikit.example/slides');
  await dialog.getByText('The whole address, beginning with https://').waitFor();
  await dialog.getByLabel('Link', { exact: true }).fill('');
  await dialog.locator('input[type=file]').setInputFiles({ name: 'logo.svg', mimeType: 'image/svg+xml', buffer: Buffer.from('<svg/>') });
  await dialog.getByText(/^Only PDF/).waitFor();
  await dialog.locator('input[type=file]').setInputFiles({ name: 'First meeting.pdf', mimeType: 'application/pdf', buffer: FILE });
  await dialog.getByRole('region', { name: 'Preview' }).getByText('Save PDF · 200 kB').waitFor();
  await dialog.getByRole('button', { name: 'Save', exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
  await mine().getByText('First meeting.pdf').waitFor();

  await mine().getByRole('switch', { name: 'Published' }).click();
  await page.getByText(`Agencies see «${TITLE}» now.`).waitFor();
  const before = await titles().count();
  assert.equal(await titles().last().getAttribute('aria-label'), TITLE, 'A new one is the last.');
  await mine().getByRole('button', { name: 'Move up' }).focus();
  for (let place = before; place > 1; place--) await page.keyboard.press('Alt+ArrowUp');
  await page.getByText(`${TITLE} is now number 1 of ${before}.`).waitFor({ state: 'attached' });
  // Said on the screen at once, and so at the API a moment later.
  const token = await demo.token((await person('staff')).person);
  for (let tries = 0; (await demo.get('/v1/resources/all', token))[0].title !== TITLE; tries++) {
    assert.ok(tries < 50, 'The order did not arrive.');
    await page.waitForTimeout(100);
  }
  await signOut();
});

step('an agency saves that file as it was sent', async () => {
  await signIn('owner');
  await pages().getByRole('link', { name: /^Resources/ }).click();
  const saved = page.waitForEvent('download');
  await page.getByRole('article', { name: TITLE }).getByRole('button', { name: /^Save/ }).click();
  const download = await saved;
  assert.equal(download.suggestedFilename(), 'First-meeting.pdf');
  assert.ok(FILE.equals(await readFile(await download.path())));
  await signOut();
});

step('a deletion is taken back, and then meant', async () => {
  await signIn('staff');
  await pages().getByRole('link', { name: /^Material/ }).click();
  await mine().getByRole('button', { name: 'Delete' }).click();
  await mine().waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Undo' }).click();
  await mine().waitFor();
  const token = await demo.token((await person('staff')).person);
  const there = async () => (await demo.get('/v1/resources/all', token)).some(({ title }) => title === TITLE);
  await mine().getByRole('button', { name: 'Delete' }).click();
  await page.waitForTimeout(1000);
  assert.ok(await there(), 'It is there until it is too late to take it back.');
  for (let tries = 0; await there(); tries++) {
    assert.ok(tries < 100, 'It was not deleted.');
    await page.waitForTimeout(200);
  }
  await mine().waitFor({ state: 'detached' });
  await signOut();
});
