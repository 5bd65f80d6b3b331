//! How a job says how far it is: in the ledger, in its event stream, and in the metrics.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lectern_shared::{
    events::{
        Publisher, name,
        payload::{Progress, Status},
    },
    metrics,
    store::jobs::{self, Claimed},
};
use serde::Serialize;
use sqlx::PgPool;
use tokio::sync::Notify;
use tracing::debug;

use crate::context::Context;

/// Progress is told so often at most: people can't read faster, and each telling costs two round trips.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

pub(crate) struct Report {
    pool: PgPool,
    job: Claimed,
    publisher: Publisher,
    look: Arc<Notify>,
    stage: Option<(&'static str, Instant)>,
    progress_at: Option<Instant>,
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
        self.stage = Some((stage, Instant::now()));
        self.progress_at = None;
        self.emit(name::STATUS, &Status::stage(stage)).await;
    }

    /// How far the stage is. Tellings that follow each other closely are skipped.
    pub(crate) async fn progress(&mut self, done: u32, total: u32) {
        let Some((stage, _)) = self.stage else { return };
        if done < total
            && self
                .progress_at
                .is_some_and(|at| at.elapsed() < PROGRESS_EVERY)
        {
            return;
        }
        self.progress_at = Some(Instant::now());
        let numbers = Some((done.cast_signed(), total.cast_signed()));
        if let Err(error) =
            jobs::note_progress(&self.pool, self.job.id, self.job.attempt, stage, numbers).await
        {
            debug!(%error, "progress not noted");
        }
        self.emit(
            name::PROGRESS,
            &Progress {
                stage: stage.to_owned(),
                done,
                total,
            },
        )
        .await;
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
