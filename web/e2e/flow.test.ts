/** All of it in one go, as a reader would: from a file to an answer with its place in it, and away again. */

import { expect, test } from 'vitest';
import { ask, expectNoComplaints, file, freshCollection, generating, newPage, noteStages, underMarks } from './browser';
import { WORDS } from './generator';

test('a PDF is uploaded, read, asked about, cited, and deleted, with a reload in the middle of the answer', async () => {
  const page = await newPage({ collection: await freshCollection(generating()) });
  await page.goto(`${generating().url}/#/documents`);
  await page.getByText('No documents yet').waitFor();
  const stages = await noteStages(page);
  await page.setInputFiles('#choose-files', file('handbook.pdf'));
  await page.locator('.row.is-ready').waitFor();
  expect((await stages()).some((words) => /^(Waiting|Starting|Reading|Indexing|Dividing)/.test(words))).toBe(true);

  await page.getByRole('link', { name: 'Ask', exact: true }).click();
  await page.evaluate(() => {
    const lengths = new Set<number>();
    Object.assign(window, { lengths });
    const note = () => lengths.add(document.querySelector('.answer')?.textContent.length ?? 0);
    new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  await ask(page, 'How much is the daily allowance abroad?');
  await page.getByText('word12 ').waitFor();
  const lengths = await page.evaluate(() => (window as unknown as { lengths: Set<number> }).lengths.size);
  expect(lengths).toBeGreaterThan(3);
  await page.reload();
  await page.locator('.turn[data-state=answered]').waitFor();
  const text = (await page.locator('.answer').innerText()).replace(/\s*1\s*$/, '').trim();
  expect(text.split(/\s+/)).toEqual(WORDS);

  await page.locator('.turn .cite').first().click();
  const { marked, others } = await underMarks(page);
  expect(marked).toContain('47 euros abroad');
  expect(others).not.toContain('47 euros abroad');
  expect(await page.locator('.viewer .unseen').first().textContent()).toContain('47 euros abroad');
  await page.keyboard.press('Escape');

  await page.getByRole('link', { name: 'Documents' }).click();
  await page.getByRole('button', { name: 'Actions for handbook.pdf' }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  await page.locator('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('No documents yet').waitFor();
  await page.goBack();
  await page.reload();
  await page.getByText('Out of date').waitFor();
  expectNoComplaints();
});
