/** Where questions are written. */

import { useEffect, useRef, useState } from 'preact/hooks';
import { Icon } from '../parts/icons';
import { t } from '../texts';
import { ask, current, stop } from './store';

const DOUBLE_CLICK_MS = 500;

export function Composer({ isFollowUp, isAnswering }: { isFollowUp: boolean; isAnswering: boolean }) {
  const texts = t.value.chat;
  const [text, setText] = useState('');
  const field = useRef<HTMLTextAreaElement>(null);
  const id = current.value?.id;
  useEffect(() => {
    // On a phone the keyboard would come up and hide the page.
    if (matchMedia('(pointer: fine)').matches) field.current?.focus({ preventScroll: true });
  }, [id]);
  const askedAt = useRef(0);
  const submit = () => {
    const question = text.trim();
    if (!question || isAnswering) return;
    askedAt.current = performance.now();
    setText('');
    void ask(question);
  };
  // The button that sends becomes the one that stops: the second of two quick clicks means the first.
  const halt = () => performance.now() - askedAt.current > DOUBLE_CLICK_MS && stop();
  const onKeyDown = (event: KeyboardEvent) => {
    // While a word is being composed, as in Japanese, Enter belongs to the word.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  };
  const label = isFollowUp ? texts.followUp : texts.placeholder;
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <div class="composer-box">
        <textarea
          ref={field}
          id="question"
          rows={1}
          value={text}
          placeholder={label}
          aria-label={label}
          aria-describedby="composer-hint"
          dir="auto"
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        {isAnswering ? (
          <button type="button" class="round" aria-label={texts.stop} title={texts.stop} onClick={halt}>
            <Icon name="stop" />
          </button>
        ) : (
          <button
            type="submit"
            class="round primary"
            aria-label={texts.send}
            title={texts.send}
            disabled={!text.trim()}
          >
            <Icon name="send" />
          </button>
        )}
      </div>
      <p class="fine" id="composer-hint">
        {texts.hint}
      </p>
    </form>
  );
}
