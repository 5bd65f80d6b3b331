import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { en } from './en';
import { es } from './es';

/** All paths with their kind; types vouch for the keys, but not for records that are keyed by what the API sends. */
function paths(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [`${path}: ${typeof value}`];
  return Object.entries(value).flatMap(([key, inner]) => paths(inner, `${path}.${key}`));
}

test('every text is there in every language', () => {
  const wanted = (all: string[]) => all.filter((path) => !path.startsWith('.failures')).sort();
  expect(wanted(paths(es))).toEqual(wanted(paths(en)));
});

test('every failure that the server knows has Spanish words', () => {
  const source = readFileSync('../shared/src/failure.rs', 'utf8');
  const codes = [...source.matchAll(/= "([a-z_]+)", (?:true|false),/g)].map(([, code]) => code as string);
  expect(codes.length).toBeGreaterThan(30);
  expect(codes.filter((code) => !es.failures[code])).toEqual([]);
});
