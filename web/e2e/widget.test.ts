/** The widget on a site of another origin, which allows this server's script and answers, and nothing else. */

import { mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  complaints,
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
/** What the page has given to be put into sites. */
let tag = '';
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
    if (request.url === '/tag') response.end(`<!doctype html><html lang="en"><title>A site</title><p>Hello.</p>${tag}`);
    else if (request.url === '/bright')
      response.end(html(place, 'light').replace('async', 'data-accent="#ffd54a" async'));
    else response.end(html(place, request.url === '/dark' ? 'dark' : 'light'));
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

test('a light accent has text that can be read on it', async () => {
  const page = await newPage();
  await page.goto(`${site}/bright`);
  await page.getByRole('button', { name: 'Ask a question' }).click();
  await page.getByLabel('Your question').fill('How much is the daily allowance abroad?');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Good answer' }).waitFor();
  await expectAccessible(page);
  expectNoComplaints(OWN);
});

test('a key for a widget is made on the page, and the tag that it shows answers on the site and on the demo page', async () => {
  const place = extracting();
  const collection = collections.get(place) ?? '';
  const page = await newPage({ collection });
  await page.goto(`${place.url}/#/operations`);
  await page.getByRole('button', { name: 'Create a key' }).click();
  const dialog = page.locator('dialog');
  expect(await page.evaluate(() => document.activeElement?.getAttribute('name'))).toBe('name');
  await page.keyboard.type('the site');
  await dialog.getByLabel('Kind').selectOption('widget');
  await dialog.getByRole('textbox', { name: 'Web sites' }).fill(`${site}\n${place.url}`);
  const box = dialog.getByRole('checkbox', { name: collection, exact: true });
  expect(await box.isChecked()).toBe(true);
  await box.uncheck();
  await dialog.getByRole('button', { name: 'Create' }).click();
  await dialog.getByText('Tick at least one collection').waitFor();
  await box.check();
  await dialog.getByLabel('Last day').fill(`${new Date().getFullYear() + 1}-06-30`);
  await dialog.getByText('Limits of its own').click();
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: `${shots}/key-form.png`, animations: 'disabled' });
  await expectAccessible(page);
  await dialog.getByRole('button', { name: 'Create' }).click();
  await dialog.getByText('Copy this key now').waitFor();
  await page.screenshot({ path: `${shots}/key-made.png`, animations: 'disabled' });
  await expectAccessible(page);
  tag = await dialog.locator('code').last().innerText();
  const demo = await dialog.getByRole('link', { name: 'Try it on the demo page' }).getAttribute('href');
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  const line = page.locator('.lines li').filter({ hasText: 'the site' });
  expect(await line.innerText()).toMatch(/works until/);
  for (const where of [`${site}/tag`, `${place.url}${demo}`]) {
    const visitor = await newPage();
    await visitor.goto(where);
    await visitor.getByRole('button', { name: 'Ask a question' }).click();
    await visitor.getByLabel('Your question').fill('How much is the daily allowance abroad?');
    await visitor.keyboard.press('Enter');
    await visitor.getByText('47 euros abroad').waitFor();
    if (where.includes('demo')) await visitor.screenshot({ path: `${shots}/widget-demo.png`, animations: 'disabled' });
    await visitor.close();
  }
  expectNoComplaints(OWN);
});

test('an answer goes on while its visitor goes to another page of the site', async () => {
  const page = await newPage();
  await page.goto(`${site}/generating`);
  await page.getByRole('button', { name: 'Ask a question' }).click();
  await page.getByLabel('Your question').fill('How much is the daily allowance abroad?');
  await page.keyboard.press('Enter');
  await page.getByText('word5 ').waitFor();
  await page.goto('about:blank');
  // Longer than an answer without readers is kept alive.
  await new Promise((resolve) => setTimeout(resolve, 7000));
  await page.goto(`${site}/generating`);
  await page.getByRole('button', { name: 'Ask a question' }).click();
  await page.getByText('word60').waitFor();
  expectNoComplaints(OWN);
});

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

test('a site that no key names gets no answer, and one that another key names is told that it may not ask', async () => {
  const page = await newPage();
  // The same server under another name is another origin.
  const elsewhere = site.replace('127.0.0.1', 'localhost');
  await page.goto(elsewhere);
  await page.getByRole('button', { name: 'Ask a question' }).click();
  await page.getByLabel('Your question').fill('How much is the daily allowance abroad?');
  await page.keyboard.press('Enter');
  await page.getByText('The answers can’t be reached right now.').waitFor();
  // For whoever looks after the site; beside it browsers say the same in their words.
  expect(complaints.some((complaint) => complaint.includes(`${elsewhere} is not among the web sites of the key`))).toBe(
    true,
  );
  expectNoComplaints(/style-src|inline style|favicon|blocked by CORS policy|net::ERR_FAILED|Lectern: /i);
  await widgetKey(extracting(), collections.get(extracting()) ?? '', elsewhere);
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText('This site may not ask here. Its operator has to check the key.').waitFor();
  expect(await page.getByText('47 euros abroad').count()).toBe(0);
  expectNoComplaints(/style-src|inline style|favicon|status of 403/i);
});
