/** The page: the side, the view, the source beside it, and what is said to the reader. */

import { Component, type ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Chat } from './chat/chat';
import { turns } from './chat/store';
import { Documents } from './documents/documents';
import { dropped } from './documents/drop';
import { addFiles } from './documents/uploads';
import { Navigation } from './navigation';
import { Operations } from './operations/lazy';
import { IconButton, Spinner, Trouble } from './parts/controls';
import { Confirmation } from './parts/dialog';
import { Icon } from './parts/icons';
import { SignIn } from './sign-in';
import { announce, announcement, collection, dismiss, go, may, messages, route, say, signedIn, start } from './state';
import { t } from './texts';
import { close } from './viewer/opened';
import { Viewer } from './viewer/viewer';

export function App() {
  const [problem, setProblem] = useState<unknown>();
  const begin = () => {
    setProblem(undefined);
    start().catch(setProblem);
  };
  useEffect(begin, []);
  const { view } = route.value;
  useEffect(close, [view]);
  useTitle();
  if (signedIn.value === 'no') return <SignIn />;
  if (signedIn.value === 'unknown') {
    return (
      <main class="starting">{problem === undefined ? <Spinner /> : <Trouble error={problem} onRetry={begin} />}</main>
    );
  }
  return (
    <>
      <a class="skip" href={`${location.hash || '#/'}`} onClick={skip}>
        {t.value.skip}
      </a>
      <Navigation />
      <main id="content" tabIndex={-1}>
        <Safe key={view}>
          {view === 'chat' && <Chat />}
          {view === 'documents' && <Documents />}
          {view === 'operations' && <Operations />}
        </Safe>
      </main>
      <Viewer />
      <DropTarget />
      <Confirmation />
      <Messages />
      <div class="unseen" role="status">
        <p key={announcement.value.number}>{announcement.value.text}</p>
      </div>
    </>
  );
}

/** What the tab is called; and what screen readers say when the view changes, since the page stays the same. */
function useTitle(): void {
  const { view } = route.value;
  const name = t.value.nav[view];
  const question = view === 'chat' ? turns.value[0]?.value.question : undefined;
  const last = useRef(view);
  useEffect(() => {
    document.title = `${question ?? name} · Lectern`;
  }, [question, name]);
  useEffect(() => {
    if (last.current !== view) announce(name);
    last.current = view;
  }, [view]);
}

function skip(event: MouseEvent): void {
  event.preventDefault();
  document.querySelector<HTMLElement>('#content')?.focus();
}

/** What breaks in a view leaves the rest of the page alone. */
class Safe extends Component<{ children: ComponentChildren }, { isBroken: boolean }> {
  override state = { isBroken: false };

  override componentDidCatch(): void {
    this.setState({ isBroken: true });
  }

  override render() {
    if (!this.state.isBroken) return this.props.children;
    return (
      <div class="trouble" role="alert">
        <Icon name="warn" />
        <p>{t.value.problem.broken}</p>
        <button type="button" onClick={() => location.reload()}>
          {t.value.problem.reload}
        </button>
      </div>
    );
  }
}

/** Takes files wherever they are dropped: beside a box the browser would open them instead of the page. */
function DropTarget() {
  const texts = t.value.documents;
  const [over, setOver] = useState(false);
  useEffect(() => {
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') && may('write');
    const enter = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event: DragEvent) => {
      if (!event.relatedTarget) setOver(false);
    };
    const drop = (event: DragEvent) => {
      if (!hasFiles(event) || !event.dataTransfer) return;
      event.preventDefault();
      setOver(false);
      void dropped(event.dataTransfer.items).then(({ files, unread }) => {
        if (unread.length) say(t.peek().documents.unread(unread), true);
        addFiles(files);
        go('documents');
      });
    };
    // Both: what is let go in the moment in which the page below it has changed is only known to have come in.
    addEventListener('dragenter', enter);
    addEventListener('dragover', enter);
    addEventListener('dragleave', leave);
    addEventListener('drop', drop);
    return () => {
      removeEventListener('dragenter', enter);
      removeEventListener('dragover', enter);
      removeEventListener('dragleave', leave);
      removeEventListener('drop', drop);
    };
  }, []);
  if (!over) return null;
  return (
    <div class="drop-target">
      <div>
        <Icon name="upload" />
        <p>{texts.drop}</p>
        <p class="fine">{texts.dropInto(collection.value)}</p>
      </div>
    </div>
  );
}

function Messages() {
  return (
    <div class="messages">
      {messages.value.map(({ id, text, isBad }) => (
        <div key={id} class={isBad ? 'message is-bad' : 'message'} role={isBad ? 'alert' : 'status'}>
          <p>{text}</p>
          <IconButton icon="close" label={t.value.problem.dismiss} onClick={() => dismiss(id)} />
        </div>
      ))}
    </div>
  );
}
