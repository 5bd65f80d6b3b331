/** Thumbs, with the reason if somebody gives one. */

import { useState } from 'preact/hooks';
import { IconButton } from '../parts/controls';
import { client, say, tell } from '../state';
import { t } from '../texts';
import { change, type Turn } from './turn';

const REASONS = {
  up: ['correct', 'complete', 'clear', 'other'],
  down: ['wrong', 'incomplete', 'wrong_source', 'outdated', 'unclear', 'not_answered', 'other'],
} as const;

export function Rating({ turn }: { turn: Turn }) {
  const texts = t.value.chat;
  const { id, rating } = turn.value;
  const [asks, setAsks] = useState(false);
  const rate = async (wanted: 'up' | 'down', reason?: string, comment?: string) => {
    try {
      const body = { rating: wanted, ...(reason ? { reason } : {}), ...(comment ? { comment } : {}) };
      await client.send('POST', `/questions/${id}/feedback`, body);
      change(turn, { rating: wanted });
      setAsks(!reason && !comment);
      if (reason || comment) say(texts.rated);
    } catch (error) {
      tell(error);
    }
  };
  return (
    <>
      <IconButton icon="up" label={texts.good} pressed={rating === 'up'} onClick={() => void rate('up')} />
      <IconButton icon="down" label={texts.bad} pressed={rating === 'down'} onClick={() => void rate('down')} />
      {asks && rating && <Why rating={rating} onSend={(reason, comment) => void rate(rating, reason, comment)} />}
    </>
  );
}

function Why({ rating, onSend }: { rating: 'up' | 'down'; onSend: (reason?: string, comment?: string) => void }) {
  const texts = t.value.chat;
  const [reason, setReason] = useState<string>();
  const [comment, setComment] = useState('');
  return (
    <form
      class="why"
      onSubmit={(event) => {
        event.preventDefault();
        onSend(reason, comment.trim());
      }}
    >
      <fieldset>
        <legend>{texts.why}</legend>
        {REASONS[rating].map((one) => (
          <button
            type="button"
            key={one}
            class="chip"
            aria-pressed={reason === one}
            onClick={() => setReason(reason === one ? undefined : one)}
          >
            {texts.reasons[one]}
          </button>
        ))}
      </fieldset>
      <div class="why-foot">
        <input
          value={comment}
          maxLength={2000}
          placeholder={texts.comment}
          aria-label={texts.comment}
          onInput={(event) => setComment(event.currentTarget.value)}
        />
        <button type="submit" disabled={!reason && !comment.trim()}>
          {texts.rate}
        </button>
      </div>
    </form>
  );
}
