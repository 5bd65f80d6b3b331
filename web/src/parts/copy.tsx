/** Copies a text, and says whether that worked. */

import { useState } from 'preact/hooks';
import { t } from '../texts';
import { IconButton } from './controls';

/** Over plain HTTP browsers have no clipboard for pages: then as one did before there was one. */
async function copy(text: string, near: Element): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'unseen';
  // In a dialog nothing outside of it takes the focus.
  near.after(field);
  field.select();
  const copied = document.execCommand('copy');
  field.remove();
  if (!copied) throw new Error('the browser does not copy');
}

/** How long the check mark stays. */
const SHOWN_MS = 2000;

export function CopyButton({ text, label }: { text: () => string; label: string }) {
  const texts = t.value.copy;
  const [outcome, setOutcome] = useState<'done' | 'failed'>();
  const onClick = (event: MouseEvent) => {
    const button = event.currentTarget as HTMLElement;
    copy(text(), button)
      .then(() => {
        setOutcome('done');
        setTimeout(() => setOutcome(undefined), SHOWN_MS);
      })
      .catch(() => setOutcome('failed'))
      .finally(() => button.focus());
  };
  return (
    <>
      <IconButton icon={outcome === 'done' ? 'check' : 'copy'} label={label} onClick={onClick} />
      <span class={outcome === 'failed' ? 'bad' : 'unseen'} role="status">
        {outcome && texts[outcome]}
      </span>
    </>
  );
}
