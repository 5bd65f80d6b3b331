/** The sources below an answer: those that it cites, or all passages that it was made from. */

import { useState } from 'preact/hooks';
import type { Source } from '../api/shapes';
import { Name } from '../parts/controls';
import { t } from '../texts';
import { opened, openSource } from '../viewer/opened';
import { flowing, where } from '../viewer/place';
import { shownSources } from './answer';
import type { TurnState } from './turn';

export function Sources({ turn }: { turn: TurnState }) {
  const texts = t.value.chat;
  const [all, setAll] = useState(false);
  const cited = shownSources(turn);
  // What doesn't answer cites nothing: then the nearest are what there is to show.
  const some = turn.abstained ? turn.sources.slice(0, 3) : cited;
  const shown = all ? turn.sources : some;
  if (!turn.sources.length) return null;
  return (
    <section class="sources" aria-label={texts.sources(shown.length)}>
      {turn.abstained && <p class="fine">{texts.abstainedText}</p>}
      <ol>
        {shown.map((source) => (
          <Card key={source.number} source={source} among={all ? turn.sources : shown} />
        ))}
      </ol>
      {turn.sources.length > some.length && (
        <button type="button" class="link fine" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? texts.fewerPassages : texts.allPassages(turn.sources.length)}
        </button>
      )}
    </section>
  );
}

function Card({ source, among }: { source: Source; among: Source[] }) {
  const now = opened.value;
  const isOpen = now?.sources[now.at] === source;
  return (
    <li>
      <button type="button" class="card" aria-pressed={isOpen} onClick={() => openSource(among, source.number)}>
        <span class="card-head">
          <span class="cite-number">{source.number}</span>
          <span class="card-name">
            <Name>{source.document_title ?? source.document_name}</Name>
          </span>
          <span class="fine">{where(source)}</span>
        </span>
        <span class="snippet" dir="auto">
          {flowing(source).slice(0, 240)}
        </span>
      </button>
    </li>
  );
}
