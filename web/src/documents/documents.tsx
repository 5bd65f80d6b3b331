/** The documents: what there is, how far it is, and how more comes in. */

import { useEffect, useRef, useState } from 'preact/hooks';
import { CollectionPicker } from '../parts/collections';
import { Trouble } from '../parts/controls';
import { Icon } from '../parts/icons';
import { collection, may, tell } from '../state';
import { t } from '../texts';
import { retryAllFailed } from './actions';
import { chosen } from './drop';
import { FileList } from './list';
import { addSample } from './sample';
import * as store from './store';
import { UploadPanel } from './upload-panel';
import { addFiles } from './uploads';

const ACCEPT =
  '.pdf,.docx,.docm,.pptx,.pptm,.xlsx,.xlsm,.epub,.html,.htm,.xhtml,.md,.markdown,.csv,.tsv,.jsonl,.ndjson,.gz,.txt,.text,.log,text/*';

export function Documents() {
  const texts = t.value.documents;
  useEffect(() => {
    const leaving = new AbortController();
    void store.watch(leaving.signal);
    return () => leaving.abort();
  }, []);
  const isEmpty = store.loaded.value && !store.documents.value.length && !store.isFiltered.value;
  return (
    <section class="view documents" aria-labelledby="documents-title">
      <header class="view-head">
        <h1 id="documents-title">{texts.title}</h1>
        <CollectionPicker canChange />
        {may('write') && !isEmpty && <AddButtons />}
      </header>
      {store.failure.value !== undefined && <Trouble error={store.failure.value} onRetry={() => void store.reload()} />}
      {isEmpty ? <Empty /> : <Toolbar />}
      <UploadPanel />
      {!isEmpty && <FileList />}
    </section>
  );
}

function AddButtons({ big }: { big?: boolean }) {
  const texts = t.value.documents;
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const take = (input: HTMLInputElement) => {
    if (input.files) addFiles(chosen(input.files));
    input.value = '';
  };
  return (
    <div class={big ? 'add-buttons big' : 'add-buttons'}>
      <input
        ref={files}
        id="choose-files"
        type="file"
        multiple
        hidden
        accept={ACCEPT}
        onChange={(event) => take(event.currentTarget)}
      />
      <input
        ref={folder}
        type="file"
        hidden
        {...{ webkitdirectory: true }}
        onChange={(event) => take(event.currentTarget)}
      />
      <button type="button" id="add-documents" class="primary" onClick={() => files.current?.click()}>
        <Icon name="plus" />
        {texts.add}
      </button>
      <button type="button" onClick={() => folder.current?.click()}>
        <Icon name="folder" />
        {texts.addFolder}
      </button>
    </div>
  );
}

function Empty() {
  const texts = t.value.documents;
  const [adding, setAdding] = useState(false);
  if (!may('write')) return <p class="empty">{texts.emptyTitle}</p>;
  const sample = () => {
    setAdding(true);
    addSample()
      .catch(tell)
      .finally(() => setAdding(false));
  };
  return (
    <div class="empty dropzone">
      <div class="empty-icon">
        <Icon name="upload" />
      </div>
      <h2>{texts.emptyTitle}</h2>
      <p>{texts.emptyText}</p>
      <AddButtons big />
      <p class="fine">{texts.formats}</p>
      <p class="fine">
        <button type="button" class="link" onClick={sample} disabled={adding}>
          {texts.sample}
        </button>{' '}
        {texts.sampleHint}
      </p>
    </div>
  );
}

/** How long to wait for the next letter before a search. */
const TYPING_MS = 250;

function Toolbar() {
  const texts = t.value.documents;
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const onSearch = (text: string) => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      store.search.value = text.trim();
    }, TYPING_MS);
  };
  return (
    <div class="toolbar">
      <label class="search">
        <Icon name="search" />
        <span class="unseen">{texts.search}</span>
        <input
          type="search"
          placeholder={texts.search}
          defaultValue={store.search.value}
          onInput={(event) => onSearch(event.currentTarget.value)}
        />
      </label>
      <label class="select">
        <span class="unseen">{texts.filter}</span>
        <select
          value={store.state.value}
          onChange={(event) => {
            store.state.value = event.currentTarget.value;
          }}
        >
          {Object.entries(texts.states).map(([value, label]) => (
            <option key={value} value={value}>
              {value ? label : `${texts.filter}: ${label}`}
            </option>
          ))}
        </select>
      </label>
      <label class="select">
        <span class="unseen">{texts.sort}</span>
        <select
          value={store.sort.value}
          onChange={(event) => {
            store.sort.value = event.currentTarget.value;
          }}
        >
          {Object.entries(texts.sorts).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      {store.state.value === 'failed' && may('write') && (
        <button type="button" onClick={() => void retryAllFailed(collection.value)}>
          <Icon name="refresh" />
          {texts.retryAll}
        </button>
      )}
    </div>
  );
}
