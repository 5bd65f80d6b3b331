/**
 * An answer's Markdown as elements.
 *
 * A lexer tells what is what; what becomes of it is decided here, token by token, and all text ends in text nodes. So
 * there is no HTML that a sanitizer could miss something in: HTML in an answer is shown as the text that it is,
 * pictures are not loaded (their addresses could carry text away), and links lead to web pages or mail alone.
 */

import type { Token, Tokens } from 'marked';
import type { ComponentChildren, JSX } from 'preact';
import { CITATION, pendingCitation } from './citations';

/** An address that may be followed, or nothing. */
export function safeLink(raw: string): string | undefined {
  try {
    const url = new URL(raw);
    return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", nbsp: '\u00a0' };
const plain = (text: string) =>
  text.replace(/&(amp|lt|gt|quot|#39|nbsp);/g, (all, name: string) => ENTITIES[name] ?? all);

export type Cite = (number: number, key: string) => ComponentChildren;

export interface Properties {
  text: string;
  /** More is to come: what may be the beginning of a citation waits. */
  streaming?: boolean;
  /** What stands for the citation of a source; nothing for one that there is not. */
  cite: Cite;
}

export function rendered(lex: (text: string) => Token[], { text, streaming, cite }: Properties): JSX.Element {
  const shown = streaming ? text.slice(0, pendingCitation(text)) : text;
  return <div class="markdown">{blocks(lex(shown), cite)}</div>;
}

function blocks(tokens: Token[], cite: Cite): ComponentChildren[] {
  return tokens.map((token, index) => block(token as Tokens.Generic, cite, index));
}

function block(token: Tokens.Generic, cite: Cite, key: number): ComponentChildren {
  const inside = () => inlines(token.tokens ?? [], cite);
  switch (token.type) {
    case 'space':
    case 'def':
      return null;
    case 'heading':
      return token.depth <= 2 ? <h3 key={key}>{inside()}</h3> : <h4 key={key}>{inside()}</h4>;
    case 'hr':
      return <hr key={key} />;
    case 'code':
      return (
        <pre key={key} tabIndex={0}>
          <code>{token.text}</code>
        </pre>
      );
    case 'blockquote':
      return <blockquote key={key}>{blocks(token.tokens ?? [], cite)}</blockquote>;
    case 'list':
      return list(token as Tokens.List, cite, key);
    case 'table':
      return table(token as Tokens.Table, cite, key);
    case 'text':
      return <span key={key}>{token.tokens ? inside() : withCitations(plain(token.text), cite)}</span>;
    case 'html':
      return <p key={key}>{withCitations(token.raw, cite)}</p>;
    default:
      return <p key={key}>{token.tokens ? inside() : plain(token.raw)}</p>;
  }
}

function list(token: Tokens.List, cite: Cite, key: number) {
  const items = token.items.map((item, index) => (
    <li key={index}>
      {item.task && (item.checked ? '☑ ' : '☐ ')}
      {blocks(item.tokens, cite)}
    </li>
  ));
  if (!token.ordered) return <ul key={key}>{items}</ul>;
  return (
    <ol key={key} start={Number(token.start) || 1}>
      {items}
    </ol>
  );
}

function table(token: Tokens.Table, cite: Cite, key: number) {
  const cells = (row: Tokens.TableCell[], Tag: 'th' | 'td') =>
    row.map((cell, index) => <Tag key={index}>{inlines(cell.tokens, cite)}</Tag>);
  return (
    <div class="scrolls" key={key} tabIndex={0}>
      <table>
        <thead>
          <tr>{cells(token.header, 'th')}</tr>
        </thead>
        <tbody>
          {token.rows.map((row, index) => (
            <tr key={index}>{cells(row, 'td')}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inlines(tokens: Token[], cite: Cite): ComponentChildren[] {
  return tokens.map((token, index) => inline(token as Tokens.Generic, cite, index));
}

function inline(token: Tokens.Generic, cite: Cite, key: number): ComponentChildren {
  const inside = () => inlines(token.tokens ?? [], cite);
  switch (token.type) {
    case 'strong':
      return <strong key={key}>{inside()}</strong>;
    case 'em':
      return <em key={key}>{inside()}</em>;
    case 'del':
      return <del key={key}>{inside()}</del>;
    case 'codespan':
      return <code key={key}>{plain(token.text)}</code>;
    case 'br':
      return <br key={key} />;
    case 'link': {
      const href = safeLink(token.href);
      if (!href) return <span key={key}>{inside()}</span>;
      return (
        <a key={key} href={href} target="_blank" rel="noopener noreferrer nofollow">
          {inside()}
        </a>
      );
    }
    case 'image':
      return <span key={key}>{plain(token.text || token.raw)}</span>;
    case 'text':
      return <span key={key}>{token.tokens ? inside() : withCitations(plain(token.text), cite)}</span>;
    case 'escape':
      return token.text;
    default:
      return withCitations(token.raw, cite);
  }
}

function withCitations(text: string, cite: Cite): ComponentChildren[] {
  const parts: ComponentChildren[] = [];
  let from = 0;
  for (const match of text.matchAll(CITATION)) {
    const numbers = (match[1] ?? '').split(',').map(Number);
    // A space before would let the citation begin a line by itself.
    parts.push(text.slice(from, match.index).replace(/ $/, '\u00a0'));
    parts.push(numbers.map((number) => cite(number, `${match.index}-${number}`)));
    from = match.index + match[0].length;
  }
  parts.push(text.slice(from));
  return parts;
}
