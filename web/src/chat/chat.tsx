/** Ask, and read the answers. */

import { useEffect, useRef } from 'preact/hooks';
import { CollectionPicker } from '../parts/collections';
import { Spinner, Trouble } from '../parts/controls';
import { go } from '../state';
import { t } from '../texts';
import { Answer } from './answer';
import { Composer } from './composer';
import { current, isAnswering, opening, problem, startOver, turns } from './store';
import { Welcome } from './welcome';

/** Nearer to the end than this, the view follows what is written. */
const NEAR_PX = 120;

/** A conversation is about one collection. */
function beginElsewhere(): void {
  if (!current.value) return;
  startOver();
  go('chat');
}

export function Chat() {
  const texts = t.value.chat;
  const scroller = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const all = turns.value;
  const count = all.length;
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const note = () => {
      follows.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
    };
    // What grows, an answer that is written or sources that come, keeps its end in view.
    const watcher = new ResizeObserver(() => {
      if (follows.current) element.scrollTop = element.scrollHeight;
    });
    if (element.firstElementChild) watcher.observe(element.firstElementChild);
    element.addEventListener('scroll', note, { passive: true });
    return () => {
      watcher.disconnect();
      element.removeEventListener('scroll', note);
    };
  }, []);
  useEffect(() => {
    follows.current = true;
    if (scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  }, [count]);
  const isEmpty = !count && !opening.value && problem.value === undefined;
  return (
    <section class={`view chat${isEmpty ? ' is-empty' : ''}`} aria-label={texts.title}>
      <h1 class="unseen">{all[0]?.value.question ?? texts.title}</h1>
      <header class="view-head">
        <CollectionPicker onChoose={beginElsewhere} />
      </header>
      <div class="scroller" ref={scroller} tabIndex={0}>
        <div class="thread">
          {opening.value && <Spinner />}
          {problem.value !== undefined && <Trouble error={problem.value} onRetry={() => location.reload()} />}
          {isEmpty && <Welcome />}
          {all.map((turn) => (
            <Answer key={turn.value.word} turn={turn} />
          ))}
        </div>
      </div>
      <Composer isFollowUp={count > 0} isAnswering={isAnswering.value} />
    </section>
  );
}
