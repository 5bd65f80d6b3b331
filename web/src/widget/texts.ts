/** What the widget says; a site may say it otherwise with attributes of the script tag. */

const en = {
  open: 'Ask a question',
  title: 'Ask us',
  greeting: 'Ask anything that our documents may answer.',
  placeholder: 'Your question',
  send: 'Send',
  stop: 'Stop',
  close: 'Close',
  fresh: 'Start over',
  sources: 'Sources',
  page: 'page',
  source: 'Source',
  good: 'Good answer',
  bad: 'Bad answer',
  abstained: 'Not in the documents',
  uncited: 'No source cited',
  searching: 'Looking …',
  writing: 'Writing …',
  offline: 'Connection lost. Trying again …',
  stopped: 'Stopped.',
  unreachable: 'The answers can’t be reached right now. Try again in a moment.',
  refused: 'This site may not ask here. Its operator has to check the key.',
  busy: 'Too many questions right now. Try again in a moment.',
  wait: 'Too many questions right now. Try again in # s.',
  failed: 'That didn’t work. Try again in a moment.',
  again: 'Try again',
};

export type Texts = typeof en;

const es: Texts = {
  open: 'Hacer una pregunta',
  title: 'Pregúntenos',
  greeting: 'Pregunte lo que nuestros documentos puedan responder.',
  placeholder: 'Su pregunta',
  send: 'Enviar',
  stop: 'Detener',
  close: 'Cerrar',
  fresh: 'Empezar de nuevo',
  sources: 'Fuentes',
  page: 'página',
  source: 'Fuente',
  good: 'Buena respuesta',
  bad: 'Mala respuesta',
  abstained: 'No está en los documentos',
  uncited: 'No cita ninguna fuente',
  searching: 'Buscando …',
  writing: 'Escribiendo …',
  offline: 'Conexión perdida. Intentando de nuevo …',
  stopped: 'Detenido.',
  unreachable: 'Ahora no se puede responder. Inténtelo de nuevo en un momento.',
  refused: 'Este sitio no puede preguntar aquí. Su responsable debe revisar la clave.',
  busy: 'Demasiadas preguntas en este momento. Inténtelo de nuevo en un momento.',
  wait: 'Demasiadas preguntas en este momento. Inténtelo de nuevo en # s.',
  failed: 'Algo no funcionó. Inténtelo de nuevo en un momento.',
  again: 'Intentar de nuevo',
};

const ALL: Record<string, Texts> = { en, es };

/** Those of a language, with what the site says otherwise: `data-text-title="…"`. */
export function textsOf(language: string, attributes: DOMStringMap): Texts {
  const texts = { ...(ALL[language.slice(0, 2)] ?? en) };
  for (const name of Object.keys(texts) as (keyof Texts)[]) {
    const own = attributes[`text${name.charAt(0).toUpperCase()}${name.slice(1)}`];
    if (own) texts[name] = own;
  }
  return texts;
}
