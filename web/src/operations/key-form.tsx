/** Makes a key, and shows it the one time that it can be seen. */

import { useState } from 'preact/hooks';
import { type Key, LIMITS, type Limit, type Scope } from '../api/shapes';
import { CopyButton } from '../parts/copy';
import { Dialog } from '../parts/dialog';
import { client, collection, collections, inWords } from '../state';
import { t } from '../texts';

const SCOPES: Scope[] = ['read', 'ask', 'write', 'admin'];

/** The day as fields for dates write it, where the reader is. */
const localDay = (date: Date): string =>
  new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);

/** What the API is asked for. A key lives to the end of the day that is named. */
export function wantedOf(fields: FormData, kind: Key['kind']) {
  const text = (name: string) => String(fields.get(name) ?? '').trim();
  const named = fields.getAll('collections').map(String);
  const isWidget = kind === 'widget';
  return {
    name: text('name'),
    kind,
    scopes: isWidget ? ['ask'] : fields.getAll('scopes').map(String),
    collections: named.length ? named : null,
    expires_at: text('expiry') ? new Date(`${text('expiry')}T23:59:59`).toISOString() : null,
    origins: isWidget ? text('origins').split(/\s+/).filter(Boolean) : [],
    ...Object.fromEntries(LIMITS.filter(text).map((limit) => [limit, Number(text(limit))])),
  };
}

/** A widget uploads nothing. */
const limitsOf = (kind: Key['kind']): Limit[] =>
  LIMITS.filter((limit) => kind === 'secret' || limit !== 'uploads_per_minute');

const escaped = (value: string): string => value.replace(/&/g, '&amp;').replace(/"/g, '&quot;');

/** What a site puts into its pages. */
export function snippetOf({ key, collections }: Key, server: string): string {
  const attributes = [`src="${server}/widget.js"`, `data-key="${escaped(key ?? '')}"`];
  // A widget asks about one of them.
  if (collections?.[0]) attributes.push(`data-collection="${escaped(collections[0])}"`);
  return `<script ${attributes.join(' ')} async></script>`;
}

/** With the key behind `#`, which isn't sent to the server. */
function demoOf({ key, collections }: Key): string {
  return `/widget-demo#${new URLSearchParams({ key: key ?? '', collection: collections?.[0] ?? '' })}`;
}

export function KeyForm({ onClose }: { onClose: () => void }) {
  const texts = t.value.operations;
  const [kind, setKind] = useState<'secret' | 'widget'>('secret');
  const [made, setMade] = useState<Key>();
  const [error, setError] = useState<unknown>();
  const [lacksCollection, setLacksCollection] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const wanted = wantedOf(new FormData(event.currentTarget as HTMLFormElement), kind);
    setError(undefined);
    setLacksCollection(kind === 'widget' && !wanted.collections);
    if (kind === 'widget' && !wanted.collections) return;
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
            <textarea name="origins" rows={2} required placeholder={texts.keyOriginsHint} />
            <span class="fine">{texts.keyOriginsDemo(location.origin)}</span>
          </label>
        )}
        {/* By its kind: what is ticked for one isn't meant for the other. */}
        <fieldset class="checks is-long" key={kind} onChange={() => setLacksCollection(false)}>
          <legend>{kind === 'widget' ? texts.keyCollectionsWidget : texts.keyCollections}</legend>
          {collections.value.map(({ name }) => (
            <label key={name}>
              <input
                type="checkbox"
                name="collections"
                value={name}
                defaultChecked={kind === 'widget' && name === collection.value}
              />
              <span class="breaks">{name}</span>
            </label>
          ))}
        </fieldset>
        <label class="field">
          {texts.keyExpiry}
          <input name="expiry" type="date" min={localDay(new Date())} />
        </label>
        <details>
          <summary>{texts.keyLimits}</summary>
          <div class="limits" key={kind}>
            {limitsOf(kind).map((limit) => (
              <label class="field" key={limit}>
                {texts.limits[limit]}
                <input name={limit} type="number" min={limit === 'streams_max' ? 0 : 1} max={1_000_000} step={1} />
              </label>
            ))}
          </div>
        </details>
        {lacksCollection && (
          <p class="bad" role="alert">
            {texts.keyNoCollection}
          </p>
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
  const snippet = snippetOf(made, location.origin);
  return (
    <Dialog title={made.name} onClose={onClose}>
      <p>{texts.keyOnce}</p>
      <p class="once">
        <code>{key}</code>
        <CopyButton label={texts.keyCopy} text={() => key} />
      </p>
      {made.kind === 'widget' && (
        <>
          <p>{texts.embed}</p>
          <div class="once">
            <code>{snippet}</code>
            <CopyButton label={texts.embedCopy} text={() => snippet} />
          </div>
          {made.origins.includes(location.origin) && (
            <p>
              <a href={demoOf(made)} target="_blank" rel="noopener noreferrer">
                {texts.demo}
              </a>
            </p>
          )}
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
