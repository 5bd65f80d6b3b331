/** What is going on: queues, what runs where, what was answered, what was given up on, what was not answered. */

import { useEffect, useState } from 'preact/hooks';
import type { Operations as Report } from '../api/shapes';
import { duration, number } from '../format';
import { Name, Spinner, Trouble } from '../parts/controls';
import { Icon } from '../parts/icons';
import { client } from '../state';
import { t } from '../texts';
import { DeadLetters } from './dead-letters';
import { Faqs } from './faqs';
import { Keys } from './keys';
import { Spark, Stacked } from './plots';
import { Unanswered } from './unanswered';

const LOOK_MS = 3000;
const sum = (values: number[]) => values.reduce((all, value) => all + value, 0);

export function Operations() {
  const texts = t.value.operations;
  const [report, setReport] = useState<Report>();
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    let isWanted = true;
    const look = async () => {
      try {
        const found = await client.get<Report>('/operations');
        if (!isWanted) return;
        setReport(found);
        setError(undefined);
      } catch (problem) {
        if (isWanted) setError(problem);
      }
    };
    void look();
    const timer = setInterval(() => !document.hidden && void look(), LOOK_MS);
    return () => {
      isWanted = false;
      clearInterval(timer);
    };
  }, []);
  return (
    <section class="view operations" aria-labelledby="operations-title">
      <header class="view-head">
        <h1 id="operations-title">{texts.title}</h1>
        {report?.grafana && (
          <a class="button" href={report.grafana} target="_blank" rel="noopener noreferrer">
            <Icon name="link" />
            {texts.grafana}
          </a>
        )}
      </header>
      {error !== undefined && <Trouble error={error} />}
      {!report && error === undefined && <Spinner />}
      {report && (
        <>
          <Facts report={report} />
          <Queues report={report} />
          <Running report={report} />
          <Answers report={report} />
        </>
      )}
      <Unanswered />
      <DeadLetters />
      <Faqs />
      <Keys />
    </section>
  );
}

const STATES = ['ready', 'processing', 'queued', 'failed', 'cancelled'];
const byState = (one: { state: string }, other: { state: string }) =>
  STATES.indexOf(one.state) - STATES.indexOf(other.state);

function Facts({ report }: { report: Report }) {
  const { operations: texts, documents } = t.value;
  const ready = report.documents.find(({ state }) => state === 'ready');
  return (
    <>
      {!report.workers.length && (
        <div class="trouble" role="alert">
          <Icon name="warn" />
          <p>{texts.noWorkers}</p>
        </div>
      )}
      <dl class="facts">
        {[...report.documents].sort(byState).map(({ state, count }) => (
          <div key={state}>
            <dt>{documents.states[state]}</dt>
            <dd>{number(count)}</dd>
          </div>
        ))}
        <div>
          <dt>{documents.columns.pages}</dt>
          <dd>{number(ready?.pages ?? 0)}</dd>
        </div>
        <div>
          <dt>{documents.columns.chunks}</dt>
          <dd>{number(ready?.chunks ?? 0)}</dd>
        </div>
      </dl>
      <p class="fine versions">
        Lectern {report.version} · {report.model ?? '–'} · {texts.workers(report.workers.length)}
      </p>
    </>
  );
}

function Queues({ report }: { report: Report }) {
  const texts = t.value.operations;
  return (
    <section class="panel">
      <h2>{texts.queues}</h2>
      <div class="scrolls" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th>{texts.queueName}</th>
              <th class="is-number">{texts.waiting}</th>
              <th class="is-number">{texts.running}</th>
              <th class="is-number">{texts.oldest}</th>
              <th class="is-number">{texts.dead}</th>
              <th>{texts.rate}</th>
            </tr>
          </thead>
          <tbody>
            {report.queues.map((queue) => {
              const name = texts.queue[queue.queue] ?? queue.queue;
              const done = sum(queue.done);
              return (
                <tr key={queue.queue}>
                  <th scope="row">{name}</th>
                  <td class="is-number">{number(queue.waiting + queue.later)}</td>
                  <td class="is-number">{number(queue.running)}</td>
                  <td class="is-number">{queue.oldest_seconds === null ? '–' : duration(queue.oldest_seconds)}</td>
                  <td class={queue.dead ? 'is-number bad' : 'is-number'}>{number(queue.dead)}</td>
                  <td class="with-spark">
                    <Spark values={queue.done} label={texts.sparkDone(name, done)} />
                    <span class="fine">{texts.doneFailed(done, sum(queue.failed))}</span>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Running({ report }: { report: Report }) {
  const { operations: texts, documents } = t.value;
  return (
    <section class="panel">
      <h2>{texts.now}</h2>
      {!report.running.length && <p class="fine">{texts.nothingRuns}</p>}
      <ul class="lines">
        {report.running.map((job) => (
          <li key={job.id}>
            <span class="mark">{texts.kinds[job.kind] ?? job.kind}</span>
            {job.document_name && <Name>{job.document_name}</Name>}
            <span class="fine">
              {[
                job.stage && (documents.stages[job.stage] ?? job.stage),
                job.total && `${number(job.done ?? 0)} / ${number(job.total)}`,
                job.worker && texts.on(job.worker),
              ]
                .filter(Boolean)
                .join(' · ')}
            </span>
            <span class="grow" />
            <span class="fine">
              {job.started_at && duration((Date.now() - new Date(job.started_at).getTime()) / 1000)}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

const ORIGINS = ['generated', 'cached', 'faq', 'abstained', 'failed'] as const;

function Answers({ report }: { report: Report }) {
  const texts = t.value.operations;
  const total = (name: (typeof ORIGINS)[number]) => sum(report.answers.map((hour) => hour[name]));
  const all = sum(ORIGINS.map(total));
  const reused = all ? Math.round(((total('cached') + total('faq')) / all) * 100) : 0;
  const parts = ORIGINS.map((name) => ({ name, label: texts.origins[name] }));
  return (
    <section class="panel">
      <h2>{texts.answers}</h2>
      {!all && <p class="fine">{texts.noAnswers}</p>}
      {all > 0 && (
        <>
          <div class="answers-plot">
            <Stacked rows={report.answers.map((hour) => ({ ...hour }))} parts={parts} label={texts.answersChart(all)} />
            <div class="hit-rate">
              <strong>{reused} %</strong>
              <span class="fine">{texts.hitRate}</span>
            </div>
          </div>
          <ul class="legend">
            {parts.map(({ name, label }) => (
              <li key={name}>
                <span class={`swatch part-${name}`} />
                {label} <strong>{number(total(name))}</strong>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}
