/** The FAQs of a collection. */

import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import type { Faq } from '../api/shapes';
import { CollectionPicker } from '../parts/collections';
import { Trouble } from '../parts/controls';
import { confirmFirst } from '../parts/dialog';
import { Icon } from '../parts/icons';
import { client, collection, tell } from '../state';
import { t } from '../texts';
import { type FaqFields, FaqForm } from './faq-form';
import { usePaged } from './paged';

/** Counts up when a FAQ was made elsewhere on the page. */
export const faqsChanged = signal(0);

export function Faqs() {
  const texts = t.value.operations;
  const path = `/collections/${encodeURIComponent(collection.value)}/faqs`;
  const { items, error, hasMore, more, reload } = usePaged<Faq>(`${path}?limit=50`, 'faqs');
  const [writing, setWriting] = useState<Faq | 'new'>();
  useEffect(() => {
    if (faqsChanged.value) reload();
  }, [faqsChanged.value]);
  const save = async (fields: FaqFields) => {
    if (writing === 'new') await client.send('POST', path, fields);
    else if (writing) await client.send('PUT', `${path}/${writing.id}`, fields);
    reload();
  };
  const remove = ({ id }: Faq) =>
    confirmFirst({
      title: texts.faqRemoveTitle,
      text: texts.faqRemoveText,
      onConfirm: () => void client.send('DELETE', `${path}/${id}`).then(reload).catch(tell),
    });
  return (
    <section class="panel" aria-labelledby="faqs-title">
      <header>
        <h2 id="faqs-title">{texts.faqsTitle}</h2>
        <CollectionPicker />
        <button type="button" onClick={() => setWriting('new')}>
          <Icon name="plus" />
          {texts.faqAdd}
        </button>
      </header>
      {error !== undefined && <Trouble error={error} onRetry={reload} />}
      {items && !items.length && <p class="fine">{texts.noFaqs}</p>}
      <ul class="lines">
        {items?.map((faq) => (
          <li key={faq.id}>
            <div class="grow">
              <p dir="auto" class="breaks">
                <strong>{faq.question}</strong>
              </p>
              <p dir="auto" class="breaks">
                {faq.answer}
              </p>
              <p class="fine">
                {texts.faqHits(faq.hits)}
                {!faq.embedded && ` · ${texts.faqEmbedding}`}
              </p>
            </div>
            <button type="button" onClick={() => setWriting(faq)}>
              {texts.faqEdit}
            </button>
            <button type="button" onClick={() => remove(faq)}>
              {texts.faqRemove}
            </button>
          </li>
        ))}
      </ul>
      {hasMore && (
        <button type="button" class="link" onClick={more}>
          {texts.more}
        </button>
      )}
      {writing && (
        <FaqForm
          first={
            writing === 'new'
              ? { question: '', answer: '' }
              : { question: writing.question, answer: writing.answer, link: writing.link ?? '' }
          }
          onClose={() => setWriting(undefined)}
          onSave={save}
        />
      )}
    </section>
  );
}
