/** Jobs that were tried as often as allowed. */

import type { DeadLetter } from '../api/shapes';
import { ago } from '../format';
import { Name, Trouble } from '../parts/controls';
import { client, inWordsOf, tell } from '../state';
import { t } from '../texts';
import { usePaged } from './paged';

export function DeadLetters() {
  const texts = t.value.operations;
  const { items, error, hasMore, more, reload } = usePaged<DeadLetter>('/jobs/dead', 'jobs', 'before');
  const act = (method: string, path: string) => client.send(method, path).then(reload).catch(tell);
  return (
    <section class="panel" aria-labelledby="dead-title">
      <h2 id="dead-title">{texts.deadTitle}</h2>
      {error !== undefined && <Trouble error={error} onRetry={reload} />}
      {items && !items.length && <p class="fine">{texts.noDead}</p>}
      <ul class="lines">
        {items?.map((job) => (
          <li key={job.id}>
            <span class="mark">{texts.kinds[job.kind] ?? job.kind}</span>
            <div class="grow">
              {job.document_name && (
                <p>
                  <Name>{job.document_name}</Name>
                </p>
              )}
              <p class="fine">
                {inWordsOf(job.failure)} {texts.attempts(job.attempts)}
                {job.died_at && `, ${ago(job.died_at)}`}
              </p>
            </div>
            <button type="button" onClick={() => void act('POST', `/jobs/${job.id}/retry`)}>
              {texts.retry}
            </button>
            <button type="button" onClick={() => void act('DELETE', `/jobs/${job.id}`)}>
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
    </section>
  );
}
