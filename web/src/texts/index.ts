/** The language of the page: the reader's choice, else that of the browser. Others than English are loaded on demand. */

import { signal } from '@preact/signals';
import { en, type Texts } from './en';

const LOADERS: Record<string, () => Promise<Texts>> = {
  en: async () => en,
  es: async () => (await import('./es')).es,
};

export const languages = [
  { code: 'en', name: 'English' },
  { code: 'es', name: 'Español' },
];

const KEPT = 'lectern.language';

export const t = signal<Texts>(en);

export async function speak(code: string): Promise<void> {
  const load = LOADERS[code] ?? LOADERS.en;
  if (!load) return;
  const texts = await load();
  t.value = texts;
  document.documentElement.lang = texts.locale;
}

export async function chooseLanguage(code: string): Promise<void> {
  await speak(code);
  localStorage.setItem(KEPT, code);
}

export const preferredLanguage = (): string =>
  localStorage.getItem(KEPT) ?? navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in LOADERS) ?? 'en';
