/** The demonstration of the widget: writes the script tag that a site would, and embeds it here. */

import './demo.css';

const form = document.querySelector<HTMLFormElement>('#embed');
const tag = document.querySelector('#tag');

const attribute = (name: string) => `data-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

function embed(): void {
  if (!form || !tag) return;
  const src = new URL('/widget.js', location.href).href;
  const fields = [...new FormData(form)]
    .map(([name, value]) => [name, String(value)] as const)
    .filter(([, value]) => value !== '');
  const attributes = fields.map(([name, value]) => `${attribute(name)}="${value.replace(/"/g, '&quot;')}"`);
  tag.textContent = `<script src="${src}" ${attributes.join(' ')} async></script>`;
  document.querySelector('lectern-widget')?.remove();
  const script = document.createElement('script');
  for (const [name, value] of fields) script.dataset[name] = value;
  const trusted = (globalThis as { trustedTypes?: { createPolicy: typeof createPolicy } }).trustedTypes;
  script.src = trusted ? policyOf(trusted).createScriptURL(src) : src;
  document.body.append(script);
}

interface Rules {
  createScriptURL: (url: string) => string;
}
declare function createPolicy(name: string, rules: Rules): Rules;

let policy: Rules | undefined;
const policyOf = (trusted: { createPolicy: typeof createPolicy }): Rules => {
  policy ??= trusted.createPolicy('lectern', { createScriptURL: (url) => url });
  return policy;
};

/** A key that was just made comes behind `#`: that part of an address isn't sent to the server. */
function fill(): boolean {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of ['key', 'collection']) {
    const field = form?.elements.namedItem(name);
    if (field instanceof HTMLInputElement) field.value = given.get(name) ?? '';
  }
  return given.has('key');
}

form?.addEventListener('submit', (event) => {
  event.preventDefault();
  embed();
});
if (fill()) embed();
