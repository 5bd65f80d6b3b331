/** Why a document failed and what to do about it, or what was noted while it was read. */

import { useState } from 'preact/hooks';
import type { Doc } from '../api/shapes';
import { Name } from '../parts/controls';
import { Dialog } from '../parts/dialog';
import { may } from '../state';
import { t } from '../texts';
import { retry } from './actions';
import { PasswordDialog } from './password';

interface Properties {
  doc: Doc;
  words: string;
  hint: string | undefined;
  onClose: () => void;
}

export function Details({ doc, words, hint, onClose }: Properties) {
  const texts = t.value.documents;
  const [asksPassword, setAsksPassword] = useState(false);
  if (asksPassword) return <PasswordDialog doc={doc} onClose={onClose} />;
  const needsPassword = doc.failure?.code === 'password_required';
  const again = () => {
    if (needsPassword) return setAsksPassword(true);
    onClose();
    void retry(doc);
  };
  return (
    <Dialog title={doc.failure ? texts.details : texts.notes} onClose={onClose}>
      <p>
        <strong>
          <Name>{doc.name}</Name>
        </strong>
      </p>
      <p class="breaks">{words}</p>
      {hint && <p class="fine">{hint}</p>}
      <div class="dialog-actions">
        <button type="button" onClick={onClose}>
          {t.value.dialog.close}
        </button>
        {doc.state !== 'ready' && may('write') && (
          <button type="button" class="primary" onClick={again}>
            {needsPassword ? texts.actions.password : texts.actions.retry}
          </button>
        )}
      </div>
    </Dialog>
  );
}
