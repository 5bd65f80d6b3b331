/** Where a source stands, in words; and a passage in the text of its file. */

import type { Source } from '../api/shapes';
import { t } from '../texts';

export function where(source: Source): string {
  const { page, pages } = t.value.source;
  if (source.place) return source.place;
  return source.page_first === source.page_last ? page(source.page_first) : pages(source.page_first, source.page_last);
}

export const label = (source: Source): string => `${source.document_name}, ${where(source)}`;

/** A passage as it reads: without its heading, and without the ends of lines on the paper. */
export function flowing(source: Source): string {
  const { heading, text } = source;
  const own = heading && text.startsWith(heading) ? text.slice(heading.length) : text;
  return own
    .trim()
    .replace(/([^\n])\n(?!\n)/g, '$1 ')
    .replace(/\n{2,}/g, '\n\n');
}

export interface Piece {
  text: string;
  isMarked: boolean;
}

const words = (text: string) => (text.match(/[\p{L}\p{N}]+/gu) ?? []).join(' ');

/**
 * A page's text in pieces, those between the offsets of a passage marked; nothing where the page reads otherwise by now,
 * since the document was replaced.
 */
export function pieces(page: string, number: number, source: Source): Piece[] | undefined {
  const own = source.spans.filter((span) => span.page === number).sort((a, b) => a.start - b.start);
  // Offsets count characters; a string's own count is another one beyond the Basic Multilingual Plane.
  const chars = [...page];
  const cut = (from: number, to?: number) => chars.slice(from, to).join('');
  const quoted = words(source.text);
  if (!own.every(({ start, end }) => end <= chars.length && quoted.includes(words(cut(start, end))))) return undefined;
  const found: Piece[] = [];
  const add = (text: string, isMarked: boolean) => text && found.push({ text, isMarked });
  let at = 0;
  for (const { start, end } of own) {
    const from = Math.max(start, at);
    add(cut(at, from), false);
    add(cut(from, Math.max(end, from)), true);
    at = Math.max(end, from);
  }
  add(cut(at), false);
  return found;
}
