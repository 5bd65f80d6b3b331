import { expect, test } from 'vitest';
import type { Source } from '../api/shapes';
import { flowing, pieces, where } from './place';

const source = (more: Partial<Source>): Source => ({
  number: 1,
  document: 'd',
  document_name: 'a.txt',
  document_title: null,
  page_first: 3,
  page_last: 3,
  spans: [],
  heading: null,
  text: '',
  score: 1,
  ...more,
});

const span = (start: number, end: number, page = 3) => ({ page, start, end });

test('a passage is marked where its offsets say, in characters and not in halves of them', () => {
  const page = '𝒳 and 😀 before. The pump. After.';
  const text = 'The pump.';
  expect(pieces(page, 3, source({ text, spans: [span(16, 25)] }))).toEqual([
    { text: '𝒳 and 😀 before. ', isMarked: false },
    { text: 'The pump.', isMarked: true },
    { text: ' After.', isMarked: false },
  ]);
  expect(pieces(page, 4, source({ text, spans: [span(16, 25)] }))).toEqual([{ text: page, isMarked: false }]);
});

test('parts of a passage are marked one after another, whatever their order, and none twice', () => {
  const marked = pieces(
    'one two three four',
    3,
    source({ text: 'one two three', spans: [span(8, 13), span(0, 3), span(2, 3)] }),
  );
  expect(marked?.filter(({ isMarked }) => isMarked).map(({ text }) => text)).toEqual(['one', 'three']);
  expect(marked?.map(({ text }) => text).join('')).toBe('one two three four');
});

test('a page that has been replaced is not marked anywhere', () => {
  expect(pieces('Quite another text.', 3, source({ text: 'The pump.', spans: [span(6, 13)] }))).toBeUndefined();
  expect(pieces('Short.', 3, source({ text: 'Short.', spans: [span(0, 99)] }))).toBeUndefined();
});

test('where it stands is said by its place, else by its pages', () => {
  expect(where(source({}))).toBe('page 3');
  expect(where(source({ page_last: 4 }))).toBe('pages 3–4');
  expect(where(source({ place: 'Costs, rows 12–30' }))).toBe('Costs, rows 12–30');
});

test('a passage reads without its heading and without the ends of lines', () => {
  expect(flowing(source({ heading: 'H', text: 'H\n\none\ntwo\n\nthree' }))).toBe('one two\n\nthree');
});
