import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { chromium, type BrowserContext, type BrowserContextOptions } from 'playwright-core';

import { run } from '../support/command.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { home, type Home } from '../support/up.ts';

const CHROMIUM = '/usr/bin/chromium';

/** Debian's Chromium with a home of its own, in which it trusts `root` where one is given. */
async function browse(t: TestContext, root: string | undefined, options: BrowserContextOptions = {}): Promise<BrowserContext> {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: install the package chromium`);
  const directory = scratchDirectory(t);
  const database = join(directory, '.pki/nssdb');
  mkdirSync(database, { recursive: true });
  const certutil = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await run('certutil', ['-d', `sql:${database}`, ...args]);
    assert.equal(code, 0, stderr);
  };
  await certutil('-N', '--empty-password');
  if (root !== undefined) await certutil('-A', '-n', 'podserve', '-t', 'C,,', '-i', root);
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    env: { PATH: process.env['PATH'] ?? '', HOME: directory },
  });
  t.after(() => browser.close());
  return browser.newContext(options);
}

function rootOf(place: Home): string {
  return join(place.directory, 'data/certificates/ca.pem');
}

test('a browser that trusts ca.pem opens the page without a warning, and sees a renewal without a reload', async (t) => {
  const place = await home(t);
  await place.up();
  const context = await browse(t, rootOf(place));
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  const response = await page.goto(place.page);
  assert.equal(response?.status(), 200);
  assert.equal((await response?.securityDetails())?.issuer?.startsWith('PodServe local CA 1'), true);
  assert.equal(await page.locator('h1').innerText(), 'The certificate is good');
  await page.locator('#live[data-state="on"]').waitFor();
  const fingerprint = await page.locator('article .mono').innerText();

  await page.locator('#summary-default').focus();
  assert.equal((await place.podserve('certificates', '--mode', 'renew', '--force')).code, 0);
  await page
    .locator('article dd', { hasText: /^2\s*published/ })
    .first()
    .waitFor();
  assert.notEqual(await page.locator('article .mono').innerText(), fingerprint);
  assert.equal(await page.evaluate('document.activeElement.id'), 'summary-default', 'the focus stays where it was');
  await page.getByText('served', { exact: false }).first().waitFor();
  assert.deepEqual(complaints, [], 'nothing on the page breaks its own security policy');
});

test('a browser that does not trust the root refuses the page: nothing is trusted behind the back of the user', async (t) => {
  const place = await home(t);
  await place.up();
  const page = await (await browse(t, undefined)).newPage();
  await assert.rejects(page.goto(place.page), /ERR_CERT_AUTHORITY_INVALID/);
});

test('the page says so when the service is gone, and goes on when it is back', async (t) => {
  const place = await home(t);
  const first = await place.up();
  const page = await (await browse(t, rootOf(place))).newPage();
  await page.goto(place.page);
  await page.locator('#live[data-state="on"]').waitFor();
  first.child.kill('SIGTERM');
  await first.done;
  await page.locator('#live[data-state="off"]').waitFor();
  assert.equal(await page.locator('h1').innerText(), 'The certificate is good', 'the last known state stays');
  await place.up();
  await page.locator('#live[data-state="on"]').waitFor({ timeout: 20_000 });
});

test('it works without JavaScript, in the dark and on a telephone, without anything cut off', async (t) => {
  const place = await home(t);
  await place.up();
  const root = rootOf(place);
  for (const colorScheme of ['light', 'dark'] as const) {
    const context = await browse(t, root, { javaScriptEnabled: false, colorScheme, viewport: { width: 360, height: 740 } });
    const page = await context.newPage();
    await page.goto(place.page);
    assert.equal(await page.locator('h1').innerText(), 'The certificate is good');
    const main = await page.locator('main').boundingBox();
    assert.ok(main !== null && main.width <= 360);
    for (const card of await page.locator('.card, pre, table, dd').all()) {
      const box = await card.boundingBox();
      assert.ok(box !== null && box.x >= 0 && box.x + box.width <= 360, `${await card.innerText()} is within the screen`);
    }
    const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#download').click()]);
    assert.equal(download.suggestedFilename(), 'podserve-ca.pem');
  }
});

test('text stands out from its ground by 4.5 to 1 in light and dark', async (t) => {
  const place = await home(t);
  await place.up();
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await (await browse(t, rootOf(place), { colorScheme })).newPage();
    await page.goto(place.page);
    const pairs = await page.evaluate<{ text: string; ratio: number }[]>(CONTRASTS);
    assert.ok(pairs.length > 20);
    for (const { text, ratio } of pairs) assert.ok(ratio >= 4.5, `${colorScheme}: ${text}: ${ratio.toFixed(2)}`);
  }
});

/** WCAG 2.2 §1.4.3: the contrast of each text with the first opaque ground behind it. Runs in the page. */
const CONTRASTS = `(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = channels(colour).map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (channels(colour)[3] !== 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  return [...document.querySelectorAll('h1, h2, h3, p, dt, dd, small, td, th, a, summary, .badge, code')]
    .filter((element) => element.innerText !== '' && element.offsetParent !== null)
    .map((element) => {
      const one = luminance(getComputedStyle(element).color);
      const other = luminance(ground(element));
      return { text: element.innerText.slice(0, 40), ratio: (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) };
    });
})()`;
