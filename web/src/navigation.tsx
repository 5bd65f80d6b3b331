/** The side of the page: where one can go, the conversations so far, and how the page looks and speaks. */

import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Conversation } from './api/shapes';
import { current, history, loadHistory, moreHistory, removeConversation, startOver } from './chat/store';
import { IconButton } from './parts/controls';
import { confirmFirst } from './parts/dialog';
import { Icon, type IconName } from './parts/icons';
import { go, may, route, say, signOut, type View } from './state';
import { chooseLanguage, languages, t } from './texts';
import { type Theme, theme } from './theme';

const ICONS: Record<View, IconName> = { chat: 'chat', documents: 'documents', operations: 'operations' };

export function Navigation() {
  const texts = t.value;
  const [open, setOpen] = useState(false);
  const side = useRef<HTMLElement>(null);
  useDrawer(open, side, () => setOpen(false));
  const views: View[] = may('admin') ? ['chat', 'documents', 'operations'] : ['chat', 'documents'];
  const fresh = () => {
    setOpen(false);
    startOver();
    go('chat');
  };
  return (
    <>
      <div class="phone-bar">
        <IconButton icon="menu" label={texts.nav.menu} onClick={() => setOpen(true)} />
        <span class="brand">Lectern</span>
        <IconButton icon="plus" label={texts.chat.fresh} onClick={fresh} />
      </div>
      {open && <button type="button" class="scrim" aria-label={texts.nav.close} onClick={() => setOpen(false)} />}
      <nav class={`side${open ? ' is-open' : ''}`} ref={side} aria-label={texts.nav.main}>
        <div class="side-head">
          <span class="brand">Lectern</span>
          <span class="on-phone">
            <IconButton icon="close" label={texts.nav.close} onClick={() => setOpen(false)} />
          </span>
        </div>
        <button type="button" class="fresh" onClick={fresh}>
          <Icon name="plus" />
          {texts.chat.fresh}
        </button>
        <ul class="views">
          {views.map((view) => (
            <li key={view}>
              <a
                href={`#/${view}${view === 'chat' && current.value ? `/${current.value.id}` : ''}`}
                aria-current={route.value.view === view ? 'page' : undefined}
                onClick={() => setOpen(false)}
              >
                <Icon name={ICONS[view]} />
                {texts.nav[view]}
              </a>
            </li>
          ))}
        </ul>
        <History onChoose={() => setOpen(false)} />
        <Preferences />
      </nav>
    </>
  );
}

/** While the drawer of narrow screens is open the focus is in it; then it goes back, or to what was chosen. */
function useDrawer(open: boolean, side: RefObject<HTMLElement>, close: () => void): void {
  useEffect(() => {
    if (!open) return;
    const opener = document.activeElement;
    const before = location.hash;
    const covered = document.querySelectorAll<HTMLElement>('.phone-bar, #content');
    for (const element of covered) element.inert = true;
    side.current?.querySelector<HTMLElement>('.side-head button')?.focus();
    const onKeyDown = (event: KeyboardEvent) => {
      // What is open above it closes first.
      if (event.key === 'Escape' && !document.querySelector('dialog[open]')) close();
    };
    // Turned or widened, the screen has no drawer any more.
    const narrow = matchMedia('(max-width: 760px)');
    narrow.addEventListener('change', close);
    document.addEventListener('keydown', onKeyDown);
    return () => {
      narrow.removeEventListener('change', close);
      document.removeEventListener('keydown', onKeyDown);
      for (const element of covered) element.inert = false;
      if (location.hash !== before) document.querySelector<HTMLElement>('#content')?.focus({ preventScroll: true });
      else if (opener instanceof HTMLElement) opener.focus();
    };
  }, [open]);
}

const DAY_MS = 86_400_000;

function groups(all: Conversation[], now = new Date()): [string, Conversation[]][] {
  const { today, week, older } = t.value.chat;
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const of = ({ updated_at }: Conversation) => {
    const when = new Date(updated_at).getTime();
    if (when >= midnight) return today;
    return when >= midnight - 6 * DAY_MS ? week : older;
  };
  return [today, week, older]
    .map((group): [string, Conversation[]] => [group, all.filter((conversation) => of(conversation) === group)])
    .filter(([, found]) => found.length);
}

function History({ onChoose }: { onChoose: () => void }) {
  const texts = t.value.chat;
  const all = history.value.filter(({ turns }) => turns > 0);
  const remove = (id: string) =>
    confirmFirst({ title: texts.removeTitle, text: texts.removeText, onConfirm: () => void removeConversation(id) });
  return (
    <section class="history" aria-label={texts.history}>
      {!all.length && <p class="fine">{texts.noHistory}</p>}
      {groups(all).map(([group, found]) => (
        <div key={group}>
          <h2>{group}</h2>
          <ul>
            {found.map(({ id, question }) => (
              <li key={id}>
                <a
                  href={`#/chat/${id}`}
                  aria-current={current.value?.id === id && route.value.view === 'chat' ? 'page' : undefined}
                  onClick={onChoose}
                  title={question ?? ''}
                  dir="auto"
                >
                  {question ?? texts.untitled}
                </a>
                <IconButton icon="trash" label={texts.remove(question ?? texts.untitled)} onClick={() => remove(id)} />
              </li>
            ))}
          </ul>
        </div>
      ))}
      {moreHistory.value && (
        <button type="button" class="link fine" onClick={() => void loadHistory(moreHistory.value ?? undefined)}>
          {texts.more}
        </button>
      )}
    </section>
  );
}

function Preferences() {
  const texts = t.value;
  const themes: [Theme, string][] = [
    ['auto', texts.theme.auto],
    ['light', texts.theme.light],
    ['dark', texts.theme.dark],
  ];
  return (
    <div class="preferences">
      <label class="select">
        <span class="unseen">{texts.theme.label}</span>
        <select
          value={theme.value}
          onChange={(event) => {
            theme.value = event.currentTarget.value as Theme;
          }}
        >
          {themes.map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <label class="select">
        <span class="unseen">{texts.languageLabel}</span>
        <select
          value={texts.locale}
          onChange={(event) => {
            const { value } = event.currentTarget;
            chooseLanguage(value).catch(() => say(texts.problem.unreachable, true));
          }}
        >
          {languages.map(({ code, name }) => (
            <option key={code} value={code}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <button type="button" class="link fine" onClick={signOut}>
        {texts.signOut}
      </button>
    </div>
  );
}
