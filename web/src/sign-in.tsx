/** Asks for a key. */

import { useEffect, useRef } from 'preact/hooks';
import { signIn, wasRefused } from './state';
import { t } from './texts';

export function SignIn() {
  const texts = t.value.signIn;
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  return (
    <main class="sign-in" id="content">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          signIn(field.current?.value.trim() ?? '');
        }}
      >
        <p class="brand">Lectern</p>
        <p class="fine">{t.value.tagline}</p>
        <h1>{texts.title}</h1>
        <label class="field">
          {texts.label}
          <input ref={field} id="key" type="password" autocomplete="off" required aria-describedby="key-hint" />
        </label>
        {wasRefused.value && (
          <p class="bad" role="alert">
            {texts.refused}
          </p>
        )}
        <p class="fine" id="key-hint">
          {texts.hint}
        </p>
        <button type="submit" class="primary">
          {texts.submit}
        </button>
      </form>
    </main>
  );
}
