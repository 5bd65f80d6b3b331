import { expect, test } from 'vitest';
import type { Doc } from '../api/shapes';
import { stageInWords, versionInWords } from './row';

const work = { stage: 'parsing', attempt: 1, attempts_max: 3 };

test('a stage says how far it is, how many are ahead and how long it takes, as far as that is known', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  const end = '2026-01-01T00:00:40Z';
  expect(stageInWords({ ...work, done: 3, total: 12, estimated_end: end }, now)).toBe(
    'Reading · page 3 of 12 · about 40 s left',
  );
  expect(stageInWords({ ...work, stage: 'queued', ahead: 4 }, now)).toBe('Waiting · 4 ahead');
  expect(stageInWords({ ...work, stage: 'retrying', attempt: 2, retry_at: end }, now)).toBe(
    'Will be tried again · tried again in 40 s · attempt 2 of 3',
  );
});

test('whoever replaces a document is told which version searches see', () => {
  const of = (more: Partial<Doc>) => versionInWords({ version: 1, wanted: 2, state: 'processing', ...more } as Doc);
  expect(of({})).toContain('version 1 until version 2 is read');
  expect(of({ state: 'failed' })).toContain('version 1: version 2 was not read');
  expect(of({ version: 2 })).toBeUndefined();
  expect(of({ version: 0, wanted: 1 })).toBeUndefined();
});
