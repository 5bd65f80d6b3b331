/** Where a FAQ is written: a new one, one that changes, or the answer to an unanswered question. */

import { useState } from 'preact/hooks';
import { Dialog } from '../parts/dialog';
import { inWords } from '../state';
import { t } from '../texts';

export interface FaqFields {
  question: string;
  answer: string;
  link?: string;
}

interface Properties {
  first: FaqFields;
  onSave: (fields: FaqFields) => Promise<void>;
  onClose: () => void;
}

export function FaqForm({ first, onSave, onClose }: Properties) {
  const texts = t.value.operations;
  const [error, setError] = useState<unknown>();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(fields.get(name)).trim();
    try {
      const link = text('link');
      await onSave({ question: text('question'), answer: text('answer'), ...(link ? { link } : {}) });
      onClose();
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <Dialog title={texts.faqTitle} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <label class="field">
          {texts.faqQuestion}
          <input name="question" required defaultValue={first.question} dir="auto" />
        </label>
        <label class="field">
          {texts.faqAnswer}
          <textarea name="answer" rows={5} required defaultValue={first.answer} dir="auto" />
        </label>
        <label class="field">
          {texts.faqLink}
          <input name="link" type="url" defaultValue={first.link ?? ''} placeholder={texts.faqLinkHint} />
        </label>
        {error !== undefined && (
          <p class="bad" role="alert">
            {inWords(error)}
          </p>
        )}
        <div class="dialog-actions">
          <button type="button" onClick={onClose}>
            {t.value.dialog.cancel}
          </button>
          <button type="submit" class="primary">
            {texts.save}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
