/** The conversation that is open, and the list of all. */

import { batch, computed, effect, signal } from '@preact/signals';
import { Problem, query } from '../api/client';
import type { Conversation, Question } from '../api/shapes';
import { announce, client, collection, go, route, signedIn, tell } from '../state';
import { t } from '../texts';
import { close } from '../viewer/opened';
import { change, complete, freshTurn, fromQuestion, isOpen, listen, recall, type Turn } from './turn';

export const turns = signal<Turn[]>([]);
export const current = signal<Conversation | undefined>(undefined);
export const opening = signal(false);
export const problem = signal<unknown>(undefined);
export const isAnswering = computed(() => turns.value.some((turn) => isOpen(turn.value)));

/** Answers that are followed end with the conversation that they are shown in. */
let leaving = new AbortController();

export function startOver(): void {
  leaving.abort();
  leaving = new AbortController();
  batch(() => {
    turns.value = [];
    current.value = undefined;
    problem.value = undefined;
    opening.value = false;
  });
  close();
}

effect(() => {
  const { view, id } = route.value;
  if (view !== 'chat' || signedIn.value !== 'yes') return;
  if (id === current.peek()?.id) return;
  if (id) void open(id);
  else startOver();
});

/** So many answers that were stopped are asked for what there was of them. */
const RECALLED = 3;

async function open(id: string): Promise<void> {
  startOver();
  const { signal } = leaving;
  opening.value = true;
  try {
    const whole = await client.get<Conversation & { questions: Question[] }>(`/conversations/${id}`, signal);
    if (signal.aborted) return;
    const { questions, ...conversation } = whole;
    batch(() => {
      current.value = conversation;
      collection.value = conversation.collection;
      turns.value = questions.map((question) => {
        const turn = freshTurn(question.question);
        turn.value = fromQuestion(question);
        return turn;
      });
    });
    for (const turn of turns.value) if (isOpen(turn.value)) void hear(turn);
    const stopped = turns.value.filter((turn) => turn.value.state === 'cancelled').slice(-RECALLED);
    for (const turn of stopped) void recall(client, turn, signal).catch(() => {});
  } catch (error) {
    if (!signal.aborted) problem.value = error;
  } finally {
    if (!signal.aborted) opening.value = false;
  }
}

/** Fetches an answer's sources when it is looked at. */
export function lookAt(turn: Turn): void {
  complete(client, turn).catch(() => {});
}

async function hear(turn: Turn): Promise<void> {
  await listen(client, turn, leaving.signal);
  if (turn.value.state === 'answered') announce(t.value.chat.answered);
}

export async function ask(text: string): Promise<void> {
  const turn = freshTurn(text);
  turns.value = [...turns.value, turn];
  await put(turn);
}

/** Asks again what failed or was stopped. What the server keeps stays where it is, as it will after a reload. */
export async function askAgain(turn: Turn): Promise<void> {
  const { id, question, word, state, problem } = turn.value;
  if (id && problem !== undefined) {
    // It was taken; what failed was to follow it.
    change(turn, { state: 'queued', stage: 'queued', problem: undefined });
    return hear(turn);
  }
  if (id) return ask(question);
  const again = freshTurn(question);
  // By its word: that it was taken may be all that got lost.
  if (state === 'failed') change(again, { word });
  turns.value = [...turns.value.filter((other) => other !== turn), again];
  await put(again);
}

async function put(turn: Turn): Promise<void> {
  const { signal } = leaving;
  const { word } = turn.value;
  try {
    if (!current.value) {
      const about = { collection: collection.value };
      const begun = await client.send<Conversation>('POST', '/conversations', about, `begin-${word}`);
      if (signal.aborted) return;
      current.value = begun;
      // A reload from here on finds the question in its conversation.
      go('chat', begun.id, true);
    }
    const question = { question: turn.value.question, conversation_id: current.value?.id, background: true };
    const { id } = await client.send<{ id: string }>('POST', '/questions', question, word);
    if (turn.value.state === 'cancelled') {
      change(turn, { id });
      await client.send('DELETE', `/questions/${id}`);
      return;
    }
    change(turn, { id, state: 'queued', stage: 'queued' });
    void loadHistory();
    if (!signal.aborted) await hear(turn);
  } catch (error) {
    if (turn.value.state !== 'cancelled') change(turn, { state: 'failed', problem: error });
  }
}

export function stop(): void {
  for (const turn of turns.value.filter((turn) => isOpen(turn.value))) {
    const { id } = turn.value;
    change(turn, { state: 'cancelled' });
    if (!id) continue;
    client.send('DELETE', `/questions/${id}`).catch(tell);
  }
  leaving.abort();
  leaving = new AbortController();
  opening.value = false;
}

// ---- The list

export const history = signal<Conversation[]>([]);
export const moreHistory = signal<string | null>(null);

export async function loadHistory(cursor?: string): Promise<void> {
  try {
    const page = await client.get<{ conversations: Conversation[]; next: string | null }>(
      `/conversations${query({ limit: 30, cursor })}`,
    );
    const known = cursor ? history.value : [];
    batch(() => {
      history.value = [...known, ...page.conversations];
      moreHistory.value = page.next ?? null;
    });
  } catch (error) {
    if (!(error instanceof Problem && error.passes)) tell(error);
  }
}

export async function removeConversation(id: string): Promise<void> {
  try {
    await client.send('DELETE', `/conversations/${id}`);
    history.value = history.value.filter((conversation) => conversation.id !== id);
    if (current.value?.id === id) go('chat');
  } catch (error) {
    tell(error);
  }
}

effect(() => {
  if (signedIn.value === 'yes') void loadHistory();
});
