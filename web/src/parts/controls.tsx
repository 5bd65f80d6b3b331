/** Small parts that every view uses. */

import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Problem } from '../api/client';
import { inWords } from '../state';
import { t } from '../texts';
import { Icon, type IconName } from './icons';

interface IconButtonProperties {
  icon: IconName;
  label: string;
  onClick: (event: MouseEvent) => void;
  disabled?: boolean;
  pressed?: boolean;
}

/** A button that shows an icon alone. */
export function IconButton({ icon, label, onClick, disabled, pressed }: IconButtonProperties) {
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={label}
      title={label}
      onClick={onClick}
      disabled={disabled}
      aria-pressed={pressed}
    >
      <Icon name={icon} />
    </button>
  );
}

/** What failed, in words, with a way to try it again once the server lets us. */
export function Trouble({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { problem } = t.value;
  const wait = error instanceof Problem ? (error.waitSeconds ?? 0) : 0;
  const [left, setLeft] = useState(wait);
  useEffect(() => {
    setLeft(wait);
    if (!wait) return;
    const timer = setInterval(() => setLeft((seconds) => Math.max(0, seconds - 1)), 1000);
    return () => clearInterval(timer);
  }, [wait]);
  return (
    <div class="trouble" role="alert">
      <Icon name="warn" />
      <p>{inWords(error)}</p>
      {onRetry && (
        <button type="button" onClick={onRetry} disabled={left > 0}>
          {problem.retry}
          {left > 0 && ` (${left} s)`}
        </button>
      )}
    </div>
  );
}

interface MenuItem {
  label: string;
  icon: IconName;
  onClick: () => void;
  isBad?: boolean;
}

/** A button that opens a menu, after the ARIA pattern: arrows move, Escape closes. */
export function Menu({ label, items }: { label: string; items: MenuItem[] }) {
  const [open, setOpen] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  const close = (refocus: boolean) => {
    setOpen(false);
    if (refocus) place.current?.querySelector('button')?.focus();
  };
  // Before the next key, which may come at once.
  useLayoutEffect(() => {
    if (open) place.current?.querySelector<HTMLElement>('[role=menuitem]')?.focus();
  }, [open]);
  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      if (!place.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, [open]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (!open) return;
    const all = [...(place.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      all[(at + step + all.length) % all.length]?.focus();
    } else if (event.key === 'Escape') {
      event.stopPropagation();
      close(true);
    } else if (event.key === 'Tab') close(false);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys of the menu inside, which bubble up
    <div class="menu" ref={place} onKeyDown={onKeyDown}>
      <button
        type="button"
        class="icon-button"
        aria-label={label}
        title={label}
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        <Icon name="more" />
      </button>
      {open && (
        <div role="menu" aria-label={label}>
          {items.map((item) => (
            <button
              type="button"
              role="menuitem"
              tabIndex={-1}
              key={item.label}
              class={item.isBad ? 'bad' : ''}
              onClick={() => {
                close(true);
                item.onClick();
              }}
            >
              <Icon name={item.icon} />
              {item.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

/** A name as it was given: whatever directions it mixes, it can't turn the text around it. */
export function Name({ children }: { children: ComponentChildren }) {
  return (
    <bdi class="name" dir="auto">
      {children}
    </bdi>
  );
}

export function Spinner({ label }: { label?: string }) {
  return (
    <span class="spinner" role="status">
      <span class="unseen">{label}</span>
    </span>
  );
}
