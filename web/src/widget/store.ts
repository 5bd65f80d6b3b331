/** The widget's one conversation, which it remembers until somebody starts over. */

import { signal } from '@preact/signals';
import { Client, Problem } from '../api/client';
import type { Conversation, Question } from '../api/shapes';
import { change, complete, freshTurn, fromQuestion, isOpen, listen, type Turn } from '../chat/turn';

export class Store {
  readonly turns = signal<Turn[]>([]);
  private readonly client: Client;
  private readonly kept: string;
  private conversation: string | undefined;
  private leaving = new AbortController();
  private resuming: Promise<void> | undefined;

  constructor(
    key: string,
    api: string,
    private readonly collection: string | undefined,
  ) {
    this.kept = `lectern.widget.${api}.${key.slice(0, 16)}`;
    this.client = new Client(key, api, visitor(`${this.kept}.visitor`));
    this.conversation = remembered(this.kept);
  }

  /** Shows what was asked before; tried again the next time if the server was away. */
  resume(): Promise<void> {
    this.resuming ??= this.recall();
    return this.resuming;
  }

  private async recall(): Promise<void> {
    const { conversation } = this;
    if (!conversation) return;
    try {
      const whole = await this.client.get<Conversation & { questions: Question[] }>(`/conversations/${conversation}`);
      if (conversation !== this.conversation) return;
      // What was asked meanwhile stays below it, once.
      const asked = this.turns.value;
      const known = new Set(asked.map((turn) => turn.value.id));
      const before = whole.questions
        .filter(({ id }) => !known.has(id))
        .map((question) => {
          const turn = freshTurn(question.question);
          turn.value = fromQuestion(question);
          return turn;
        });
      this.turns.value = [...before, ...asked];
      for (const turn of before) {
        if (isOpen(turn.value)) void listen(this.client, turn, this.leaving.signal);
        else if (turn.value.state === 'answered') void complete(this.client, turn).catch(() => {});
      }
    } catch (error) {
      // It was deleted, or may only be asked in: begin anew.
      if (error instanceof Problem && !error.passes) this.remember(undefined);
      else this.resuming = undefined;
    }
  }

  async ask(question: string, word?: string): Promise<void> {
    const turn = freshTurn(question);
    if (word) change(turn, { word });
    this.turns.value = [...this.turns.value, turn];
    const { signal } = this.leaving;
    try {
      // Its own question would otherwise be among those before.
      await this.resume();
      const id = await this.begin(question, turn.value.word);
      if (turn.value.state === 'cancelled') {
        void this.client.send('DELETE', `/questions/${id}`).catch(() => {});
        return;
      }
      change(turn, { id, state: 'queued', stage: 'queued' });
      await listen(this.client, turn, signal);
    } catch (problem) {
      if (signal.aborted) return;
      change(turn, { state: 'failed', problem });
      if (problem instanceof Problem && problem.status === 0) hint(this.client.base);
    }
  }

  private async begin(question: string, word: string): Promise<string> {
    for (;;) {
      const isOld = this.conversation !== undefined;
      try {
        if (!this.conversation) {
          const wanted = this.collection ? { collection: this.collection } : {};
          this.remember((await this.client.send<Conversation>('POST', '/conversations', wanted)).id);
        }
        // In the background, so that whoever goes on to another page of the site finds the answer there.
        const body = { question, conversation_id: this.conversation, background: true };
        return (await this.client.send<{ id: string }>('POST', '/questions', body, word)).id;
      } catch (error) {
        // The conversation is gone, or full.
        if (!isOld || !(error instanceof Problem) || ![404, 409].includes(error.status)) throw error;
        this.remember(undefined);
      }
    }
  }

  stop(): void {
    for (const turn of this.turns.value.filter((turn) => isOpen(turn.value))) {
      const { id } = turn.value;
      change(turn, { state: 'cancelled' });
      if (id) void this.client.send('DELETE', `/questions/${id}`).catch(() => {});
    }
    this.leaving.abort();
    this.leaving = new AbortController();
  }

  startOver(): void {
    this.stop();
    this.turns.value = [];
    this.remember(undefined);
  }

  async again(turn: Turn): Promise<void> {
    const { id, question, word } = turn.value;
    this.turns.value = this.turns.value.filter((other) => other !== turn);
    // By its word if it has no id: that it was taken may be all that got lost.
    await this.ask(question, id ? undefined : word);
  }

  async rate(turn: Turn, rating: 'up' | 'down'): Promise<void> {
    await this.client.send('POST', `/questions/${turn.value.id}/feedback`, { rating });
    change(turn, { rating });
  }

  private remember(conversation: string | undefined): void {
    this.conversation = conversation;
    remember(this.kept, conversation);
  }
}

/** Browsers don't tell a script whether a server is away or doesn't know the site; whoever embeds it should look into both. */
function hint(api: string): void {
  // biome-ignore lint/suspicious/noConsole: it is for whoever embeds the widget, and readers of the site can't help it
  console.warn(`Lectern: ${api} can't be asked. If it runs, ${location.origin} is not among the web sites of the key.`);
}

/** Sites may forbid storage, or readers: then nothing is remembered. */
function remembered(name: string): string | undefined {
  try {
    return localStorage.getItem(name) ?? undefined;
  } catch {
    return undefined;
  }
}

function remember(name: string, value: string | undefined): void {
  try {
    if (value) localStorage.setItem(name, value);
    else localStorage.removeItem(name);
  } catch {
    // As above.
  }
}

/** The key is public and ids may be seen: this secret keeps what was asked to whoever asked it. */
function visitor(name: string): string {
  const known = remembered(name);
  if (known) return known;
  const bits = crypto.getRandomValues(new Uint8Array(24));
  const secret = btoa(String.fromCharCode(...bits));
  remember(name, secret);
  return secret;
}
