/** Keys: for people and servers, and public ones for the widget on named web sites. */

import { useEffect, useState } from 'preact/hooks';
import { Problem } from '../api/client';
import { type Key, LIMITS } from '../api/shapes';
import { ago, day, number } from '../format';
import { Trouble } from '../parts/controls';
import { confirmFirst } from '../parts/dialog';
import { Icon } from '../parts/icons';
import { client, tell } from '../state';
import { t } from '../texts';
import { KeyForm } from './key-form';

function expiry(at: string): string {
  const { keyExpires, keyExpired } = t.value.operations;
  return new Date(at).getTime() > Date.now() ? keyExpires(day(at)) : keyExpired(day(at));
}

function limits(key: Key): string[] {
  const texts = t.value.operations.limits;
  return LIMITS.flatMap((limit) => {
    const most = key[limit];
    return typeof most === 'number' ? [`${texts[limit]}: ${number(most)}`] : [];
  });
}

export function Keys() {
  const texts = t.value.operations;
  // Unknown to servers that have no door for keys: then there is nothing to show.
  const [keys, setKeys] = useState<Key[]>();
  const [error, setError] = useState<unknown>();
  const [making, setMaking] = useState(false);
  const load = () =>
    client
      .get<{ keys: Key[] }>('/keys')
      .then((found) => {
        setKeys(found.keys);
        setError(undefined);
      })
      .catch((error) => {
        const isHidden = error instanceof Problem && [403, 404].includes(error.status);
        if (!isHidden) setError(error);
      });
  useEffect(() => void load(), []);
  if (!keys) return error === undefined ? null : <Trouble error={error} onRetry={() => void load()} />;
  const revoke = ({ id, name }: Key) =>
    confirmFirst({
      title: texts.keyRevokeTitle,
      text: texts.keyRevokeText(name),
      confirm: texts.keyRevoke,
      onConfirm: () => void client.send('DELETE', `/keys/${id}`).then(load).catch(tell),
    });
  return (
    <section class="panel" aria-labelledby="keys-title">
      <header>
        <h2 id="keys-title">{texts.keysTitle}</h2>
        <button type="button" onClick={() => setMaking(true)}>
          <Icon name="plus" />
          {texts.keyAdd}
        </button>
      </header>
      {!keys.length && <p class="fine">{texts.noKeys}</p>}
      <ul class="lines">
        {keys.map((key) => (
          <li key={key.id}>
            <div class="grow">
              <p>
                <strong class="breaks">{key.name}</strong> <code>{key.prefix}…</code>
              </p>
              <p class="fine breaks">
                {[
                  key.scopes.map((scope) => texts.scopes[scope]).join(', '),
                  key.origins?.join(' '),
                  key.collections?.join(', '),
                  ...limits(key),
                  key.expires_at && expiry(key.expires_at),
                  key.last_used_at ? texts.keyUsed(ago(key.last_used_at)) : texts.keyUnused,
                ]
                  .filter(Boolean)
                  .join(' · ')}
              </p>
            </div>
            {key.kind === 'widget' && <span class="mark">widget</span>}
            {key.revoked_at ? (
              <span class="mark">{texts.keyRevoked}</span>
            ) : (
              <button type="button" onClick={() => revoke(key)}>
                {texts.keyRevoke}
              </button>
            )}
          </li>
        ))}
      </ul>
      {making && (
        <KeyForm
          onClose={() => {
            setMaking(false);
            void load();
          }}
        />
      )}
    </section>
  );
}
