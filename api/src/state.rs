//! What every handler may use.

use std::{ops::Deref, sync::Arc};

use anyhow::{Context, Result};
use lectern_shared::{
    blobs::Blobs,
    config::StoreSettings,
    events::{Hub, Publisher},
    failure::Failure,
    ids::TenantId,
    jobs::{self, Dispatcher, Names},
    metrics,
    store::{
        self,
        jobs::{Cancel, Enqueued, Limits},
        lookups::Lookups,
        versions::Made,
    },
};
use metrics_exporter_prometheus::PrometheusHandle;
use redis::aio::ConnectionManager;
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::{
    auth::Uses,
    config::ApiSettings,
    health::Known,
    limits::{Limiter, Seats, Waits},
    overload::Places,
};

/// The process's; each request, each of its layers and each stream holds on to it.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// What there is one of in the process.
pub struct Shared {
    pub(crate) settings: ApiSettings,
    pub(crate) store_settings: StoreSettings,
    pub(crate) pool: PgPool,
    pub(crate) redis: ConnectionManager,
    pub(crate) blobs: Blobs,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) hub: Hub,
    pub(crate) limits: Limits,
    pub(crate) stream_permits: Arc<Semaphore>,
    pub(crate) keys: Lookups,
    pub(crate) uses: Uses,
    pub(crate) seats: Seats,
    pub(crate) waits: Waits,
    pub(crate) places: Places,
    pub(crate) limiter: Limiter,
    pub(crate) prometheus: Option<PrometheusHandle>,
    pub(crate) health: Known,
    /// No more requests are taken.
    pub(crate) stop: CancellationToken,
    /// A moment before those that are left are cut off: answers that can't be taken up elsewhere say so now.
    pub(crate) late: CancellationToken,
    /// None are left.
    pub(crate) end: CancellationToken,
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl AppState {
    /// Connects to everything. `prometheus` is what `/metrics` shows.
    ///
    /// # Errors
    /// When Redis or the blob store can't be reached.
    pub async fn connect(
        settings: ApiSettings,
        store_settings: &StoreSettings,
        prometheus: Option<PrometheusHandle>,
        stop: CancellationToken,
    ) -> Result<Self> {
        let end = CancellationToken::new();
        let pool = store::connect(store_settings)?;
        let redis = jobs::connect(&store_settings.redis_url)
            .await
            .context("Redis can't be reached")?;
        Ok(Self(Arc::new(Shared {
            blobs: Blobs::open(store_settings).context("the blob store can't be opened")?,
            dispatcher: Dispatcher::new(redis.clone(), Names::new(&store_settings.redis_prefix)),
            hub: Hub::start(redis.clone(), store_settings, end.clone())?,
            limits: store_settings.into(),
            stream_permits: Arc::new(crate::stream_permits(&settings)),
            keys: Lookups::start(pool.clone()),
            uses: Uses::default(),
            seats: Seats::default(),
            waits: Waits::default(),
            places: Places::new(&settings.http),
            limiter: Limiter::new(
                redis.clone(),
                &store_settings.redis_prefix,
                &settings.limits,
            ),
            settings,
            store_settings: store_settings.clone(),
            pool,
            redis,
            prometheus,
            health: Known::default(),
            stop,
            late: CancellationToken::new(),
            end,
        })))
    }

    /// Cancels what is under way for a document or question, and tells whoever watches or works on it.
    pub(crate) async fn cancel(&self, tenant: TenantId, subject: Uuid) -> store::Result<Cancel> {
        let cancelled = store::jobs::cancel(&self.pool, tenant, subject).await?;
        match cancelled {
            Cancel::Requested(job) => {
                // Without the hint it is noticed at the next renewal of the lease.
                if let Err(error) = self.dispatcher.hint_cancel(job).await {
                    debug!(%error, job.id = %job, "cancellation not hinted at");
                }
            }
            Cancel::Done { attempts } => {
                let redis = self.redis.clone();
                Publisher::publish_failure(
                    redis,
                    &self.store_settings,
                    subject,
                    attempts,
                    Failure::Cancelled,
                )
                .await;
            }
            Cancel::Nothing => {}
        }
        Ok(cancelled)
    }

    /// Has a version read whose rows are committed: wakes a worker for it, and stops those that read the one before.
    pub(crate) async fn begin(&self, made: Made) {
        for job in made.superseded {
            // Without the hint it is noticed at the next renewal of the lease.
            let _ = self.dispatcher.hint_cancel(job).await;
        }
        if made.version > 1 {
            // Whoever watches from now on is not told the end of the version before.
            let redis = self.redis.clone();
            if let Err(error) =
                Publisher::forget(redis, &self.store_settings, made.document.0).await
            {
                debug!(%error, document.id = %made.document, "old events not forgotten");
            }
        }
        self.wake(made.job).await;
    }

    /// Wakes a worker for a job whose row is committed. A wake-up that fails is left to the sweep: the row stands.
    pub(crate) async fn wake(&self, job: Enqueued) {
        if !job.wake {
            return;
        }
        if let Err(error) = self.dispatcher.wake(job.queue, &[job.id]).await {
            warn!(%error, job.id = %job.id, "wake-up failed, left to the sweep");
            ::metrics::counter!(metrics::WAKE_UPS_FAILED, "queue" => job.queue.as_str())
                .increment(1);
            if let Err(error) = store::jobs::mark_undispatched(&self.pool, &[job.id]).await {
                warn!(%error, job.id = %job.id, "the sweep will notice it late");
            }
        }
    }
}
