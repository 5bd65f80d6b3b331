//! What every handler may use.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lectern_shared::{
    blobs::Blobs,
    events::Publisher,
    jobs::{self, Dispatcher, Names},
    store::{
        self,
        jobs::{Enqueued, Limits},
        models::{self, ModelId},
        versions::Made,
    },
};
use redis::aio::ConnectionManager;
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use crate::{
    answer::Generator,
    config::RunSettings,
    error::JobError,
    models::{EmbedderHandle, TokenCounter},
    rerank::Reranking,
    webhook::Courier,
};

/// How long a job waits for a worker with the active model.
pub(crate) const RETIRED_PAUSE: Duration = Duration::from_secs(1);

pub struct Context {
    /// Of this start of this process, never used again: apalis refuses a second worker of one name.
    pub name: String,
    pub settings: RunSettings,
    pub pool: PgPool,
    pub redis: ConnectionManager,
    pub dispatcher: Dispatcher,
    pub names: Names,
    pub limits: Limits,
    pub blobs: Blobs,
    pub embedder: EmbedderHandle,
    pub tokens: TokenCounter,
    pub model: ModelId,
    pub model_name: String,
    /// Cancelled when another model has become the active one: this worker ends.
    pub(crate) retired: CancellationToken,
    pub(crate) generator: Generator,
    /// One for each page that may be read by OCR at a time.
    pub(crate) ocr_places: Semaphore,
    pub(crate) courier: Courier,
    pub(crate) reranking: Reranking,
}

impl Context {
    /// Connects to everything and loads the model. Waits for a database that is not ready yet.
    ///
    /// # Errors
    /// When something is missing, or the vectors are those of another model.
    pub async fn connect(settings: RunSettings, stop: &CancellationToken) -> Result<Self> {
        let pool = store::connect(&settings.store)?;
        let model_settings = settings.embedding.model();
        // The model loads while the database wakes up.
        let (schema, embedder) = tokio::join!(
            crate::wait_for_schema(&pool, stop),
            EmbedderHandle::spawn_with_tokens(
                model_settings,
                settings.embedding.embedding_inbox_max,
            )
        );
        schema?;
        let (embedder, tokens) = embedder.context("the embedding model can't be loaded")?;
        let model = models::adopt(&pool, embedder.identity()).await?;
        let redis = jobs::connect(&settings.store.redis_url)
            .await
            .context("Redis can't be reached")?;
        let names = Names::new(&settings.store.redis_prefix);
        let (rerank, runtime) = (settings.rerank.clone(), settings.embedding.model());
        let reranking = tokio::task::spawn_blocking(move || Reranking::open(&rerank, runtime))
            .await?
            .context("the reranker can't be loaded")?;
        Ok(Self {
            name: format!(
                "{}-{}-{}",
                host(),
                std::process::id(),
                Uuid::now_v7().simple()
            ),
            dispatcher: Dispatcher::new(redis.clone(), names.clone()),
            limits: (&settings.store).into(),
            blobs: Blobs::open(&settings.store).context("the blob store can't be opened")?,
            model_name: embedder.identity().to_string(),
            generator: Generator::new(&settings.answer)?,
            ocr_places: Semaphore::new(settings.ocr.places()),
            courier: Courier::new(
                settings.store.webhook_policy(),
                settings.worker.webhook_timeout(),
            )?,
            reranking,
            names,
            pool,
            redis,
            embedder,
            tokens,
            model,
            retired: CancellationToken::new(),
            settings,
        })
    }

    /// Fails when another model has become the active one. To be asked after a search: the vectors that it met were
    /// those of this worker's model if that is the active one still.
    pub(crate) async fn must_be_active(&self) -> Result<(), JobError> {
        if models::is_active(&self.pool, self.model).await? {
            return Ok(());
        }
        self.retired.cancel();
        Err(JobError::Postponed(RETIRED_PAUSE))
    }

    /// Has a version read whose rows are committed, and stops those that read the one before.
    pub(crate) async fn begin(&self, made: Made) {
        for job in made.superseded {
            // Without the hint it is noticed at the next renewal of the lease.
            let _ = self.dispatcher.hint_cancel(job).await;
        }
        if made.version > 1 {
            let redis = self.redis.clone();
            // Whoever watches from now on is not told the end of the version before.
            let _ = Publisher::forget(redis, &self.settings.store, made.document.0).await;
        }
        self.wake(made.job).await;
    }

    /// Wakes a worker for a job whose row is committed; what fails is left to the sweep.
    pub(crate) async fn wake(&self, job: Enqueued) {
        if job.wake
            && let Err(error) = self.dispatcher.wake(job.queue, &[job.id]).await
        {
            warn!(%error, job.id = %job.id, "wake-up failed, left to the sweep");
            let _ = store::jobs::mark_undispatched(&self.pool, &[job.id]).await;
        }
    }
}

fn host() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "worker".to_owned())
}
