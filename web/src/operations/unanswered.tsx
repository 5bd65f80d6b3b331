/** What the documents didn't answer, most asked first; a FAQ answers it from then on. */

import { useState } from 'preact/hooks';
import type { Unanswered as Asked } from '../api/shapes';
import { ago } from '../format';
import { Name, Trouble } from '../parts/controls';
import { client, tell } from '../state';
import { t } from '../texts';
import { FaqForm } from './faq-form';
import { faqsChanged } from './faqs';
import { usePaged } from './paged';

export function Unanswered() {
  const texts = t.value.operations;
  const { items, error, hasMore, more, reload } = usePaged<Asked>('/unanswered?limit=20', 'unanswered');
  const [answering, setAnswering] = useState<Asked>();
  const dismiss = ({ id }: Asked) => client.send('DELETE', `/unanswered/${id}`).then(reload).catch(tell);
  return (
    <section class="panel" aria-labelledby="unanswered-title">
      <h2 id="unanswered-title">{texts.unansweredTitle}</h2>
      {error !== undefined && <Trouble error={error} onRetry={reload} />}
      {items && !items.length && <p class="fine">{texts.noUnanswered}</p>}
      <ul class="lines">
        {items?.map((asked) => (
          <li key={asked.id}>
            <div class="grow">
              <p dir="auto" class="breaks">
                {asked.question}
              </p>
              <p class="fine">
                {asked.collection} · {texts.asked(asked.count)} · {ago(asked.last_asked_at)}
                {asked.nearest[0] && (
                  <>
                    {' · '}
                    {texts.nearest} <Name>{asked.nearest[0].document_name}</Name>
                  </>
                )}
              </p>
            </div>
            <button type="button" onClick={() => setAnswering(asked)}>
              {texts.answerIt}
            </button>
            <button type="button" onClick={() => void dismiss(asked)}>
              {texts.dismiss}
            </button>
          </li>
        ))}
      </ul>
      {hasMore && (
        <button type="button" class="link" onClick={more}>
          {texts.more}
        </button>
      )}
      {answering && (
        <FaqForm
          first={{ question: answering.question, answer: '' }}
          onClose={() => setAnswering(undefined)}
          onSave={async (fields) => {
            await client.send('POST', `/unanswered/${answering.id}/faq`, fields);
            faqsChanged.value++;
            reload();
          }}
        />
      )}
    </section>
  );
}
