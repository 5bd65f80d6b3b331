/** What a conversation begins with: what to do first, with nothing at hand, too. */

import { useEffect, useState } from 'preact/hooks';
import { query } from '../api/client';
import type { Doc } from '../api/shapes';
import { addSample, SAMPLE_NAME } from '../documents/sample';
import { stopUpload, uploads } from '../documents/uploads';
import { Spinner, Trouble } from '../parts/controls';
import { Icon } from '../parts/icons';
import { client, collection, go, inWordsOf, may, tell } from '../state';
import { t } from '../texts';
import { ask } from './store';

interface Stock {
  isEmpty: boolean;
  sample?: Doc | undefined;
}

const LOOK_MS = 1000;

async function stock(of: string): Promise<Stock> {
  const page = (name?: string) =>
    client.get<{ documents: Doc[] }>(`/documents${query({ collection: of, limit: 1, name })}`);
  const [any, samples] = await Promise.all([page(), page(SAMPLE_NAME)]);
  return { isEmpty: any.documents.length === 0, sample: samples.documents[0] };
}

export function Welcome() {
  const texts = t.value.chat;
  const of = collection.value;
  const [now, setNow] = useState<Stock>();
  const [trying, setTrying] = useState(false);
  const sample = now?.sample;
  const refused = uploads.value.find(({ name, state }) => name === SAMPLE_NAME && state === 'failed');
  const isReading = sample?.state === 'queued' || sample?.state === 'processing';
  useEffect(() => {
    let isWanted = true;
    const look = () =>
      stock(of)
        .then((found) => isWanted && setNow(found))
        .catch(tell);
    void look();
    const timer = trying || isReading ? setInterval(look, LOOK_MS) : undefined;
    return () => {
      isWanted = false;
      clearInterval(timer);
    };
  }, [of, trying, isReading]);
  useEffect(() => {
    if ((sample && !isReading) || refused) setTrying(false);
  }, [sample, isReading, refused]);
  const trySample = () => {
    if (refused) stopUpload(refused.id);
    setTrying(true);
    addSample().catch((error) => {
      setTrying(false);
      tell(error);
    });
  };
  if (!now) return null;
  if (now.isEmpty && !trying && may('write')) {
    return (
      <div class="welcome">
        <h2>{texts.welcomeEmpty}</h2>
        <p>{texts.welcomeEmptyText}</p>
        <div class="welcome-actions">
          <button type="button" class="primary" onClick={() => go('documents')}>
            <Icon name="plus" />
            {texts.toDocuments}
          </button>
          <button type="button" onClick={trySample}>
            <Icon name="sparkle" />
            {texts.trySample}
          </button>
        </div>
        {refused && <Trouble error={refused.error} onRetry={trySample} />}
      </div>
    );
  }
  return (
    <div class="welcome">
      <h2>{texts.welcome}</h2>
      <p>{texts.welcomeText}</p>
      {(trying || isReading) && (
        <p class="stage" role="status">
          <Spinner />
          {texts.sampleReading}
        </p>
      )}
      {sample?.failure && (
        <p class="bad" role="alert">
          {inWordsOf(sample.failure)}
        </p>
      )}
      {sample?.state === 'ready' && (
        <div class="suggestions">
          {texts.sampleQuestions.map((question) => (
            <button type="button" key={question} onClick={() => void ask(question)}>
              {question}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
