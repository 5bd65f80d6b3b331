/** Dialogs: the browser's own element, which keeps the focus inside and closes with Escape. */

import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { t } from '../texts';
import { IconButton } from './controls';

interface DialogProperties {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** What one came for: the first field, else what can be answered. */
const FIRST = 'form :is(input, select, textarea), .dialog-actions button';

export function Dialog({ title, onClose, children }: DialogProperties) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    // Else it would be the cross that closes it.
    element.current?.querySelector<HTMLElement>(FIRST)?.focus();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog ref={element} aria-labelledby={id} onClose={onClose}>
      <header>
        <h2 id={id}>{title}</h2>
        <IconButton icon="close" label={t.value.dialog.close} onClick={onClose} />
      </header>
      {children}
    </dialog>
  );
}

interface Question {
  title: string;
  text: string;
  confirm?: string;
  onConfirm: () => void;
}
const asked = signal<Question | undefined>(undefined);

/** Asks before something that can't be taken back. */
export function confirmFirst(question: Question): void {
  asked.value = question;
}

/** Stands once on the page, for `confirmFirst`. */
export function Confirmation() {
  const question = asked.value;
  if (!question) return null;
  const close = () => {
    asked.value = undefined;
  };
  return (
    <Dialog title={question.title} onClose={close}>
      <p class="breaks">{question.text}</p>
      <div class="dialog-actions">
        <button type="button" onClick={close}>
          {t.value.dialog.cancel}
        </button>
        <button
          type="button"
          class="danger"
          onClick={() => {
            close();
            question.onConfirm();
          }}
        >
          {question.confirm ?? t.value.dialog.confirm}
        </button>
      </div>
    </Dialog>
  );
}
