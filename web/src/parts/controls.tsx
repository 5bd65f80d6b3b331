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
    <div class="trouble">
      <Icon name="warn" />
      {/* Without the button, whose seconds would be read out one by one. */}
      <p role="alert">{inWords(error)}</p>
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

/** Above everything, so that the list that it stands in doesn't cut it off. */
const CAN_POP = typeof HTMLElement.prototype.showPopover === 'function';
const GAP_PX = 4;

/** Below the button, or above it where there is no room; ending with it. */
function beside(button: DOMRect, menu: HTMLElement): void {
  const { width, height } = menu.getBoundingClientRect();
  const fits = button.bottom + height + GAP_PX <= innerHeight;
  const top = fits ? button.bottom : Math.max(GAP_PX, button.top - height);
  const left = Math.max(GAP_PX, Math.min(button.right - width, innerWidth - width - GAP_PX));
  menu.style.top = `${top}px`;
  menu.style.left = `${left}px`;
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
    const menu = place.current?.querySelector<HTMLElement>('[role=menu]');
    if (!open || !menu || !place.current) return;
    if (CAN_POP) {
      menu.showPopover();
      beside(place.current.getBoundingClientRect(), menu);
    }
    menu.querySelector<HTMLElement>('[role=menuitem]')?.focus({ preventScroll: true });
  }, [open]);
  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      if (!place.current?.contains(event.target as Node)) setOpen(false);
    };
    const moved = () => setOpen(false);
    document.addEventListener('pointerdown', outside);
    document.addEventListener('scroll', moved, { capture: true, passive: true });
    addEventListener('resize', moved);
    return () => {
      document.removeEventListener('pointerdown', outside);
      document.removeEventListener('scroll', moved, { capture: true });
      removeEventListener('resize', moved);
    };
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
        <div role="menu" aria-label={label} popover={CAN_POP ? 'manual' : undefined}>
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
