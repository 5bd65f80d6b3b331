/** The demonstration of the widget: writes the script tag that a site would, and embeds it here. */

import './demo.css';

const form = document.querySelector<HTMLFormElement>('#embed');
const tag = document.querySelector('#tag');

const attribute = (name: string) => `data-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

function embed(): void {
  if (!form || !tag) return;
  const src = new URL('/widget.js', location.href).href;
  const fields = [...new FormData(form)].map(([name, value]) => [name, String(value)] as const);
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

form?.addEventListener('submit', (event) => {
  event.preventDefault();
  embed();
});
embed();
