/** The text of a document as the server has read it, fetched page by page. */

import type { DocumentPage, DocumentPages } from '../api/shapes';
import { client } from '../state';

export interface Shown extends DocumentPage {
  /** How many pages the document has. */
  total: number;
}

export interface Text {
  page(number: number): Promise<Shown>;
}

export function openText(document: string): Text {
  const kept = new Map<number, Promise<Shown>>();
  const fetchPage = async (number: number): Promise<Shown> => {
    const path = `/documents/${document}/pages?first=${number}&last=${number}`;
    const { pages, pages_total: total } = await client.get<DocumentPages>(path);
    return { ...(pages[0] ?? { number, label: null, text: '', cut: false }), total };
  };
  return {
    page(number) {
      const known = kept.get(number);
      if (known) return known;
      const page = fetchPage(number);
      kept.set(number, page);
      page.catch(() => kept.delete(number));
      return page;
    },
  };
}
