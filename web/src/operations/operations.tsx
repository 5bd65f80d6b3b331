/** What is going on: queues, what runs where, what was answered, what was given up on, what was not answered. */

import { useEffect, useState } from 'preact/hooks';
import type { Operations as Report, RunningJob } from '../api/shapes';
import { ago, duration, number } from '../format';
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
        <Dashboard report={report} name="overview" label={texts.grafana} />
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

interface DashboardProperties {
  report: Report | undefined;
  /** Its file in `grafana/dashboards`. */
  name: 'overview' | 'queue' | 'ingestion' | 'answers';
  label: string;
  /** What it is about, for those who don't see where it stands. */
  of?: string;
}

/** To the dashboard of Grafana that shows more of it, if the settings say where that is. */
function Dashboard({ report, name, label, of }: DashboardProperties) {
  if (!report?.grafana) return null;
  const url = `${report.grafana.replace(/\/$/, '')}/d/lectern-${name}`;
  return (
    <a class="button" href={url} target="_blank" rel="noopener noreferrer">
      <Icon name="link" />
      {label}
      {of && <span class="unseen">: {of}</span>}
    </a>
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
        Lectern {report.version} · {texts.model}: {report.model ?? '–'} · {texts.workers(report.workers.length)}
      </p>
    </>
  );
}

function Queues({ report }: { report: Report }) {
  const texts = t.value.operations;
  return (
    <section class="panel">
      <header>
        <h2>{texts.queues}</h2>
        <Dashboard report={report} name="queue" label={texts.dashboard} of={texts.queues} />
      </header>
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

/** Jobs by the worker that holds them; then those workers that hold none. */
function Running({ report }: { report: Report }) {
  const texts = t.value.operations;
  const { running, workers } = report;
  const busy = [...new Set(running.map(({ worker }) => worker))];
  const idle = workers.filter(({ name }) => !busy.includes(name));
  return (
    <section class="panel">
      <header>
        <h2>{texts.now}</h2>
        <Dashboard report={report} name="ingestion" label={texts.dashboard} of={texts.now} />
      </header>
      {!running.length && <p class="fine">{texts.nothingRuns}</p>}
      {busy.map((name) => {
        const worker = workers.find((worker) => worker.name === name);
        const since = worker && texts.workerSince(worker.version, ago(worker.started_at));
        return (
          <div key={name} class="worker">
            <h3>
              {name ?? texts.noWorker} {since && <span class="fine">{since}</span>}
            </h3>
            <ul class="lines">{running.filter(({ worker }) => worker === name).map(line)}</ul>
          </div>
        );
      })}
      {idle.length > 0 && <p class="fine breaks">{texts.idle(idle.map(({ name }) => name).join(', '))}</p>}
    </section>
  );
}

function line(job: RunningJob) {
  const { operations: texts, documents, chat } = t.value;
  const stage = job.stage && (documents.stages[job.stage] ?? chat.stages[job.stage] ?? job.stage);
  const progress = job.total && `${number(job.done ?? 0)} / ${number(job.total)}`;
  return (
    <li key={job.id}>
      <span class="mark">{texts.kinds[job.kind] ?? job.kind}</span>
      {job.document_name && <Name>{job.document_name}</Name>}
      <span class="fine">{[stage, progress].filter(Boolean).join(' · ')}</span>
      <span class="fine at-end">
        {job.started_at && duration((Date.now() - new Date(job.started_at).getTime()) / 1000)}
      </span>
    </li>
  );
}

const ORIGINS = ['generated', 'cached', 'faq', 'abstained', 'failed'] as const;

function Answers({ report }: { report: Report }) {
  const texts = t.value.operations;
  const total = (name: (typeof ORIGINS)[number]) => sum(report.answers.map((hour) => hour[name]));
  const all = sum(ORIGINS.map(total));
  const share = (name: (typeof ORIGINS)[number]) => Math.round((total(name) / all) * 100);
  const parts = ORIGINS.map((name) => ({ name, label: texts.origins[name] }));
  return (
    <section class="panel">
      <header>
        <h2>{texts.answers}</h2>
        <Dashboard report={report} name="answers" label={texts.dashboard} of={texts.answers} />
      </header>
      {!all && <p class="fine">{texts.noAnswers}</p>}
      {all > 0 && (
        <>
          <div class="answers-plot">
            <Stacked rows={report.answers.map((hour) => ({ ...hour }))} parts={parts} label={texts.answersChart(all)} />
            <dl class="hit-rates">
              <div>
                <dt>{texts.cacheRate}</dt>
                <dd>{share('cached')} %</dd>
              </div>
              <div>
                <dt>{texts.faqRate}</dt>
                <dd>{share('faq')} %</dd>
              </div>
            </dl>
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
