/**
 * The widget, for any web site: one script tag with a public key.
 *
 *   <script src="https://lectern.example.org/widget.js" data-key="…" data-collection="…" async></script>
 *
 * It lives in a shadow root with a stylesheet that is made by script, so neither the site's styles nor a strict
 * Content-Security-Policy get in its way: the site allows this server in `script-src` and `connect-src`, and no more.
 */

import { render } from 'preact';
import { Widget } from './panel';
import { Store } from './store';
import { textsOf } from './texts';
import css from './widget.css?inline';

/** Whether dark text reads better on that colour than white. */
function isLight(colour: string): boolean {
  const context = document.createElement('canvas').getContext('2d');
  if (!context) return false;
  context.fillStyle = colour;
  // Read back as `#rrggbb`, however it was written.
  const parts = /^#(..)(..)(..)$/.exec(String(context.fillStyle)) ?? [];
  const [red = 0, green = 0, blue = 0] = parts.slice(1).map((digits) => Number.parseInt(digits, 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue > 150;
}

function start(script: HTMLScriptElement): void {
  const { key, api, collection, theme, accent, position, open, language } = script.dataset;
  if (!key) {
    // biome-ignore lint/suspicious/noConsole: whoever embeds it looks there, and readers of the site can't help it
    console.error('Lectern: the script tag of widget.js has no data-key');
    return;
  }
  const host = document.createElement('lectern-widget');
  host.dataset.theme = theme ?? 'auto';
  host.dataset.position = position ?? 'right';
  if (accent) {
    host.style.setProperty('--lectern-accent', accent);
    if (isLight(accent)) host.dataset.accent = 'light';
  }
  const root = host.attachShadow({ mode: 'open' });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [sheet];
  document.body.append(host);
  const base = (api ?? new URL(script.src).origin).replace(/\/$/, '');
  const texts = textsOf(language ?? (document.documentElement.lang || navigator.language), script.dataset);
  render(<Widget store={new Store(key, base, collection)} texts={texts} startsOpen={open !== undefined} />, root);
}

// Only known while the script runs for the first time.
const script = document.currentScript;
if (script instanceof HTMLScriptElement) {
  if (document.body) start(script);
  else addEventListener('DOMContentLoaded', () => start(script));
}
