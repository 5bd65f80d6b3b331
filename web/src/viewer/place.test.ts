import { expect, test } from 'vitest';
import type { Source } from '../api/shapes';
import { findPassage, flowing, where } from './place';

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

test('a passage is found in its file although marks and spaces differ', () => {
  const file = 'Before.\n\n## The **pump**\n\nTurn it\n  off, and wait for *ten* minutes.\n\nAfter.';
  const place = findPassage(file, 'The pump\n\nTurn it off, and wait for ten minutes.');
  expect(place?.before).toContain('Before.');
  expect(place?.passage).toMatch(/^The \*\*pump[\s\S]*minutes$/);
  expect(place?.after).toContain('After.');
});

test('a passage that is not there is not found, whatever characters it has', () => {
  expect(findPassage('abc', 'one (two [three] four*')).toBeUndefined();
  expect(findPassage('abc', 'a')).toBeUndefined();
});

test('where it stands is said by its place, else by its pages', () => {
  expect(where(source({}))).toBe('page 3');
  expect(where(source({ page_last: 4 }))).toBe('pages 3–4');
  expect(where(source({ place: 'Costs, rows 12–30' }))).toBe('Costs, rows 12–30');
});

test('a passage reads without its heading and without the ends of lines', () => {
  expect(flowing(source({ heading: 'H', text: 'H\n\none\ntwo\n\nthree' }))).toBe('one two\n\nthree');
});
