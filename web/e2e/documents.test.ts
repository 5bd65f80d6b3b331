/** Documents, on the running product. */

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import {
  api,
  drag,
  expectNoComplaints,
  extracting,
  file,
  freshCollection,
  newPage,
  noteStages,
  ready,
} from './browser';

test('many files at once are read before one’s eyes, and what fails says why and what to do', async () => {
  const page = await newPage({ collection: await freshCollection(extracting()) });
  await page.goto(`${extracting().url}/#/documents`);
  await page.getByText('No documents yet').waitFor();
  await page.setInputFiles('#choose-files', ['handbook.pdf', 'guide.md', 'report.docx', 'locked.pdf'].map(file));
  await expect.poll(() => page.locator('.row.is-ready').count()).toBe(3);
  const failed = page.locator('.row.is-failed');
  await failed.getByText('protected by a password').click();
  await page.getByRole('button', { name: 'Enter the password' }).click();
  await page.locator('input[type=password]').fill('wrong');
  await page.locator('dialog').getByRole('button', { name: 'Try again' }).click();
  await page.locator('.row.is-failed').getByText('wrong').waitFor();
  expectNoComplaints();
});

test('a document is searched for, opened, replaced and deleted', async () => {
  const collection = await freshCollection(extracting());
  await ready(extracting(), collection, 'guide.md');
  await ready(extracting(), collection, 'handbook.pdf');
  const page = await newPage({ collection });
  await page.goto(`${extracting().url}/#/documents`);
  await expect.poll(() => page.locator('.row').count()).toBe(2);
  await page.getByLabel('Search by name').fill('hand');
  await expect.poll(() => page.locator('.row').count()).toBe(1);
  await page.getByRole('button', { name: 'handbook.pdf', exact: true }).click();
  await page.locator('.page[data-drawn=true]').waitFor();
  await page.getByRole('button', { name: 'Close the source' }).click();
  await page.locator('.row input[type=file]').setInputFiles(file('report.pdf'));
  await page.getByText('Version 2').waitFor();
  await page.getByRole('button', { name: 'Actions for handbook.pdf' }).click();
  // Nothing of the menu is cut off or covered.
  const hidden = await page.getByRole('menuitem').evaluateAll((items) =>
    items.filter((item) => {
      const { left, top, width, height } = item.getBoundingClientRect();
      return !item.contains(document.elementFromPoint(left + width / 2, top + height / 2));
    }),
  );
  expect(hidden).toEqual([]);
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  await page.locator('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('No document matches.').waitFor();
  const { documents } = await api<{ documents: { name: string }[] }>(
    extracting(),
    'GET',
    `/documents?collection=${collection}`,
  );
  expect(documents.map(({ name }) => name)).toEqual(['guide.md']);
  expectNoComplaints();
});

test('a folder is dropped anywhere, and what is in it is read under its path', async () => {
  const root = mkdtempSync(join(tmpdir(), 'lectern-drop-'));
  mkdirSync(join(root, 'books/old'), { recursive: true });
  cpSync(file('guide.md'), join(root, 'books/guide.md'));
  cpSync(file('minutes.txt'), join(root, 'books/old/minutes.txt'));
  writeFileSync(join(root, 'books/.hidden'), 'nobody means it');
  const page = await newPage({ collection: await freshCollection(extracting()) });
  await page.goto(extracting().url);
  await page.locator('#question').waitFor();
  const { drop } = await drag(page, join(root, 'books'), file('handbook.pdf'));
  await page.getByText('Drop files or folders to add them').waitFor();
  await drop();
  await expect.poll(() => page.locator('.row.is-ready').count()).toBe(3);
  const names = await page.locator('.row .title').allInnerTexts();
  expect(names.sort()).toEqual(['books/guide.md', 'books/old/minutes.txt', 'handbook.pdf']);
  expect(await page.locator('.drop-target').count()).toBe(0);
  rmSync(root, { recursive: true });
  expectNoComplaints();
});

test('an upload says how far it is, and can be stopped', async () => {
  const page = await newPage({ collection: await freshCollection(extracting()) });
  await page.goto(`${extracting().url}/#/documents`);
  await page.getByText('No documents yet').waitFor();
  const session = await page.context().newCDPSession(page);
  const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 200_000 };
  await session.send('Network.emulateNetworkConditions', slow);
  const text = { name: 'long.txt', mimeType: 'text/plain', buffer: Buffer.alloc(3_000_000, 'All is well. ') };
  await page.setInputFiles('#choose-files', [text]);
  const panel = page.getByRole('region', { name: 'Uploads' });
  await panel.getByText(/^\d+ % · 3 MB$/).waitFor();
  const share = () => panel.locator('progress').evaluate((bar) => (bar as HTMLProgressElement).position);
  await expect.poll(share).toBeGreaterThan(0.05);
  await panel.getByRole('button', { name: 'Stop uploading long.txt' }).click();
  await panel.waitFor({ state: 'detached' });
  await page.getByText('No documents yet').waitFor();
  expectNoComplaints();
});

test('pages count up while a document is read, what waits says how many come before it, and both can be cancelled', async () => {
  const collection = await freshCollection(extracting());
  const printer = await newPage();
  const sentence =
    'The pump of the northern station is looked after by the second shift, which writes down what it finds. ';
  await printer.setContent(
    Array.from(
      { length: 400 },
      (_, page) => `<p style="break-after: page">Page ${page}. ${sentence.repeat(12)}</p>`,
    ).join(''),
  );
  const buffer = await printer.pdf();
  await printer.close();
  const page = await newPage({ collection });
  await page.goto(`${extracting().url}/#/documents`);
  await page.getByText('No documents yet').waitFor();
  const stages = await noteStages(page);
  const files = Array.from({ length: 6 }, (_, index) => ({
    name: `log-${index}.pdf`,
    mimeType: 'application/pdf',
    // Files that are the same are taken once.
    buffer: Buffer.concat([buffer, Buffer.from(`\n% ${index}\n`)]),
  }));
  await page.setInputFiles('#choose-files', files);
  const said = async (pattern: RegExp) => (await stages()).filter((words) => pattern.test(words));
  await expect.poll(() => said(/^Waiting · \d+ ahead/)).not.toEqual([]);
  await expect.poll(() => said(/\d+ of 400|of [\d,]+ passages/)).not.toEqual([]);
  await expect.poll(() => said(/about .+ left/)).not.toEqual([]);
  for (const which of ['queued', 'processing']) {
    const row = page.locator(`.row.is-${which}`).first();
    const name = await row.locator('.title').innerText();
    await row.getByRole('button', { name: /^Actions/ }).click();
    await page.getByRole('menuitem', { name: 'Cancel' }).click();
    await page.locator('.row.is-cancelled').filter({ hasText: name }).waitFor();
  }
  await page.close();
  const { documents } = await api<{ documents: { id: string }[] }>(
    extracting(),
    'GET',
    `/documents?collection=${collection}`,
  );
  // Else those that were not cancelled would keep the worker from the tests that follow.
  for (const { id } of documents) await api(extracting(), 'DELETE', `/documents/${id}`);
  expectNoComplaints();
});

test('names and contents that are markup are shown as they are and run nothing', async () => {
  const page = await newPage({ collection: await freshCollection(extracting()) });
  await page.goto(`${extracting().url}/#/documents`);
  const hostile =
    '<h1>Trap</h1><script>window.hacked=1</script><img src=x onerror="window.hacked=1"><p>A trap is a device.</p>';
  await page.setInputFiles('#choose-files', [
    { name: '<img src=x onerror=window.hacked=1>.html', mimeType: 'text/html', buffer: Buffer.from(hostile) },
    {
      name: '<svg onload=window.hacked=1>.md',
      mimeType: 'text/markdown',
      buffer: Buffer.from(`# <svg onload=window.hacked=1>\n\n${hostile}`),
    },
    {
      name: 'picture.svg',
      mimeType: 'image/svg+xml',
      buffer: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="window.hacked=1"/>'),
    },
  ]);
  await expect.poll(() => page.locator('.row.is-ready').count()).toBeGreaterThanOrEqual(2);
  await page.getByRole('button', { name: '<img src=x onerror=window.hacked=1>.html', exact: true }).click();
  await page.locator('.viewer').waitFor();
  await page.getByRole('button', { name: 'Close the source' }).click();
  await page.getByRole('button', { name: '<svg onload=window.hacked=1>.md', exact: true }).click();
  await page.locator('.file-text').waitFor();
  expect(await page.locator('main img, .viewer img, .viewer script').count()).toBe(0);
  expect(await page.evaluate(() => 'hacked' in window)).toBe(false);
  // What is no document is refused, in words.
  expectNoComplaints(/415/);
});

test('a file without anything to read fails alone', async () => {
  const collection = await freshCollection(extracting());
  const page = await newPage({ collection });
  await page.goto(`${extracting().url}/#/documents`);
  await page.setInputFiles('#choose-files', ['no-text.pdf', 'minutes.txt'].map(file));
  await page.locator('.row.is-ready').waitFor();
  await page.locator('.row.is-failed .words').waitFor();
  expectNoComplaints();
});

test('of ten thousand documents only those in sight are on the page, to the last one', async () => {
  const collection = await freshCollection(extracting());
  const id = await ready(extracting(), collection, 'minutes.txt');
  const database = new Client({ connectionString: extracting().database });
  await database.connect();
  await database.query(
    `with copy as (
       insert into documents
       select (jsonb_populate_record(documents,
         jsonb_build_object('id', gen_random_uuid(), 'name', 'copy-' || n || '.txt'))).*
       from documents, generate_series(1, 9999) n where id = $1
       returning id
     )
     insert into versions
     select (jsonb_populate_record(versions, jsonb_build_object('document_id', copy.id))).*
     from versions, copy where document_id = $1`,
    [id],
  );
  const page = await newPage({ collection });
  await page.goto(`${extracting().url}/#/documents`);
  await page.locator('.row').first().waitFor();
  const list = page.locator('.rows');
  for (let most = 0; ; ) {
    const count = Number(await list.getAttribute('aria-rowcount'));
    most = Math.max(most, await page.locator('.row').count());
    expect(most).toBeLessThan(80);
    if (count === 10_001) break;
    await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
  await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
  await page.locator('.row[aria-rowindex="10001"]').waitFor();
  await database.query('delete from documents where collection_id = (select id from collections where name = $1)', [
    collection,
  ]);
  await database.end();
  expectNoComplaints();
});
