//! The sweep: what makes lost wake-ups cost seconds and dead workers less than a lease. Every worker sweeps; rows
//! that one has locked are skipped by the others.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lectern_shared::{
    events::Publisher,
    failure::Failure,
    jobs::Queue,
    metrics,
    store::{StoreError, cache, faqs, idempotency, jobs, models, workers},
};
use rand::Rng;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{context::Context, lexical::upkeep};

/// Housekeeping that need not be done every time.
const TIDY_EVERY: Duration = Duration::from_secs(10);

pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    let mut tidied: Option<Instant> = None;
    loop {
        // Not in step with the other workers.
        let pause = context
            .settings
            .worker
            .sweep()
            .mul_f64(rand::rng().random_range(0.8..=1.2));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = sweep(&context).await {
            warn!(%error, "sweep failed, will sweep again");
            continue;
        }
        if tidied.is_none_or(|at| at.elapsed() > TIDY_EVERY) {
            tidied = Some(Instant::now());
            if let Err(error) = tidy(&context).await {
                warn!(%error, "housekeeping failed, will be tried again");
            }
        }
    }
}

async fn sweep(context: &Context) -> Result<(), StoreError> {
    workers::report(
        &context.pool,
        &context.name,
        env!("CARGO_PKG_VERSION"),
        &context.model_name,
    )
    .await?;
    if !models::is_active(&context.pool, context.model).await? {
        context.retired.cancel();
        return Ok(());
    }
    let (recovered, buried) = jobs::recover_expired(&context.pool).await?;
    if recovered > 0 {
        info!(jobs = recovered, "jobs of dead workers taken back");
        ::metrics::counter!(metrics::LEASES_RECOVERED).increment(recovered);
    }
    for job in buried {
        error!(job.id = %job.id, kind = job.kind.as_str(), "job given up as a dead letter");
        let attempts = job.attempt.cast_unsigned();
        let redis = context.redis.clone();
        Publisher::publish_failure(
            redis,
            &context.settings.store,
            job.subject,
            attempts,
            Failure::Internal,
        )
        .await;
    }
    for queue in Queue::ALL {
        let due = jobs::due_for_dispatch(&context.pool, queue, &context.limits).await?;
        if due.is_empty() {
            continue;
        }
        ::metrics::counter!(metrics::WAKE_UPS_SENT_AGAIN, "queue" => queue.as_str())
            .increment(due.len() as u64);
        if let Err(error) = context.dispatcher.wake(queue, &due).await {
            ::metrics::counter!(metrics::WAKE_UPS_FAILED, "queue" => queue.as_str()).increment(1);
            warn!(%error, queue = queue.as_str(), "wake-ups not sent");
            jobs::mark_undispatched(&context.pool, &due).await?;
        }
    }
    Ok(())
}

async fn tidy(context: &Context) -> Result<(), StoreError> {
    jobs::forget_finished(&context.pool, context.settings.worker.jobs_kept()).await?;
    upkeep::request_stale(context).await?;
    cache::forget(&context.pool, &context.settings.cache.rules()).await?;
    idempotency::forget(&context.pool).await?;
    faqs::enqueue_missing(&context.pool, &context.limits).await?;
    let depths = jobs::depths(&context.pool).await?;
    for queue in Queue::ALL {
        for state in ["queued", "running", "dead"] {
            let depth = depths
                .iter()
                .find(|depth| depth.queue == queue.as_str() && depth.state == state);
            let labels = [("queue", queue.as_str()), ("state", state)];
            #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 jobs")]
            let jobs = depth.map_or(0.0, |depth| depth.jobs as f64);
            ::metrics::gauge!(metrics::QUEUE_JOBS, &labels).set(jobs);
            ::metrics::gauge!(metrics::QUEUE_OLDEST, &labels)
                .set(depth.map_or(0.0, |depth| depth.oldest_seconds));
        }
        if let Err(error) = context.dispatcher.prune(queue).await {
            warn!(%error, queue = queue.as_str(), "finished wake-ups not freed");
        }
    }
    metrics::collect_process();
    ::metrics::gauge!(metrics::DATABASE_CONNECTIONS, "state" => "open").set(context.pool.size());
    ::metrics::gauge!(metrics::DATABASE_CONNECTIONS, "state" => "idle")
        .set(u32::try_from(context.pool.num_idle()).unwrap_or(u32::MAX));
    Ok(())
}
