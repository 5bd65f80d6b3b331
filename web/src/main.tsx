/** Starts the page. */

import { render } from 'preact';
import { App } from './app';
import './theme';
import { preferredLanguage, speak } from './texts';
import './styles/tokens.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/chat.css';
import './styles/documents.css';
import './styles/operations.css';
import './styles/viewer.css';

const root = document.getElementById('app');
if (!root) throw new Error('the page has no #app');
// Without the language, in English.
await speak(preferredLanguage()).catch(() => {});
render(<App />, root);
