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

export interface Place {
  before: string;
  passage: string;
  after: string;
}

/** Characters around a passage: enough to see where one is. */
const AROUND = 1500;

/**
 * Finds a passage in a file's text. It was read from there, but spaces and marks may have changed on the way: so its
 * words are looked for in their order, whatever stands between them.
 */
export function findPassage(file: string, passage: string): Place | undefined {
  const words = passage.match(/[\p{L}\p{N}]+/gu) ?? [];
  if (words.length < 3) return undefined;
  const pattern = (some: string[]) => new RegExp(some.join('[^\\p{L}\\p{N}]{1,20}'), 'u');
  const begin = pattern(words.slice(0, 6)).exec(file);
  if (!begin) return undefined;
  const rest = file.slice(begin.index, begin.index + passage.length * 2 + 200);
  const end = pattern(words.slice(-4)).exec(rest);
  const length = end ? end.index + end[0].length : Math.min(passage.length, rest.length);
  const stop = begin.index + length;
  return {
    before: file.slice(Math.max(0, begin.index - AROUND), begin.index),
    passage: file.slice(begin.index, stop),
    after: file.slice(stop, stop + AROUND),
  };
}
