/** A browser for the tests of one file: its page, and steps that keep a picture of what went wrong. */
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

/** The demo that is tested. */
export const base = process.env.BASE_URL;
if (base === undefined) throw new Error('BASE_URL is not set. Name the address of a running demo, for example http://127.0.0.1:8787/');

const ARGS = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const FAR_AWAY = { locale: 'de-DE', timezoneId: 'Pacific/Auckland' };

/**
 * The browser of a file of tests, for as long as they run. CHROMIUM names another than Debian's.
 * @param {(page: import('playwright-core').Page) => void} ready takes the page before the first step
 * @param {{ permissions?: string[], settings?: import('playwright-core').BrowserContextOptions }} [options]
 */
export function browse(ready, { permissions = [], settings = FAR_AWAY } = {}) {
  const broken = [];
  /** Filled before the first step. `page` is the window that is looked at. */
  const open = { browser: undefined, context: undefined, page: undefined };

  before(async () => {
    open.browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGS });
    open.context = await open.browser.newContext({ viewport: { width: 1180, height: 820 }, ...settings });
    if (permissions.length > 0) await open.context.grantPermissions(permissions, { origin: new URL(base).origin });
    open.context.setDefaultTimeout(20_000);
    open.context.on('page', (page) => page.on('pageerror', (error) => broken.push(error.stack ?? String(error))));
    open.page = await open.context.newPage();
    ready(open.page);
  });
  after(() => open.browser?.close());

  /** A step of what is tested. What the page looked like is kept when it fails. */
  function step(name, work) {
    test(name, async () => {
      const { page } = open;
      try {
        await work();
        assert.deepEqual(broken, [], 'The page threw.');
      } catch (error) {
        const picture = join(mkdtempSync(join(tmpdir(), 'aikit-browser-')), 'page.png');
        await page.screenshot({ path: picture, fullPage: true }).catch(() => undefined);
        error.message += `\nThe page was ${page.url()} and looked like ${picture}`;
        throw error;
      }
    });
  }
  return { open, step };
}
