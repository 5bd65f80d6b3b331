import { afterEach, expect, test, vi } from 'vitest';
import type { Question } from '../api/shapes';
import { announcement, go, signedIn } from '../state';
import { type Asked, events, serve } from '../testing';
import { ask, askAgain, current, opening, startOver, stop, turns } from './store';
import { fromQuestion, isOpen } from './turn';

const CONVERSATION = '00000000-0000-4000-8000-000000000001';
const DONE = { generator: 'g', timings: {}, confidence: 0.9, cached: false, cited: [] };

afterEach(() => {
  go('chat');
  startOver();
  vi.unstubAllGlobals();
});

function answering(more: (asked: Asked) => unknown = () => undefined) {
  const all = serve((asked) => {
    const own = more(asked);
    if (own !== undefined) return own;
    if (asked.method === 'POST' && asked.path === '/conversations') return { id: CONVERSATION, collection: 'default' };
    if (asked.method === 'POST' && asked.path === '/questions') return { id: 'q1' };
    if (asked.path.endsWith('/events')) return events(['token', { text: 'Four weeks.' }], ['done', DONE]);
    return { conversations: [] };
  });
  signedIn.value = 'yes';
  return all;
}

const words = (all: Asked[], path: string) =>
  all
    .filter(({ method, path: of }) => method === 'POST' && of === path)
    .map(({ headers }) => headers['Idempotency-Key']);

test('a question whose taking got lost is sent again under the same name, and so is its conversation', async () => {
  let losses = 1;
  const all = answering(({ method, path }) => {
    if (method === 'POST' && path === '/questions' && losses-- > 0) throw new TypeError('gone');
  });
  await ask('How long?');
  const [turn] = turns.value;
  expect(turn?.value.state).toBe('failed');
  if (turn) await askAgain(turn);
  const [first, second] = words(all, '/questions');
  expect(first).toMatch(/^[0-9a-f]{32}$/);
  expect(second).toBe(first);
  expect(words(all, '/conversations')).toHaveLength(1);
  expect(turns.value.map(({ value }) => value.state)).toEqual(['answered']);
});

test('what the server keeps of a failed question stays above the one that is asked again, as after a reload', async () => {
  let failures = 1;
  const all = answering(({ path }) => {
    if (path.endsWith('/events') && failures-- > 0)
      return events(['failed', { code: 'internal', message: '', retryable: true }]);
  });
  await ask('How long?');
  const [turn] = turns.value;
  if (turn) await askAgain(turn);
  expect(turns.value.map(({ value }) => value.state)).toEqual(['failed', 'answered']);
  const [first, second] = words(all, '/questions');
  expect(second).not.toBe(first);
});

test('an answer that could not be followed is followed again, not asked again', async () => {
  let refusals = 1;
  const all = answering(({ path }) => {
    if (path.endsWith('/events') && refusals-- > 0) return new Response('{"code":"forbidden"}', { status: 403 });
  });
  await ask('How long?');
  const [turn] = turns.value;
  expect(turn?.value.problem).toBeDefined();
  if (turn) await askAgain(turn);
  expect(turns.value.map(({ value }) => value.state)).toEqual(['answered']);
  expect(words(all, '/questions')).toHaveLength(1);
});

test('each answer that is complete is announced, the second one, too', async () => {
  answering();
  await ask('How long?');
  const first = announcement.value;
  await ask('And then?');
  expect(announcement.value.text).toBe(first.text);
  expect(announcement.value.number).toBeGreaterThan(first.number);
});

test('whoever starts over or stops while a conversation loads is not left with a spinner', async () => {
  answering(({ path }) => (path === `/conversations/${CONVERSATION}` ? new Promise(() => {}) : undefined));
  for (const leave of [startOver, stop]) {
    go('chat', CONVERSATION);
    expect(opening.value).toBe(true);
    leave();
    expect(opening.value).toBe(false);
    go('documents');
  }
});

test('of a conversation that is opened a stopped answer shows what there was of it', async () => {
  const kept = { standalone_question: null, failure: null, outdated: null, created_at: '' };
  answering(({ path }) => {
    if (path === `/conversations/${CONVERSATION}`) {
      const questions = [
        { ...kept, id: 'a', question: 'One?', state: 'answered', answer: 'Yes [1].' },
        { ...kept, id: 'b', question: 'Two?', state: 'cancelled', answer: null },
      ];
      return { id: CONVERSATION, collection: 'default', questions };
    }
    if (path.endsWith('/events')) return events(['token', { text: 'word1 ' }], ['failed', { code: 'cancelled' }]);
  });
  go('chat', CONVERSATION);
  await vi.waitFor(() => expect(turns.value[1]?.value.text).toBe('word1 '));
  const [answered, stopped] = turns.value.map(({ value }) => value);
  expect(stopped?.state).toBe('cancelled');
  expect(stopped && isOpen(stopped)).toBe(false);
  // Its sources come when it is looked at.
  expect(answered?.isPartial).toBe(true);
  expect(current.value?.id).toBe(CONVERSATION);
});

test('an answer that cites nothing says so, as it comes and as it is kept', async () => {
  answering(({ path }) =>
    path.endsWith('/events')
      ? events(['token', { text: 'Four weeks.' }], ['done', { ...DONE, notice: 'uncited' }])
      : undefined,
  );
  await ask('How long?');
  expect(turns.value[0]?.value.uncited).toBe(true);
  const kept = { question: 'How long?', state: 'answered', answer: 'Four weeks.' } as Question;
  expect(fromQuestion({ ...kept, notice: 'uncited' }).uncited).toBe(true);
  expect(fromQuestion(kept).uncited).toBe(false);
});
