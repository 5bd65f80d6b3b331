import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Asked, events, serve } from '../testing';
import { Store } from './store';

const DONE = { generator: 'g', timings: {}, confidence: 0.9, cached: false, cited: [] };
const KEPT = 'lectern.widget.https://l.example.org.lectern_w_123456';
const store = () => new Store('lectern_w_1234567890', 'https://l.example.org', 'handbooks');

beforeEach(() => localStorage.clear());
afterEach(() => vi.unstubAllGlobals());

const before = {
  id: 'old',
  questions: [{ id: 'q0', question: 'Before?', state: 'answered', answer: 'Yes.', created_at: '' }],
};

function answering(more: (asked: Asked) => unknown = () => undefined) {
  return serve((asked) => {
    const own = more(asked);
    if (own !== undefined) return own;
    if (asked.path.endsWith('/events')) return events(['token', { text: 'Yes.' }], ['done', DONE]);
    if (asked.method === 'POST') return { id: asked.path === '/questions' ? 'q1' : 'new' };
    if (asked.path.startsWith('/questions/')) return { ...before.questions[0], sources: [] };
    return before;
  });
}

test('an answer goes on while its visitor goes to another page of the site', async () => {
  const all = answering();
  const widget = store();
  await widget.ask('How long?');
  const asked = all.find(({ method, path }) => method === 'POST' && path === '/questions');
  expect(asked?.body).toMatchObject({ background: true, conversation_id: 'new' });
  expect(widget.turns.value.map(({ value }) => value.state)).toEqual(['answered']);
});

test('what was asked before comes above what is asked meanwhile', async () => {
  localStorage.setItem(KEPT, 'old');
  answering();
  const widget = store();
  void widget.resume();
  await widget.ask('Now?');
  expect(widget.turns.value.map(({ value }) => value.question)).toEqual(['Before?', 'Now?']);
});

test('what was asked before is looked for again when the server was away', async () => {
  localStorage.setItem(KEPT, 'old');
  let losses = 1;
  answering(({ path }) => {
    if (path === '/conversations/old' && losses-- > 0) throw new TypeError('gone');
  });
  const widget = store();
  await widget.resume();
  expect(widget.turns.value).toEqual([]);
  await widget.resume();
  expect(widget.turns.value.map(({ value }) => value.question)).toEqual(['Before?']);
});

test('a question whose taking got lost is sent again under the same name', async () => {
  let losses = 1;
  const all = answering(({ method, path }) => {
    if (method === 'POST' && path === '/questions' && losses-- > 0) throw new TypeError('gone');
  });
  const widget = store();
  await widget.ask('How long?');
  const [turn] = widget.turns.value;
  expect(turn?.value.state).toBe('failed');
  if (turn) await widget.again(turn);
  const words = all.filter(({ path }) => path === '/questions').map(({ headers }) => headers['Idempotency-Key']);
  expect(words).toHaveLength(2);
  expect(words[1]).toBe(words[0]);
  expect(widget.turns.value.map(({ value }) => value.state)).toEqual(['answered']);
});
