/** A list of the API that goes on where the page before ended. */

import { useEffect, useState } from 'preact/hooks';
import { client, tell } from '../state';

export interface Paged<T> {
  items: T[] | undefined;
  hasMore: boolean;
  more: () => void;
  reload: () => void;
}

/** `path` with its parameters but the cursor, which goes by the name of `cursor`. */
export function usePaged<T>(path: string, field: string, cursor = 'cursor'): Paged<T> {
  const [items, setItems] = useState<T[]>();
  const [next, setNext] = useState<string>();
  const load = async (from?: string) => {
    const joint = path.includes('?') ? '&' : '?';
    const page = await client.get<Record<string, unknown>>(
      `${path}${from ? `${joint}${cursor}=${encodeURIComponent(from)}` : ''}`,
    );
    const found = page[field] as T[];
    setItems((before) => (from ? [...(before ?? []), ...found] : found));
    setNext((page.next as string | null) ?? undefined);
  };
  useEffect(() => {
    load().catch(tell);
  }, [path]);
  return {
    items,
    hasMore: next !== undefined,
    more: () => void load(next).catch(tell),
    reload: () => void load().catch(tell),
  };
}
