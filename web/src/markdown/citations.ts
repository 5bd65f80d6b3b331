/** Citations in an answer's text: `[2]` or `[1, 3]`. */

export const CITATION = /\[(\d{1,3}(?:, ?\d{1,3})*)\]/g;

/** What may become a citation with the next token. */
const BEGUN = /\s?\[[\d, ]{0,20}$/;

/** Where text ends that needn't wait for more. */
export function pendingCitation(text: string): number {
  const begun = text.search(BEGUN);
  return begun < 0 ? text.length : begun;
}

/** For the clipboard: an answer with its sources below. */
export function withSources(text: string, sources: { number: number; label: string }[]): string {
  const cited = new Set([...text.matchAll(CITATION)].flatMap((match) => (match[1] ?? '').split(',').map(Number)));
  const lines = sources.filter(({ number }) => cited.has(number)).map(({ number, label }) => `[${number}] ${label}`);
  return [text.trim(), ...(lines.length ? ['', ...lines] : [])].join('\n');
}
