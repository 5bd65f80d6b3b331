//! The life of a job at a worker: claimed, held, done, and its end written down.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::anyhow;
use futures::FutureExt;
use lectern_shared::{
    events::{name, payload::Status},
    failure::FailureReport,
    ids::JobId,
    jobs::Queue,
    metrics,
    store::{
        StoreError,
        jobs::{self, Claimed, End},
    },
};
use rand::Rng;
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, error, info, info_span, warn};

use crate::{
    context::Context,
    error::JobError,
    handlers,
    lease::{Keeper, PutDown},
    report::Report,
};

/// Runs jobs, so many of each queue at a time.
pub struct Runner {
    pub(crate) context: Arc<Context>,
    /// Told to look at their lease when a cancellation is hinted at.
    running: Mutex<HashMap<JobId, Arc<Notify>>>,
    places: HashMap<Queue, Arc<Semaphore>>,
    tasks: TaskTracker,
    hand_back: CancellationToken,
}

/// How a job ended, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Failed,
    Dead,
    Retried,
    Cancelled,
    LeaseLost,
    HandedBack,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Retried => "retried",
            Self::Cancelled => "cancelled",
            Self::LeaseLost => "lease_lost",
            Self::HandedBack => "handed_back",
        }
    }
}

impl Runner {
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        let places = Queue::ALL
            .into_iter()
            .map(|queue| {
                (
                    queue,
                    Arc::new(Semaphore::new(concurrency(&context, queue))),
                )
            })
            .collect();
        Self {
            context,
            running: Mutex::default(),
            places,
            tasks: TaskTracker::new(),
            hand_back: CancellationToken::new(),
        }
    }

    /// Runs the job that a wake-up names, unless somebody else has it or it is over; or, where tenants take turns, the
    /// job whose turn it is. Returns at its end.
    ///
    /// The job runs on a task of its own: when Redis goes away, apalis drops its handlers, but not our work.
    pub async fn take(self: Arc<Self>, queue: Queue, id: JobId) {
        let runner = Arc::clone(&self);
        let task = self.tasks.spawn(async move {
            match runner.claim(queue, id).await {
                Ok(Some(job)) => runner.run(job).await,
                Ok(None) => {}
                Err(error) => warn!(%error, job.id = %id, "job not claimed, left to the sweep"),
            }
        });
        if let Err(error) = task.await {
            error!(%error, job.id = %id, "job task ended badly");
        }
    }

    async fn claim(&self, queue: Queue, id: JobId) -> Result<Option<Claimed>, StoreError> {
        let Context { pool, name, .. } = &*self.context;
        let lease = self.context.settings.worker.lease();
        if queue.takes_turns()
            && let Some(job) = jobs::claim_in_turn(pool, queue, name, lease).await?
        {
            return Ok(Some(job));
        }
        jobs::claim(pool, id, name, lease).await
    }

    /// Tells a running job to look whether it is cancelled.
    pub(crate) fn hint_cancel(&self, id: JobId) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = running.get(&id) {
            look.notify_one();
        }
    }

    /// Waits for the running jobs until the deadline, then hands the rest back to the queue.
    pub(crate) async fn drain(&self, deadline: Duration) {
        self.tasks.close();
        if tokio::time::timeout(deadline, self.tasks.wait())
            .await
            .is_err()
        {
            self.hand_back.cancel();
            if tokio::time::timeout(Duration::from_secs(2), self.tasks.wait())
                .await
                .is_err()
            {
                warn!("jobs not handed back in time: their leases will run out");
            }
        }
    }

    async fn run(&self, job: Claimed) {
        // More than the places only for moments, as when the queue's connection was renewed while jobs ran on.
        let _place = match self.places.get(&job.kind.queue()) {
            Some(places) => places.acquire().await.ok(),
            None => None,
        };
        let span = info_span!(
            "job",
            job.id = %job.id,
            kind = job.kind.as_str(),
            subject = %job.subject,
            attempt = job.attempt,
            request.id = job.request_id,
        );
        let look = Arc::new(Notify::new());
        self.note_running(job.id, Some(Arc::clone(&look)));
        let began = Instant::now();
        let kind = job.kind.as_str();
        ::metrics::histogram!(metrics::JOB_WAIT, "kind" => kind).record(job.waited);
        ::metrics::gauge!(metrics::JOBS_RUNNING, "kind" => kind).increment(1);
        let outcome = self.hold(&job, look).instrument(span.clone()).await;
        ::metrics::gauge!(metrics::JOBS_RUNNING, "kind" => kind).decrement(1);
        ::metrics::histogram!(metrics::JOB_DURATION, "kind" => kind, "outcome" => outcome.as_str())
            .record(began.elapsed());
        ::metrics::counter!(metrics::JOBS, "kind" => kind, "outcome" => outcome.as_str())
            .increment(1);
        self.note_running(job.id, None);
        let duration_ms = began.elapsed().as_secs_f64() * 1000.0;
        let waited_ms = job.waited.as_secs_f64() * 1000.0;
        span.in_scope(|| {
            info!(
                outcome = outcome.as_str(),
                duration_ms, waited_ms, "job ended"
            )
        });
    }

    fn note_running(&self, id: JobId, look: Option<Arc<Notify>>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match look {
            Some(look) => running.insert(id, look),
            None => running.remove(&id),
        };
    }

    async fn hold(&self, job: &Claimed, look: Arc<Notify>) -> Outcome {
        let context = &*self.context;
        let mut report = Report::new(context, job, Arc::clone(&look));
        let ended = if job.cancel_requested {
            Ended::PutDown(PutDown::CancelRequested)
        } else {
            let mut keeper = Keeper::start(
                context.pool.clone(),
                job,
                context.settings.worker.lease(),
                look,
            );
            let work = AssertUnwindSafe(handlers::handle(context, job, &mut report)).catch_unwind();
            tokio::select! {
                result = work => Ended::Itself(result.unwrap_or_else(|_| Err(JobError::transient(anyhow!("panicked"))))),
                why = keeper.put_down() => Ended::PutDown(why),
                () = self.hand_back.cancelled() => Ended::HandBack,
            }
        };
        match self.write_end(job, ended, &mut report).await {
            Ok(outcome) => outcome,
            Err(error) => {
                error!(%error, "end of the job not written: its lease will run out and it is done again");
                Outcome::LeaseLost
            }
        }
    }

    async fn write_end(
        &self,
        job: &Claimed,
        ended: Ended,
        report: &mut Report,
    ) -> Result<Outcome, JobError> {
        let pool = &self.context.pool;
        match ended {
            Ended::Itself(Ok(())) => {
                // Handlers end their job together with its result; those without a result leave it to us.
                let mut connection = pool.acquire().await.map_err(StoreError::from)?;
                jobs::finish(&mut connection, job.id, job.attempt).await?;
                Ok(Outcome::Done)
            }
            Ended::Itself(Err(JobError::LeaseLost)) | Ended::PutDown(PutDown::Lost) => {
                Ok(Outcome::LeaseLost)
            }
            Ended::Itself(Err(JobError::Postponed(delay))) => {
                if !jobs::postpone(pool, job, delay).await? {
                    return Ok(Outcome::LeaseLost);
                }
                Ok(Outcome::HandedBack)
            }
            Ended::Itself(Err(JobError::Failed { failure, cause })) => {
                info!(failure = failure.code(), cause, "job failed for good");
                self.end(job, End::Failed(failure), Some(&cause), report)
                    .await
            }
            Ended::Itself(Err(JobError::Transient { failure, cause })) if job.is_last_attempt => {
                error!(
                    error = format!("{cause:#}"),
                    "job given up as a dead letter"
                );
                self.end(job, End::Dead(failure), Some(&format!("{cause:#}")), report)
                    .await
            }
            Ended::Itself(Err(JobError::Transient { cause, .. })) => {
                let delay = backoff(job.kind.queue(), job.tries);
                warn!(
                    error = format!("{cause:#}"),
                    delay_ms = delay.as_secs_f64() * 1000.0,
                    "job will be tried again"
                );
                if !jobs::retry_later(pool, job, delay, &format!("{cause:#}")).await? {
                    return Ok(Outcome::LeaseLost);
                }
                report.emit(name::STATUS, &Status::stage("retrying")).await;
                Ok(Outcome::Retried)
            }
            Ended::PutDown(PutDown::CancelRequested) => {
                self.end(job, End::Cancelled, None, report).await
            }
            Ended::HandBack => {
                jobs::hand_back(pool, job).await?;
                Ok(Outcome::HandedBack)
            }
        }
    }

    async fn end(
        &self,
        job: &Claimed,
        end: End,
        cause: Option<&str>,
        report: &mut Report,
    ) -> Result<Outcome, JobError> {
        if !jobs::end(&self.context.pool, job, end, cause).await? {
            return Ok(Outcome::LeaseLost);
        }
        report
            .emit(name::FAILED, &FailureReport::from(end.failure()))
            .await;
        Ok(match end {
            End::Failed(_) => Outcome::Failed,
            End::Dead(_) => Outcome::Dead,
            End::Cancelled => Outcome::Cancelled,
        })
    }
}

enum Ended {
    Itself(Result<(), JobError>),
    PutDown(PutDown),
    HandBack,
}

/// How many jobs of a queue run at a time.
pub(crate) fn concurrency(context: &Context, queue: Queue) -> usize {
    let wanted = match queue {
        Queue::Ingest => context.settings.worker.ingest_concurrency,
        Queue::Question => context.settings.worker.question_concurrency,
        Queue::Maintenance => 1,
        Queue::Webhook => context.settings.worker.webhook_concurrency,
    };
    wanted.clamp(1, 1000)
}

/// Doubles with each attempt, with up to half of it at random so that jobs that failed together don't come back
/// together. Somebody waits for a question, so its steps are shorter.
/// A webhook's receiver may be down for hours: its steps grow fourfold.
fn backoff(queue: Queue, attempt: i32) -> Duration {
    let (first, factor) = match queue {
        Queue::Question => (Duration::from_millis(300), 2_u32),
        Queue::Ingest | Queue::Maintenance => (Duration::from_secs(2), 2),
        Queue::Webhook => (Duration::from_secs(5), 4),
    };
    let step = first * factor.pow(attempt.clamp(1, 7).cast_unsigned() - 1);
    step.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_and_stays_within_its_bounds() {
        for attempt in 1..=7 {
            let step = Duration::from_secs(2) * 2_u32.pow(attempt - 1);
            let delay = backoff(Queue::Ingest, attempt.cast_signed());
            assert!(
                delay >= step / 2 && delay <= step,
                "{delay:?} for attempt {attempt}"
            );
        }
    }
}
