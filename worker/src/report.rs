//! How a job says how far it is: in the ledger, in its event stream, and in the metrics.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use lectern_shared::{
    events::{
        Publisher, name,
        payload::{Progress, Status},
    },
    jobs::Queue,
    metrics,
    store::jobs::{self, Claimed},
};
use serde::Serialize;
use sqlx::PgPool;
use tokio::sync::Notify;
use tracing::debug;

use crate::{context::Context, pace::Pace};

/// Progress is told so often at most: people can't read faster, and each telling costs two round trips.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

pub(crate) struct Report {
    pool: PgPool,
    job: Claimed,
    publisher: Publisher,
    look: Arc<Notify>,
    stage: Option<(&'static str, Instant)>,
    progress_at: Option<Instant>,
    pace: Pace,
}

impl Report {
    /// `look` is notified when the lease may be lost.
    pub(crate) fn new(context: &Context, job: &Claimed, look: Arc<Notify>) -> Self {
        let attempt = job.attempt.cast_unsigned();
        Self {
            pool: context.pool.clone(),
            publisher: Publisher::new(
                context.redis.clone(),
                &context.settings.store,
                job.subject,
                attempt,
            ),
            job: job.clone(),
            look,
            stage: None,
            progress_at: None,
            pace: Pace::default(),
        }
    }

    /// Sends an event. A refused one hints at a later attempt that has taken over; the ledger decides.
    pub(crate) async fn emit(&mut self, name: &str, data: &impl Serialize) {
        if !self.publisher.publish(name, data).await {
            self.look.notify_one();
        }
    }

    /// Begins a stage and ends the one before.
    pub(crate) async fn stage(&mut self, stage: &'static str) {
        self.end_stage();
        let now = Instant::now();
        self.stage = Some((stage, now));
        self.progress_at = None;
        self.pace = Pace::start(now);
        // Of a question nobody asks the rows, and it would wait for them.
        if self.job.kind.queue() != Queue::Question {
            self.note(stage, None).await;
        }
        self.emit(name::STATUS, &Status::stage(stage)).await;
    }

    /// How far the stage is. Tellings that follow each other closely are skipped.
    pub(crate) async fn progress(&mut self, done: u32, total: u32) {
        let Some((stage, _)) = self.stage else { return };
        let now = Instant::now();
        let rate = self.pace.note(now, done);
        if done < total
            && self
                .progress_at
                .is_some_and(|at| at.elapsed() < PROGRESS_EVERY)
        {
            return;
        }
        self.progress_at = Some(now);
        let progress = jobs::Progress {
            done: done.cast_signed(),
            total: total.cast_signed(),
            rate,
        };
        self.note(stage, Some(progress)).await;
        let seconds_left = rate.map(|rate| f64::from(total.saturating_sub(done)) / f64::from(rate));
        self.emit(
            name::PROGRESS,
            &Progress {
                stage: stage.to_owned(),
                done,
                total,
                rate,
                estimated_end: seconds_left.and_then(|seconds| {
                    let left = Duration::try_from_secs_f64(seconds).ok()?;
                    Utc::now().checked_add_signed(TimeDelta::from_std(left).ok()?)
                }),
            },
        )
        .await;
    }

    async fn note(&self, stage: &str, progress: Option<jobs::Progress>) {
        let (id, attempt) = (self.job.id, self.job.attempt);
        if let Err(error) = jobs::note_progress(&self.pool, id, attempt, stage, progress).await {
            debug!(%error, "progress not noted");
        }
    }

    fn end_stage(&mut self) {
        if let Some((stage, began)) = self.stage.take() {
            ::metrics::histogram!(metrics::STAGE_DURATION, "kind" => self.job.kind.as_str(), "stage" => stage)
                .record(began.elapsed());
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.end_stage();
    }
}
