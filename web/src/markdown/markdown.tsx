/** Markdown as the page reads it: CommonMark with tables, by marked. */

import { Lexer } from 'marked';
import { type Properties, rendered } from './render';

function lex(text: string) {
  const lexer = new Lexer({ gfm: true, breaks: false });
  // `[1]: https://…` in an answer would turn its citations into links.
  if (lexer.options.tokenizer) lexer.options.tokenizer.def = () => undefined;
  return lexer.lex(text);
}

export const Markdown = (properties: Properties) => rendered(lex, properties);
