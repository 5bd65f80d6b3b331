/** Asking, on the running product. */

import { beforeAll, expect, test } from 'vitest';
import {
  api,
  ask,
  expectNoComplaints,
  extracting,
  file,
  freshCollection,
  generating,
  newPage,
  ready,
  underMarks,
} from './browser';
import { WORDS } from './generator';
import { wireTo } from './proxy';

let extracted: string;
let generated: string;
beforeAll(async () => {
  [extracted, generated] = await Promise.all([freshCollection(extracting()), freshCollection(generating())]);
  await Promise.all([
    ready(extracting(), extracted, 'handbook.pdf'),
    ready(extracting(), extracted, 'minutes.txt'),
    ready(generating(), generated, 'handbook.pdf'),
  ]);
});

test('a newcomer is led from an empty page by the sample to an answer with its source', async () => {
  const page = await newPage({ collection: await freshCollection(extracting()) });
  await page.goto(extracting().url);
  await page.getByRole('button', { name: 'Try it with a sample' }).click();
  await page.getByRole('button', { name: 'How long may books be borrowed?' }).click();
  const answer = page.locator('.turn[data-state=answered]');
  await answer.waitFor();
  expect(await answer.locator('.answer').innerText()).toContain('four weeks');
  expect(await answer.locator('.card').first().innerText()).toContain('Fernhill Library');
  expectNoComplaints();
});

test('a citation opens the page of the PDF with the marks over the words of the passage and no others', async () => {
  const page = await newPage({ collection: extracted });
  await page.goto(extracting().url);
  await ask(page, 'How much is the daily allowance abroad?');
  await page.locator('.turn .cite').first().click();
  const { marked, others } = await underMarks(page);
  expect(marked).toContain('47 euros abroad');
  expect(marked).not.toContain('Electric cars');
  expect(others).toContain('Electric cars');
  expect(others).not.toContain('47 euros abroad');
  await page.keyboard.press('Escape');
  await page.locator('.viewer').waitFor({ state: 'detached' });
  expect(await page.evaluate(() => document.activeElement?.className)).toBe('cite');
  expectNoComplaints();
});

test('one goes from source to source, and a passage of a text is marked in its text', async () => {
  const page = await newPage({ collection: extracted });
  await page.goto(extracting().url);
  await ask(page, 'How much is the daily allowance abroad?');
  await page.getByRole('button', { name: /^All \d+ passages found/ }).click();
  const cards = page.locator('.card');
  await cards.filter({ hasText: 'minutes.txt' }).first().click();
  await page.locator('.viewer mark').first().waitFor();
  expect((await page.locator('.file-text mark').innerText()).length).toBeGreaterThan(20);
  const label = () => page.locator('.viewer-names .fine').innerText();
  const before = await label();
  await page.keyboard.press('Alt+ArrowLeft');
  await expect.poll(label).not.toBe(before);
  expectNoComplaints();
});

// A file, its title, a question, and what is marked in what.
const FORMATS: [string, string, string, string, string][] = [
  [
    'report.docx',
    'Bridge inspection 2024',
    'How wide are the cracks of the third pillar?',
    '0.4 millimetres',
    'Inspection of the Tannberg bridge',
  ],
  ['budget.xlsx', 'Budget of the festival', 'Who keeps the keys to the generator?', 'Ines Okafor', 'Name'],
  ['talk.pptx', 'Night trains', 'Which share of passengers has a couchette?', '61 percent', 'survey'],
  ['tale.epub', 'The Lamplighter & the Gull', 'What went out on the ninth night?', 'all lamps but one', 'The storm'],
  ['garden.html', 'The school garden', 'When is the watering of the beds done?', 'before eight', 'Purple carrots'],
  ['guide.md', 'Running the Kestrel pump', 'What do I run when the pump stalls?', 'kestrelctl reset', 'Kestrel pump'],
  ['cities.csv', 'cities.csv', 'What is the hotel limit in Lyon?', 'Lyon', 'Zurich'],
];

test('a passage is marked in the text around it, whatever the format of its file', async () => {
  const collection = await freshCollection(extracting());
  for (const [name] of FORMATS) await ready(extracting(), collection, name);
  for (const [name, title, question, marked, around] of FORMATS) {
    const page = await newPage({ collection });
    await page.goto(extracting().url);
    await ask(page, question);
    await page.locator('.turn .card').first().waitFor();
    const all = page.getByRole('button', { name: /^All \d+ passages found/ });
    if (await all.count()) await all.click();
    await page.locator('.card').filter({ hasText: title }).first().click();
    await page.locator('.file-text mark').first().waitFor();
    const text = page.locator('.file-text');
    expect((await text.locator('mark').allInnerTexts()).join(' '), name).toContain(marked);
    expect(await text.innerText(), name).toContain(around);
    await page.close();
  }
  expectNoComplaints();
});

test('a file without pages is leafed through part by part', async () => {
  const collection = await freshCollection(extracting());
  await ready(extracting(), collection, 'tale.epub');
  const page = await newPage({ collection });
  await page.goto(`${extracting().url}/#/documents`);
  await page.getByRole('button', { name: 'tale.epub', exact: true }).click();
  const text = page.locator('.file-text');
  await expect.poll(() => text.innerText()).toContain('forty-two lamps');
  expect(await text.locator('mark').count()).toBe(0);
  while (!(await text.innerText()).includes('ninth night')) {
    const before = await text.innerText();
    await page.getByRole('button', { name: 'Next part' }).click();
    await expect.poll(() => text.innerText()).not.toBe(before);
  }
  expect(await page.getByRole('button', { name: 'Next part' }).isDisabled()).toBe(true);
  expectNoComplaints();
});

test('a follow-up stays in its conversation, which is there again after a reload and in the list', async () => {
  const page = await newPage({ collection: extracted });
  await page.goto(extracting().url);
  await ask(page, 'How much is the daily allowance inside the country?');
  await page.locator('.turn[data-state=answered]').waitFor();
  await ask(page, 'And abroad?');
  await expect.poll(() => page.locator('.turn[data-state=answered]').count()).toBe(2);
  await page.reload();
  await expect.poll(() => page.locator('.turn[data-state=answered] .card').count()).toBeGreaterThan(1);
  expect(await page.locator('.asked').last().innerText()).toContain('And abroad?');
  await page.getByRole('button', { name: 'New conversation' }).first().click();
  await page.locator('.welcome').waitFor();
  await page.locator('.history a').first().click();
  await expect.poll(() => page.locator('.turn').count()).toBe(2);
  expectNoComplaints();
});

test('what the documents do not answer says so and shows the nearest passages', async () => {
  const page = await newPage({ collection: extracted });
  await page.goto(extracting().url);
  await ask(page, 'Who won the football world cup of 1998?');
  await page.getByText('Not in your documents').waitFor();
  expect(await page.locator('.card').count()).toBeGreaterThan(0);
  expectNoComplaints();
});

test('an answer is rated with a reason', async () => {
  const page = await newPage({ collection: extracted });
  await page.goto(extracting().url);
  await ask(page, 'How much may a hotel night cost in Zurich?');
  await page.getByRole('button', { name: 'Bad answer' }).click();
  await page.getByRole('button', { name: 'Incomplete', exact: true }).click();
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.getByText('Thank you').waitFor();
  const { feedback } = await api<{ feedback: { rating: string; reason: string }[] }>(
    extracting(),
    'GET',
    `/feedback?collection=${extracted}`,
  );
  expect(feedback[0]).toMatchObject({ rating: 'down', reason: 'incomplete' });
  await page.reload();
  await page.locator('[aria-pressed=true][aria-label="Bad answer"]').waitFor();
  expectNoComplaints();
});

test('a reload in the middle of an answer loses no word of it and doubles none', async () => {
  const page = await newPage({ collection: generated });
  await page.goto(generating().url);
  await ask(page, 'How much is the daily allowance abroad?');
  await page.getByText('word12 ').waitFor();
  await page.reload();
  await page.locator('.turn[data-state=answered]').waitFor();
  const text = (await page.locator('.answer').innerText()).replace(/\s*1\s*$/, '').trim();
  expect(text.split(/\s+/)).toEqual(WORDS);
  expectNoComplaints();
});

test('a connection that drops in the middle of an answer is taken up again where it was', async () => {
  const page = await newPage({ collection: generated });
  const wire = await wireTo(generating().url);
  await page.goto(wire.url);
  await ask(page, 'How much is the daily allowance abroad?');
  await page.getByText('word8 ').waitFor();
  wire.cut();
  await page.getByText('Connection lost').waitFor();
  wire.mend();
  await page.locator('.turn[data-state=answered]').waitFor();
  const text = (await page.locator('.answer').innerText()).replace(/\s*1\s*$/, '').trim();
  expect(text.split(/\s+/)).toEqual(WORDS);
  await page.close();
  await wire.close();
  expectNoComplaints(/net::ERR/);
});

test('an answer that is stopped stays as far as it was, and can be asked again', async () => {
  const page = await newPage({ collection: generated });
  await page.goto(generating().url);
  await ask(page, 'How much is the daily allowance abroad?');
  await page.getByText('word5 ').waitFor();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByText('Stopped.').waitFor();
  const text = await page.locator('.answer').innerText();
  expect(text).toContain('word5');
  expect(text).not.toContain('word60');
  await page.reload();
  await page.getByText('Stopped.').waitFor();
  await expect.poll(() => page.locator('.answer').innerText()).toContain('word5');
  await page.getByRole('button', { name: 'Ask again' }).click();
  await page.locator('.turn[data-state=answered]').waitFor();
  const states = () =>
    page.locator('.turn').evaluateAll((turns) => turns.map((turn) => turn.getAttribute('data-state')));
  expect(await states()).toEqual(['cancelled', 'answered']);
  await page.reload();
  await page.locator('.turn[data-state=answered]').waitFor();
  expect(await states()).toEqual(['cancelled', 'answered']);
  expectNoComplaints();
});

test('a double click on the button that sends does not stop the answer', async () => {
  const page = await newPage({ collection: generated });
  await page.goto(generating().url);
  await page.fill('#question', 'How much is the daily allowance abroad?');
  await page.getByRole('button', { name: 'Ask', exact: true }).dblclick();
  await page.locator('.turn[data-state=answered]').waitFor();
  expectNoComplaints();
});

test('of a PDF that was replaced nothing is marked, and the passage is shown as it was read', async () => {
  const collection = await freshCollection(extracting());
  const id = await ready(extracting(), collection, 'handbook.pdf');
  const page = await newPage({ collection });
  await page.goto(extracting().url);
  await ask(page, 'How much is the daily allowance abroad?');
  await page.locator('.turn .cite').first().waitFor();
  await page.goto(`${extracting().url}/#/documents`);
  await page.locator('.row input[type=file]').setInputFiles(file('report.pdf'));
  await page.getByText('Version 2').waitFor();
  await page.goBack();
  await page.locator('.turn .cite').first().click();
  await page.getByText('The document has changed since.').waitFor();
  expect(await page.locator('.viewer .passage').innerText()).toContain('47 euros abroad');
  await page.locator('.page[data-drawn=true]').waitFor();
  expect(await page.locator('.marks mark').count()).toBe(0);
  expect((await api<{ version: number }>(extracting(), 'GET', `/documents/${id}`)).version).toBe(2);
  expectNoComplaints();
});

test('what is to be known of an answer says what it means to fingers and keys', async () => {
  const page = await newPage({ collection: extracted });
  await page.goto(extracting().url);
  await ask(page, 'How much is the daily allowance abroad?');
  const mark = page.getByRole('button', { name: /supported$/ });
  await mark.focus();
  await page.keyboard.press('Enter');
  await page.getByText(/^Confidence \d+ %/).waitFor();
  await page.keyboard.press('Enter');
  await expect.poll(() => page.getByText(/^Confidence \d+ %/).count()).toBe(0);
  expectNoComplaints();
});

test('a sample that is refused says why, and can be tried again', async () => {
  const page = await newPage({ collection: await freshCollection(extracting()) });
  await page.goto(extracting().url);
  let refusals = 1;
  await page.route('**/api/v1/documents', (route) => {
    if (route.request().method() !== 'POST' || refusals-- <= 0) return route.continue();
    const body = JSON.stringify({ status: 413, code: 'too_large', title: 'Too large', detail: 'It is too large.' });
    return route.fulfill({ status: 413, headers: { 'Content-Type': 'application/problem+json' }, body });
  });
  await page.getByRole('button', { name: 'Try it with a sample' }).click();
  await page.getByText('It is too large.').waitFor();
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('button', { name: 'How long may books be borrowed?' }).waitFor();
  expectNoComplaints(/413/);
});

test('markup, scripts, pictures and links in an answer are text and do nothing', async () => {
  const page = await newPage({ collection: generated });
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(generating().url);
  await ask(page, 'How much is the daily allowance abroad? hostile');
  await page.locator('.turn[data-state=answered]').waitFor();
  const answer = page.locator('.answer');
  expect(await answer.locator('img, script, svg, iframe, b').count()).toBe(0);
  // An address that stands there as text may be followed by whoever wants to; nothing else is a link.
  expect(await answer.locator('a').evaluateAll((links) => links.map((link) => link.textContent))).toEqual([
    'https://evil.example.org/',
  ]);
  expect(await answer.innerText()).toContain('<script>window.hacked=1</script>');
  expect(await answer.locator('strong').innerText()).toBe('bold');
  expect(await answer.locator('.cite').count()).toBeGreaterThan(0);
  expect(await page.evaluate(() => 'hacked' in window)).toBe(false);
  expect(asked.filter((url) => url.includes('evil'))).toEqual([]);
  expectNoComplaints();
});

test('a refusal for too many requests says how long to wait, and lets one try again then', async () => {
  const page = await newPage({ collection: extracted });
  let refusals = 1;
  await page.route('**/api/v1/questions', async (route) => {
    if (refusals-- <= 0) return route.continue();
    return route.fulfill({
      status: 429,
      headers: { 'Retry-After': '2', 'Content-Type': 'application/problem+json' },
      body: JSON.stringify({ status: 429, code: 'rate_limited', title: 'Slow down', detail: 'Too many questions.' }),
    });
  });
  await page.goto(extracting().url);
  await ask(page, 'How much is the daily allowance abroad?');
  await page.getByText('The server asks to wait 2 seconds.').waitFor();
  const again = page.getByRole('button', { name: /^Try again/ });
  expect(await again.isDisabled()).toBe(true);
  await again.click();
  await page.locator('.turn[data-state=answered]').waitFor();
  expectNoComplaints(/429/);
});

test('a key that is refused is asked for anew', async () => {
  const page = await newPage({ key: 'lectern_wrong' });
  await page.goto(extracting().url);
  await page.getByText('This key was not accepted').waitFor();
  await page.fill('#key', 'lectern-dev');
  await page.evaluate(() => document.querySelector('form')?.requestSubmit());
  await expectNoComplaints(/401/);
});
