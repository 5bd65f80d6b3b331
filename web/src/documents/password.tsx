/** Asks for the password of a protected file. */

import type { Doc } from '../api/shapes';
import { Name } from '../parts/controls';
import { Dialog } from '../parts/dialog';
import { t } from '../texts';
import { retry } from './actions';

export function PasswordDialog({ doc, onClose }: { doc: Doc; onClose: () => void }) {
  const texts = t.value.documents;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const password = new FormData(event.currentTarget as HTMLFormElement).get('password');
    onClose();
    void retry(doc, String(password));
  };
  return (
    <Dialog title={texts.passwordTitle} onClose={onClose}>
      <form onSubmit={submit}>
        <p>
          <Name>{doc.name}</Name>
        </p>
        <label class="field">
          {texts.passwordLabel}
          <input name="password" type="password" required autocomplete="off" />
        </label>
        <p class="fine">{texts.passwordHint}</p>
        <div class="dialog-actions">
          <button type="button" onClick={onClose}>
            {t.value.dialog.cancel}
          </button>
          <button type="submit" class="primary">
            {texts.actions.retry}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
