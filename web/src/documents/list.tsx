/** The rows, of which only those are on the page that can be seen: ten thousand documents scroll like ten. */

import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../texts';
import { Row } from './row';
import { documents, isFiltered, isStale, loaded, loading, loadMore, next, search, state } from './store';

/** The heights that the styles give a row, on wide and on narrow screens. */
const ROW_PX = { wide: 60, narrow: 84 };
/** Rows beyond the edges, so that quick scrolling shows no gaps. */
const MARGIN = 8;

interface Window {
  first: number;
  last: number;
}

function useWindow(count: number, height: number) {
  const box = useRef<HTMLDivElement>(null);
  const [shown, setShown] = useState<Window>({ first: 0, last: 40 });
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = () => {
      const first = Math.max(0, Math.floor(element.scrollTop / height) - MARGIN);
      const last = Math.ceil((element.scrollTop + element.clientHeight) / height) + MARGIN;
      setShown((before) => (before.first === first && before.last === last ? before : { first, last }));
    };
    measure();
    element.addEventListener('scroll', measure, { passive: true });
    const watcher = new ResizeObserver(measure);
    watcher.observe(element);
    return () => {
      element.removeEventListener('scroll', measure);
      watcher.disconnect();
    };
  }, [height]);
  return { box, first: Math.min(shown.first, Math.max(0, count - 1)), last: Math.min(shown.last, count) };
}

function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => matchMedia('(max-width: 760px)').matches);
  useEffect(() => {
    const query = matchMedia('(max-width: 760px)');
    const change = () => setNarrow(query.matches);
    query.addEventListener('change', change);
    return () => query.removeEventListener('change', change);
  }, []);
  return narrow;
}

export function FileList() {
  const texts = t.value.documents;
  const { offline } = t.value.problem;
  const all = documents.value;
  const narrow = useNarrow();
  const height = narrow ? ROW_PX.narrow : ROW_PX.wide;
  const { box, first, last } = useWindow(all.length, height);
  useEffect(() => {
    if (last >= all.length - 2 * MARGIN) loadMore();
  }, [last, all.length]);
  if (loaded.value && !all.length && isFiltered.value) return <NothingFound />;
  return (
    <>
      <div
        class="rows"
        role="table"
        aria-label={texts.title}
        aria-rowcount={next.value ? -1 : all.length + 1}
        ref={box}
        tabIndex={0}
      >
        <div role="rowgroup" class="row-head">
          <div role="row" aria-rowindex={1}>
            {Object.entries(texts.columns).map(([column, label]) => (
              <div role="columnheader" key={column} class={`cell-${column}`}>
                {column === 'actions' ? <span class="unseen">{label}</span> : label}
              </div>
            ))}
          </div>
        </div>
        <div role="rowgroup" class="row-body" style={{ height: `${all.length * height}px` }}>
          {all.slice(first, last).map((doc, index) => (
            <Row key={doc.id} doc={doc} index={first + index} top={(first + index) * height} />
          ))}
        </div>
      </div>
      <p class="fine list-foot" aria-live="polite">
        {loading.value ? texts.loading : isStale.value ? offline : texts.loaded(all.length, next.value !== null)}
      </p>
    </>
  );
}

function NothingFound() {
  const texts = t.value.documents;
  return (
    <div class="empty">
      <p>{texts.nothingFound}</p>
      <button
        type="button"
        onClick={() => {
          search.value = '';
          state.value = '';
          const field = document.querySelector<HTMLInputElement>('.search input');
          if (field) field.value = '';
        }}
      >
        {texts.clear}
      </button>
    </div>
  );
}
