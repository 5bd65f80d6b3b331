/**
 * Markdown as the widget reads it: what answers mostly have, in a tenth of the bytes of a whole lexer.
 *
 * Paragraphs, titles, lists of one level, code, bold, italics, links. What it doesn't know stays the text that it is.
 */

import type { Token } from 'marked';
import { type Properties, rendered } from './render';

const INLINE =
  /`([^`]+)`|\*\*([^*]+)\*\*|__([^_]+)__|(?<![\p{L}\p{N}*])\*([^*\s](?:[^*]*[^*\s])?)\*|\[([^\]]+)\]\((https?:[^\s)]+)\)|(https?:\/\/[^\s<>()[\]]*[^\s<>()[\].,;:!?])/u;

const make = (type: string, rest: object): Token => ({ type, raw: '', ...rest }) as Token;

function inlines(text: string): Token[] {
  const tokens: Token[] = [];
  let rest = text;
  for (;;) {
    const match = INLINE.exec(rest);
    if (!match) break;
    if (match.index) tokens.push(make('text', { text: rest.slice(0, match.index) }));
    const [all, code, bold, underlined, italic, label, href, address] = match;
    const strong = bold ?? underlined;
    if (code) tokens.push(make('codespan', { text: code }));
    else if (strong) tokens.push(make('strong', { tokens: inlines(strong) }));
    else if (italic) tokens.push(make('em', { tokens: inlines(italic) }));
    else tokens.push(make('link', { href: href ?? address, tokens: [make('text', { text: label ?? address })] }));
    rest = rest.slice(match.index + all.length);
  }
  if (rest) tokens.push(make('text', { text: rest }));
  return tokens;
}

const ITEM = /^\s*(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;

export function lex(text: string): Token[] {
  const tokens: Token[] = [];
  const lines = text.replace(/\r\n?/g, '\n').split('\n');
  let paragraph: string[] = [];
  const flush = () => {
    if (paragraph.length) tokens.push(make('paragraph', { tokens: inlines(paragraph.join('\n')) }));
    paragraph = [];
  };
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const title = /^(#{1,6})\s+(.*)$/.exec(line);
    const item = ITEM.exec(line);
    if (/^\s*```/.test(line)) {
      flush();
      const end = lines.findIndex((other, index) => index > at && /^\s*```\s*$/.test(other));
      const stop = end < 0 ? lines.length : end;
      tokens.push(make('code', { text: lines.slice(at + 1, stop).join('\n') }));
      at = stop;
    } else if (title) {
      flush();
      tokens.push(make('heading', { depth: title[1]?.length, tokens: inlines(title[2] ?? '') }));
    } else if (item) {
      flush();
      const last = tokens[tokens.length - 1] as { type: string; ordered?: boolean; items?: object[] } | undefined;
      const ordered = item[1] !== undefined;
      const entry = { tokens: [make('text', { tokens: inlines(item[2] ?? '') })] };
      if (last?.type === 'list' && last.ordered === ordered) last.items?.push(entry);
      else tokens.push(make('list', { ordered, start: item[1] ?? '', items: [entry] }));
    } else if (line.trim()) paragraph.push(line);
    else flush();
  }
  flush();
  return tokens;
}

export const Markdown = (properties: Properties) => rendered(lex, properties);
