import { expect, test } from 'vitest';
import type { Key } from '../api/shapes';
import { snippetOf, wantedOf } from './key-form';

function fields(values: [string, string][]): FormData {
  const all = new FormData();
  for (const [name, value] of values) all.append(name, value);
  return all;
}

test('a widget’s key names its collections and sites, and may ask alone', () => {
  const form = fields([
    ['name', ' site '],
    ['origins', 'https://a.example.org\n https://b.example.org '],
    ['collections', 'handbooks'],
    ['scopes', 'admin'],
    ['expiry', ''],
  ]);
  expect(wantedOf(form, 'widget')).toEqual({
    name: 'site',
    kind: 'widget',
    scopes: ['ask'],
    collections: ['handbooks'],
    expires_at: null,
    origins: ['https://a.example.org', 'https://b.example.org'],
  });
});

test('a secret key reaches all collections unless some are ticked, and lives through its last day', () => {
  const wanted = wantedOf(
    fields([
      ['name', 'n'],
      ['scopes', 'read'],
      ['expiry', '2030-05-01'],
    ]),
    'secret',
  );
  expect(wanted).toMatchObject({ scopes: ['read'], collections: null, origins: [] });
  const end = new Date(wanted.expires_at ?? '');
  expect([end.getFullYear(), end.getMonth(), end.getDate(), end.getHours()]).toEqual([2030, 4, 1, 23]);
});

test('limits are sent as far as somebody has set them', () => {
  expect(Object.keys(wantedOf(fields([['asks_per_minute', '']]), 'widget'))).not.toContain('asks_per_minute');
  const wanted = wantedOf(
    fields([
      ['asks_per_minute', '30'],
      ['streams_max', '0'],
    ]),
    'widget',
  );
  expect(wanted).toMatchObject({ asks_per_minute: 30, streams_max: 0 });
  expect(Object.keys(wanted)).not.toContain('requests_per_minute');
});

test('the tag for a site names the key and what is asked about', () => {
  const made = { key: 'lectern_w"1', collections: ['hand"books', 'more'] } as Key;
  expect(snippetOf(made, 'https://l.example.org')).toBe(
    '<script src="https://l.example.org/widget.js" data-key="lectern_w&quot;1" data-collection="hand&quot;books" async></script>',
  );
});
