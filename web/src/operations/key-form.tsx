/** Makes a key, and shows it the one time that it can be seen. */

import { useState } from 'preact/hooks';
import type { Key, Scope } from '../api/shapes';
import { IconButton } from '../parts/controls';
import { Dialog } from '../parts/dialog';
import { client, inWords } from '../state';
import { t } from '../texts';

const SCOPES: Scope[] = ['read', 'ask', 'write', 'admin'];

export function KeyForm({ onClose }: { onClose: () => void }) {
  const texts = t.value.operations;
  const [kind, setKind] = useState<'secret' | 'widget'>('secret');
  const [made, setMade] = useState<Key>();
  const [error, setError] = useState<unknown>();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    const wanted = {
      name: String(fields.get('name')).trim(),
      kind,
      scopes: kind === 'widget' ? ['ask'] : fields.getAll('scopes'),
      collections: null,
      expires_at: null,
      origins: kind === 'widget' ? String(fields.get('origins')).split(/\s+/).filter(Boolean) : [],
    };
    try {
      setMade(await client.send<Key>('POST', '/keys', wanted));
    } catch (problem) {
      setError(problem);
    }
  };
  if (made) return <Made made={made} onClose={onClose} />;
  return (
    <Dialog title={texts.keyTitle} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <label class="field">
          {texts.keyName}
          <input name="name" required autocomplete="off" />
        </label>
        <label class="field">
          {texts.keyKind}
          <select value={kind} onChange={(event) => setKind(event.currentTarget.value as 'secret' | 'widget')}>
            <option value="secret">{texts.keyKinds.secret}</option>
            <option value="widget">{texts.keyKinds.widget}</option>
          </select>
        </label>
        {kind === 'secret' ? (
          <fieldset class="checks">
            <legend>{texts.keyScopes}</legend>
            {SCOPES.map((scope) => (
              <label key={scope}>
                <input
                  type="checkbox"
                  name="scopes"
                  value={scope}
                  defaultChecked={scope === 'read' || scope === 'ask'}
                />
                {texts.scopes[scope]}
              </label>
            ))}
          </fieldset>
        ) : (
          <label class="field">
            {texts.keyOrigins}
            <textarea name="origins" rows={3} required placeholder={texts.keyOriginsHint} />
          </label>
        )}
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
            {texts.keyMake}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Made({ made, onClose }: { made: Key; onClose: () => void }) {
  const texts = t.value.operations;
  const key = made.key ?? '';
  const script = `<script src="${location.origin}/widget.js" data-key="${key}" async></script>`;
  return (
    <Dialog title={made.name} onClose={onClose}>
      <p>{texts.keyOnce}</p>
      <p class="once">
        <code>{key}</code>
        <IconButton icon="copy" label={texts.keyCopy} onClick={() => void navigator.clipboard.writeText(key)} />
      </p>
      {made.kind === 'widget' && (
        <>
          <p>{texts.embed}</p>
          <pre>
            <code>{script}</code>
          </pre>
        </>
      )}
      <div class="dialog-actions">
        <button type="button" class="primary" onClick={onClose}>
          {t.value.dialog.close}
        </button>
      </div>
    </Dialog>
  );
}
