/** Which set of documents it is about; making one; and how its documents are read. */

import { useState } from 'preact/hooks';
import { client, collection, collections, inWords, loadCollections, may, settings, tell } from '../state';
import { t } from '../texts';
import { IconButton } from './controls';
import { Dialog } from './dialog';

const CREATE = '\0create';

interface Properties {
  /** Offers to make collections and to change their settings. */
  canChange?: boolean;
  onChoose?: () => void;
}

export function CollectionPicker({ canChange, onChoose }: Properties) {
  const texts = t.value.collection;
  const [dialog, setDialog] = useState<'create' | 'settings'>();
  const all = collections.value;
  const close = () => setDialog(undefined);
  const offers = canChange && may('admin');
  if (!offers && all.length < 2) return null;
  return (
    <div class="collection-picker">
      <label class="select">
        <span class="unseen">{texts.label}</span>
        <select
          id="collection"
          value={collection.value}
          onChange={(event) => {
            const chosen = event.currentTarget.value;
            if (chosen === CREATE) {
              event.currentTarget.value = collection.value;
              setDialog('create');
              return;
            }
            collection.value = chosen;
            onChoose?.();
          }}
        >
          {all.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
          {offers && <option value={CREATE}>{texts.create}</option>}
        </select>
      </label>
      {offers && <IconButton icon="settings" label={texts.settings} onClick={() => setDialog('settings')} />}
      {dialog === 'create' && <Create onClose={close} />}
      {dialog === 'settings' && <Settings onClose={close} />}
    </div>
  );
}

const fieldsOf = (event: SubmitEvent): FormData => {
  event.preventDefault();
  return new FormData(event.currentTarget as HTMLFormElement);
};

function Create({ onClose }: { onClose: () => void }) {
  const texts = t.value.collection;
  const [error, setError] = useState<unknown>();
  const submit = async (event: SubmitEvent) => {
    const name = String(fieldsOf(event).get('name')).trim();
    try {
      await client.send('POST', '/collections', { name });
      await loadCollections();
      collection.value = name;
      onClose();
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <Dialog title={texts.createTitle} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <label class="field">
          {texts.name}
          <input name="name" required maxLength={64} autocomplete="off" aria-describedby="collection-hint" />
        </label>
        <p class="fine" id="collection-hint">
          {texts.nameHint}
        </p>
        {error !== undefined && (
          <p class="bad" role="alert">
            {inWords(error)}
          </p>
        )}
        <Buttons onClose={onClose} submit={texts.make} />
      </form>
    </Dialog>
  );
}

function Buttons({ onClose, submit }: { onClose: () => void; submit: string }) {
  return (
    <div class="dialog-actions">
      <button type="button" onClick={onClose}>
        {t.value.collection.cancel}
      </button>
      <button type="submit" class="primary">
        {submit}
      </button>
    </div>
  );
}

function Settings({ onClose }: { onClose: () => void }) {
  const texts = t.value.collection;
  const now = settings.value;
  const [error, setError] = useState<unknown>();
  const submit = async (event: SubmitEvent) => {
    const fields = fieldsOf(event);
    const text = (name: string) => String(fields.get(name) ?? '').trim();
    const number = (name: string) => (text(name) ? Number(text(name)) : null);
    const wanted = {
      ocr: text('ocr') || null,
      ocr_languages: text('languages') ? text('languages').split(/[\s,+]+/) : null,
      chunk_tokens: number('chunk_tokens'),
      faq_similarity_min: number('faq'),
    };
    try {
      await client.send('PATCH', `/collections/${encodeURIComponent(collection.value)}`, { settings: wanted });
      onClose();
      await loadCollections().catch(tell);
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <Dialog title={texts.settingsTitle(collection.value)} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <p class="fine">{texts.settingsHint}</p>
        <label class="field">
          {texts.ocr}
          <select name="ocr" defaultValue={now.ocr ?? ''}>
            <option value="">{texts.ocrDefault}</option>
            <option value="auto">{texts.ocrAuto}</option>
            <option value="force">{texts.ocrForce}</option>
            <option value="off">{texts.ocrOff}</option>
          </select>
        </label>
        <label class="field">
          {texts.ocrLanguages}
          <input name="languages" defaultValue={now.ocr_languages?.join(' ') ?? ''} placeholder="eng deu" />
        </label>
        <label class="field">
          {texts.chunkTokens}
          <input name="chunk_tokens" type="number" min={16} max={8192} defaultValue={now.chunk_tokens ?? ''} />
        </label>
        <label class="field">
          {texts.faqMin}
          <input name="faq" type="number" min={0.5} max={1} step={0.01} defaultValue={now.faq_similarity_min ?? ''} />
        </label>
        {error !== undefined && (
          <p class="bad" role="alert">
            {inWords(error)}
          </p>
        )}
        <Buttons onClose={onClose} submit={texts.save} />
      </form>
    </Dialog>
  );
}
