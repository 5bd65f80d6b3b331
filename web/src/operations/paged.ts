/** A list of the API that goes on where the page before ended, and is looked at again every so often. */

import { useEffect, useRef, useState } from 'preact/hooks';
import { client, tell } from '../state';

const LOOK_MS = 10_000;

export interface Paged<T> {
  items: T[] | undefined;
  /** Why there are no items. */
  error: unknown;
  hasMore: boolean;
  more: () => void;
  reload: () => void;
}

/** `path` with its parameters but the cursor, which goes by the name of `cursor`. */
export function usePaged<T>(path: string, field: string, cursor = 'cursor'): Paged<T> {
  const [items, setItems] = useState<T[]>();
  const [next, setNext] = useState<string>();
  const [error, setError] = useState<unknown>();
  // What somebody has leafed on in isn't folded up again.
  const isLong = useRef(false);
  // Another collection may be chosen before the answer about this one is there.
  const wanted = useRef(path);
  wanted.current = path;
  const load = async (from?: string) => {
    const joint = path.includes('?') ? '&' : '?';
    const page = await client.get<Record<string, unknown>>(
      `${path}${from ? `${joint}${cursor}=${encodeURIComponent(from)}` : ''}`,
    );
    const found = page[field] as T[];
    if (path !== wanted.current) return;
    isLong.current = from !== undefined;
    setItems((before) => (from ? [...(before ?? []), ...found] : found));
    setNext((page.next as string | null) ?? undefined);
    setError(undefined);
  };
  useEffect(() => {
    setItems(undefined);
    load().catch(setError);
    const timer = setInterval(() => {
      // A failure is told by the report above, which is looked at more often.
      if (!document.hidden && !isLong.current) load().catch(() => {});
    }, LOOK_MS);
    return () => clearInterval(timer);
  }, [path]);
  return {
    items,
    error: items ? undefined : error,
    hasMore: next !== undefined,
    more: () => void load(next).catch(tell),
    reload: () => void load().catch((problem) => (items ? tell(problem) : setError(problem))),
  };
}
