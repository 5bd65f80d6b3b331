/** How it looks, to eyes, to screen readers and to the network: pictures to be looked at, axe, and what is loaded. */

import { mkdirSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import {
  api,
  ask,
  expectAccessible,
  expectNoComplaints,
  extracting,
  file,
  freshCollection,
  generating,
  newPage,
  ready,
  SCREENS,
  shots,
} from './browser';

let full: string;
let empty: string;
beforeAll(async () => {
  mkdirSync(shots, { recursive: true });
  [full, empty] = await Promise.all([freshCollection(extracting()), freshCollection(extracting())]);
  for (const name of ['handbook.pdf', 'guide.md', 'report.docx', 'budget.xlsx', 'minutes.txt', 'talk.pptx']) {
    await ready(extracting(), full, name);
  }
  await api(extracting(), 'POST', `/collections/${full}/faqs`, {
    question: 'Who drives?',
    answer: 'Whoever is sober.',
  });
});

// Sources whose files are no pages: a name of the picture, a question, and the title of the document.
const TEXTS: [string, string, string][] = [
  ['letter', 'How wide are the cracks of the third pillar?', 'Bridge inspection 2024'],
  ['sheet', 'Who keeps the keys to the generator?', 'Budget of the festival'],
];

// A name of the picture, and the button that opens it.
const DIALOGS: [string, string][] = [
  ['dialog-key', 'Create a key'],
  ['dialog-faq', 'Add a FAQ'],
  ['dialog-confirmation', 'Delete'],
];

for (const [screen, wanted] of SCREENS) {
  test(`every view is without serious findings, and pictured, on ${screen}`, async () => {
    const look = async (page: Page, name: string) => {
      await page.screenshot({ path: `${shots}/${name}-${screen}.png`, animations: 'disabled' });
      await expectAccessible(page);
    };
    const fresh = await newPage({ ...wanted, collection: empty });
    await fresh.goto(extracting().url);
    await fresh.getByText('Begin with a document').waitFor();
    await look(fresh, 'welcome');
    await fresh.goto(`${extracting().url}/#/documents`);
    await fresh.getByText('No documents yet').waitFor();
    await look(fresh, 'documents-empty');

    const page = await newPage({ ...wanted, collection: full });
    await page.goto(extracting().url);
    await ask(page, 'How much is the daily allowance abroad?');
    await page.locator('.turn[data-state=answered] .card').first().waitFor();
    await look(page, 'answer');
    await page.locator('.cite').first().click();
    await page.locator('.page[data-drawn=true]').waitFor();
    await look(page, 'source');
    await page.getByRole('button', { name: 'Close the source' }).click();
    for (const [name, question, title] of TEXTS) {
      await ask(page, question);
      const turn = page.locator('.turn').filter({ hasText: question });
      await turn.locator('.card').filter({ hasText: title }).first().click();
      await page.locator('.file-text mark').first().waitFor();
      await look(page, `source-${name}`);
      await page.getByRole('button', { name: 'Close the source' }).click();
    }
    await ask(page, 'Who won the football world cup of 1998?');
    await page.locator('.turn[data-state=answered]').filter({ hasText: 'football' }).waitFor();
    await page.getByText('Not in your documents').last().waitFor();
    await look(page, 'abstained');
    await page.goto(`${extracting().url}/#/documents`);
    await page.setInputFiles('#choose-files', ['locked.pdf', 'no-text.pdf'].map(file));
    await expect.poll(() => page.locator('.row.is-failed').count()).toBe(2);
    await look(page, 'documents');
    await page.goto(`${extracting().url}/#/operations`);
    await page.locator('.with-spark').first().waitFor();
    await page.getByText('Who drives?').waitFor();
    await look(page, 'operations');
    const dialog = page.locator('dialog');
    for (const [name, button] of DIALOGS) {
      await page.getByRole('button', { name: button, exact: true }).first().click();
      await dialog.waitFor();
      await look(page, name);
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'detached' });
    }
    expectNoComplaints();
  });
}

test('on a phone the drawer takes the focus, keeps it, and gives it back', async () => {
  const page = await newPage({
    collection: full,
    viewport: { width: 390, height: 844 },
    hasTouch: true,
    isMobile: true,
  });
  await page.goto(extracting().url);
  const opener = page.getByRole('button', { name: 'Menu' });
  const isIn = () => page.evaluate(() => document.activeElement?.closest('nav') !== null);
  await opener.click();
  await expect.poll(isIn).toBe(true);
  await page.screenshot({ path: `${shots}/drawer.png`, animations: 'disabled' });
  await expectAccessible(page);
  await page.keyboard.press('Escape');
  await page.locator('nav.is-open').waitFor({ state: 'detached' });
  await expect.poll(() => opener.evaluate((element) => element === document.activeElement)).toBe(true);
  await opener.click();
  await page.getByRole('link', { name: 'Documents' }).click();
  await page.getByRole('heading', { name: 'Documents' }).waitFor();
  await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('content');
  expect(await page.title()).toBe('Documents · Lectern');
  expectNoComplaints();
});

test('nothing moves for those who want less motion', async () => {
  const collection = await freshCollection(generating());
  await ready(generating(), collection, 'handbook.pdf');
  const page = await newPage({ collection, reducedMotion: 'reduce' });
  await page.goto(generating().url);
  const moving = () => page.evaluate(() => document.getAnimations().filter(({ playState }) => playState === 'running'));
  await ask(page, 'How much is the daily allowance abroad?');
  await page.getByText('word5 ').waitFor();
  expect(await page.locator('.dots').count()).toBe(1);
  expect(await moving()).toEqual([]);
  await page.locator('.turn[data-state=answered]').waitFor();
  await page.locator('.turn .cite').first().click();
  await page.locator('.page[data-drawn=true] .marks mark').first().waitFor();
  expect(await moving()).toEqual([]);
  expectNoComplaints();
});

test('the page speaks Spanish to those who do', async () => {
  const page = await newPage({ collection: full, locale: 'es-ES' });
  await page.goto(`${extracting().url}/#/documents`);
  await page.getByRole('heading', { name: 'Documentos' }).waitFor();
  expect(await page.locator('html').getAttribute('lang')).toBe('es');
  await page.screenshot({ path: `${shots}/documents-spanish.png`, animations: 'disabled' });
  await page.getByLabel('Idioma').selectOption('en');
  await page.getByRole('heading', { name: 'Documents' }).waitFor();
  expectNoComplaints();
});

test('all can be done with the keyboard: ask, open a source, close it, go to the documents', async () => {
  const page = await newPage({ collection: full });
  await page.goto(extracting().url);
  await page.locator('#question').waitFor();
  await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('question');
  await page.keyboard.type('How much is the daily allowance abroad?');
  await page.keyboard.press('Enter');
  const cite = page.locator('.cite').first();
  await cite.waitFor();
  for (let steps = 0; !(await cite.evaluate((element) => element === document.activeElement)); steps++) {
    expect(steps).toBeLessThan(40);
    await page.keyboard.press('Shift+Tab');
  }
  await page.keyboard.press('Enter');
  await page.locator('.page[data-drawn=true]').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('.viewer').waitFor({ state: 'detached' });
  const documents = page.getByRole('link', { name: 'Documents' });
  for (let steps = 0; !(await documents.evaluate((element) => element === document.activeElement)); steps++) {
    expect(steps).toBeLessThan(60);
    await page.keyboard.press('Shift+Tab');
  }
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Documents' }).waitFor();
  expectNoComplaints();
});

/** Bytes that go over the wire, compressed. */
const BUDGETS = { page: 150_000, widget: 20_000 };

test('the page and the widget stay within their budgets', async () => {
  const page = await newPage({ collection: full });
  await page.goto(extracting().url);
  await page.locator('#question').waitFor();
  const loaded = await page.evaluate(() =>
    [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
      .map((entry) => entry as PerformanceResourceTiming)
      .filter(({ name }) => !name.includes('/api/'))
      .map(({ name, encodedBodySize }) => ({ name, encodedBodySize })),
  );
  expect(loaded.some(({ name }) => name.includes('pdf'))).toBe(false);
  const total = loaded.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
  expect(total).toBeGreaterThan(10_000);
  expect(total).toBeLessThan(BUDGETS.page);
  const widget = await (await fetch(`${extracting().url}/widget.js`)).arrayBuffer();
  expect(gzipSync(Buffer.from(widget), { level: 9 }).length).toBeLessThan(BUDGETS.widget);
});
