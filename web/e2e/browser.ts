/** A browser, pages in it, and what the tests do again and again. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, inject } from 'vitest';
import type { Place } from './product';

const here = new URL('.', import.meta.url).pathname;
export const file = (name: string): string => resolve(here, '../../worker/tests/files', name);
export const shots = resolve(here, '../../target/web-screenshots');

export const KEY = 'lectern-dev';

let browser: Browser;
beforeAll(async () => {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  // As root, as in containers, Chromium's own sandbox doesn't start.
  browser = await chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
});
afterAll(() => browser?.close());

/** What a page said that it should not have. */
export const complaints: string[] = [];

export interface Wanted extends BrowserContextOptions {
  collection?: string;
  theme?: 'light' | 'dark';
  language?: string;
  key?: string;
}

export async function newPage({ collection, theme, language, key, ...options }: Wanted = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 820 }, locale: 'en-GB', ...options });
  const kept = { 'lectern.collection': collection, 'lectern.theme': theme, 'lectern.language': language };
  await context.addInitScript((values: Record<string, string | undefined>) => {
    for (const [name, value] of Object.entries(values)) if (value) localStorage.setItem(name, value);
  }, kept);
  if (key) await context.addInitScript((value: string) => sessionStorage.setItem('lectern.key', value), key);
  const page = await context.newPage();
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    complaints.push(`${message.text()} (${message.location().url})`);
  });
  return page;
}

/** Nothing was complained of since the last time. */
export function expectNoComplaints(but?: RegExp): void {
  const found = complaints.splice(0).filter((complaint) => !but?.test(complaint));
  expect(found).toEqual([]);
}

export async function api<T>(place: Place, method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(`${place.url}/api/v1${path}`, {
    method,
    headers: { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return (text ? JSON.parse(text) : undefined) as T;
}

let collections = 0;

/** A collection of the test's own. */
export async function freshCollection(place: Place): Promise<string> {
  const name = `c${Date.now().toString(36)}${++collections}`;
  await api(place, 'POST', '/collections', { name });
  return name;
}

/** Uploads a file and waits until it has been read. */
export async function ready(place: Place, collection: string, name: string): Promise<string> {
  const form = new FormData();
  form.append('collection', collection);
  form.append('file', new Blob([readFileSync(file(name))]), name);
  const headers = { Authorization: `Bearer ${KEY}` };
  const response = await fetch(`${place.url}/api/v1/documents`, { method: 'POST', headers, body: form });
  const { id } = (await response.json()) as { id: string };
  for (;;) {
    const { state } = await api<{ state: string }>(place, 'GET', `/documents/${id}`);
    if (state === 'ready') return id;
    if (state === 'failed') throw new Error(`${name} has failed`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The words of the page of a PDF that lie under marks, and those that don't. */
export async function underMarks(page: Page): Promise<{ marked: string; others: string }> {
  await page.locator('.page[data-drawn=true] .marks mark').first().waitFor();
  return page.evaluate(() => {
    const marks = [...document.querySelectorAll('.marks mark')].map((mark) => mark.getBoundingClientRect());
    const spans = [...document.querySelectorAll('.textLayer span')].filter((span) => span.textContent?.trim());
    const isMarked = (span: Element) => {
      const { left, top, right, bottom } = span.getBoundingClientRect();
      const [x, y] = [(left + right) / 2, (top + bottom) / 2];
      return marks.some((mark) => mark.left <= x && x <= mark.right && mark.top <= y && y <= mark.bottom);
    };
    const text = (wanted: boolean) =>
      spans
        .filter((span) => isMarked(span) === wanted)
        .map((span) => span.textContent)
        .join(' ');
    return { marked: text(true), others: text(false) };
  });
}

/** Collects what is said of the documents while they are read: a stage may be gone before one looks. */
export async function noteStages(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(() => {
    const seen = new Set<string>();
    (window as unknown as { stages: Set<string> }).stages = seen;
    const note = () => {
      for (const cell of document.querySelectorAll('.cell-state .words')) seen.add(cell.textContent ?? '');
    };
    new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  return () => page.evaluate(() => [...(window as unknown as { stages: Set<string> }).stages]);
}

/** Files and folders of this machine, dragged over the page and let go, as a hand would. */
export async function drag(page: Page, ...files: string[]): Promise<{ drop: () => Promise<void> }> {
  const session = await page.context().newCDPSession(page);
  const at = { x: 500, y: 400, data: { items: [], files, dragOperationsMask: 1 } };
  const send = (type: 'dragEnter' | 'dragOver' | 'drop') => session.send('Input.dispatchDragEvent', { type, ...at });
  await send('dragEnter');
  // Over and over, as long as it is held: what is below may have changed meanwhile.
  const held = setInterval(() => void send('dragOver').catch(() => undefined), 100);
  const drop = async () => {
    clearInterval(held);
    await send('dragOver');
    await send('drop');
  };
  return { drop };
}

export async function ask(page: Page, question: string): Promise<void> {
  await page.fill('#question', question);
  await page.press('#question', 'Enter');
}

export const extracting = (): Place => inject('extracting');
export const generating = (): Place => inject('generating');

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The policy of the page forbids scripts that are put in; the tests' own is let through the debugger's door. */
export async function expectAccessible(page: Page): Promise<void> {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: typeof import('axe-core') };
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  });
  expect(found).toEqual([]);
}

export const SCREENS: [string, Wanted][] = [
  ['desktop-light', { theme: 'light' }],
  ['desktop-dark', { theme: 'dark' }],
  ['phone-light', { theme: 'light', viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }],
  ['phone-dark', { theme: 'dark', viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }],
];
