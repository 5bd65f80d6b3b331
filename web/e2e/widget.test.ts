/** The widget on a site of another origin, which allows this server's script and answers, and nothing else. */

import { mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  expectAccessible,
  expectNoComplaints,
  extracting,
  freshCollection,
  generating,
  KEY,
  newPage,
  ready,
  SCREENS,
  shots,
} from './browser';
import type { Place } from './product';

let server: Server;
let site: string;
const collections = new Map<Place, string>();
const keys = new Map<Place, string>();

/** A key of the kind that stands in pages: for this site and this collection alone. */
async function widgetKey(place: Place, collection: string, origin: string): Promise<string> {
  const response = await fetch(`${place.url}/api/v1/keys`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ name: 'site', kind: 'widget', collections: [collection], origins: [origin] }),
  });
  expect(response.status).toBe(201);
  return ((await response.json()) as { key: string }).key;
}

const html = (place: Place, theme: string) => `<!doctype html>
<html lang="en"><title>A site</title><meta name="viewport" content="width=device-width"><style>button { display: none !important; color: red !important }</style>
<body><p>A site of somebody.</p>
<script src="${place.url}/widget.js" data-key="${keys.get(place)}" data-collection="${collections.get(place)}" data-text-title="Ask the library" data-theme="${theme}" async></script>
</body></html>`;

beforeAll(async () => {
  server = createServer((request, response) => {
    const place = request.url === '/generating' ? generating() : extracting();
    const policy = `default-src 'none'; script-src ${place.url}; connect-src ${place.url}; require-trusted-types-for 'script'; trusted-types 'none'`;
    response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Security-Policy': policy });
    response.end(html(place, request.url === '/dark' ? 'dark' : 'light'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (const place of [extracting(), generating()]) {
    const collection = await freshCollection(place);
    collections.set(place, collection);
    keys.set(place, await widgetKey(place, collection, site));
    await ready(place, collection, 'handbook.pdf');
  }
});
afterAll(() => server?.close());

/** The site's own style is refused by its own policy, as it should be. */
const OWN = /style-src|inline style|favicon/i;

test('the widget answers with its source on a foreign site with a strict policy, and remembers', async () => {
  const page = await newPage();
  await page.goto(site);
  await page.getByRole('button', { name: 'Ask a question' }).click();
  const panel = page.getByRole('dialog', { name: 'Ask the library' });
  await panel.getByLabel('Your question').fill('How much is the daily allowance abroad?');
  await page.keyboard.press('Enter');
  await panel.getByText('47 euros abroad').waitFor();
  // The site doesn't say that it is UTF-8, and so browsers take the script for something else.
  await expect.poll(() => panel.locator('.answer').innerText()).toMatch(/abroad\.\s*1$/);
  await panel.getByRole('button', { name: 'Source 1' }).click();
  await panel.getByText('Fernhill Travel Policy').waitFor();
  await panel.getByRole('button', { name: 'Good answer' }).click();
  await panel.locator('[aria-pressed=true]').waitFor();
  await page.reload();
  await page.getByRole('button', { name: 'Ask a question' }).click();
  await page.getByText('47 euros abroad').first().waitFor();
  await page.getByRole('button', { name: 'Start over' }).click();
  await expect.poll(() => page.getByText('47 euros abroad').count()).toBe(0);
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  expectNoComplaints(OWN);
});

for (const [screen, { theme, ...wanted }] of SCREENS) {
  test(`the widget is without serious findings, and pictured, on ${screen}`, async () => {
    const page = await newPage(wanted);
    await page.goto(`${site}/${theme}`);
    await page.getByRole('button', { name: 'Ask a question' }).click();
    await page.getByLabel('Your question').fill('How much is the daily allowance abroad?');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Good answer' }).waitFor();
    mkdirSync(shots, { recursive: true });
    await page.screenshot({ path: `${shots}/widget-${screen}.png`, animations: 'disabled' });
    await expectAccessible(page);
    expectNoComplaints(OWN);
  });
}

test('markup in an answer does nothing in the widget', async () => {
  const page = await newPage();
  await page.goto(`${site}/generating`);
  await page.getByRole('button', { name: 'Ask a question' }).click();
  await page.getByLabel('Your question').fill('How much is the daily allowance abroad? hostile');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Good answer' }).waitFor();
  const answer = page.locator('.answer');
  expect(await answer.locator('img, script, svg, iframe, b').count()).toBe(0);
  expect(await answer.locator('a[href^=javascript], a[href^=data]').count()).toBe(0);
  expect(await page.evaluate(() => 'hacked' in window)).toBe(false);
  expectNoComplaints(OWN);
});

test('an answer is stopped and the widget goes on', async () => {
  const page = await newPage();
  await page.goto(`${site}/generating`);
  await page.getByRole('button', { name: 'Ask a question' }).click();
  await page.getByLabel('Your question').fill('How much is the daily allowance abroad?');
  await page.keyboard.press('Enter');
  await page.getByText('word5 ').waitFor();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByText('Stopped.').waitFor();
  expect(await page.getByText('word60').count()).toBe(0);
  expectNoComplaints(OWN);
});

test('on a site that its key does not name the widget says that it may not ask', async () => {
  const page = await newPage();
  // The same server under another name is another origin.
  await page.goto(site.replace('127.0.0.1', 'localhost'));
  await page.getByRole('button', { name: 'Ask a question' }).click();
  await page.getByLabel('Your question').fill('How much is the daily allowance abroad?');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').waitFor();
  expect(await page.getByText('47 euros abroad').count()).toBe(0);
});
