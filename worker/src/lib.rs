//! The workers: read documents, embed them, find passages and answer questions.

pub mod config;
pub mod context;
mod error;

mod handlers;
mod lease;
mod pace;
mod report;
pub mod runner;

mod listener;
mod sweep;
mod transport;

pub mod answer;
pub mod doctor;
mod embed;
pub mod evaluate;
pub mod import;
mod index;
pub mod ingest;
mod lexical;
pub mod models;
mod purge;
pub mod reindex;
mod rerank;
mod webhook;

use std::{sync::Arc, time::Duration};

use ::metrics::gauge;
use anyhow::{Context as _, Result};
use lectern_shared::{
    jobs::Queue,
    metrics,
    store::{self, workers},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    config::RunSettings,
    context::Context,
    ingest::parse::{self, Locks},
    runner::Runner,
};

/// Works until `stop` is cancelled, then finishes what it holds within the configured time or hands it back.
///
/// # Errors
/// When it can't start: no database, no Redis, no model, or another model than the one that the vectors are made with.
pub async fn run(settings: RunSettings, stop: CancellationToken) -> Result<()> {
    let shutdown = Duration::from_secs(settings.worker.shutdown_seconds.into());
    let context = Arc::new(Context::connect(settings, &stop).await?);
    let runner = Arc::new(Runner::new(Arc::clone(&context)));
    workers::report(
        &context.pool,
        &context.name,
        env!("CARGO_PKG_VERSION"),
        &context.model_name,
    )
    .await?;
    info!(
        worker = context.name,
        model = context.model_name,
        generator = context.generator.name(),
        "ready"
    );

    tell_locks()?;
    ingest::announce(&context.settings).await;
    lexical::upkeep::request_missing(&context).await?;

    let mut tasks = JoinSet::new();
    let bells = listener::start(&context, &runner, &mut tasks, stop.clone())?;
    for queue in Queue::ALL {
        tasks.spawn(transport::serve(
            Arc::clone(&runner),
            queue,
            bells.of(queue),
            stop.clone(),
        ));
    }
    tasks.spawn(sweep::run(Arc::clone(&context), stop.clone()));
    gauge!(metrics::WORKER_READY).set(1);

    // None of them ends before it is told to: a worker without one of them only looks alive.
    let broken = tokio::select! {
        () = stop.cancelled() => false,
        () = context.retired.cancelled() => false,
        _ = tasks.join_next() => !stop.is_cancelled(),
    };
    stop.cancel();
    gauge!(metrics::WORKER_READY).set(0);
    runner.drain(shutdown).await;
    // What serves the queues ends as soon as the jobs have; a task that panicked has printed so.
    if tokio::time::timeout(Duration::from_secs(2), async {
        while tasks.join_next().await.is_some() {}
    })
    .await
    .is_err()
    {
        warn!("some tasks did not end in time");
    }
    if let Err(error) = workers::leave(&context.pool, &context.name).await {
        warn!(%error, "still on the list of workers for a while");
    }
    anyhow::ensure!(!broken, "a task of the worker has ended by itself");
    anyhow::ensure!(
        !context.retired.is_cancelled(),
        "the documents are indexed with another model now, this worker has {}: set LECTERN_MODEL_DIR and \
         LECTERN_MODEL_QUANTIZATION to the new one and start it again",
        context.model_name
    );
    Ok(())
}

/// Says once what keeps the parsers of uploaded files in, besides their limits.
fn tell_locks() -> Result<()> {
    let Locks { landlock, seccomp } =
        parse::locks_here().context("parsers can't be locked in on this machine")?;
    gauge!(metrics::PARSER_LOCKS, "lock" => "landlock").set(landlock);
    gauge!(metrics::PARSER_LOCKS, "lock" => "seccomp").set(u8::from(seccomp));
    if landlock > 0 && seccomp {
        info!(landlock, seccomp, "parsers are locked in");
    } else {
        warn!(
            landlock,
            seccomp, "parsers have limits, but this kernel lacks a lock that would keep them in"
        );
    }
    Ok(())
}

/// Waits until the schema is up to date: the API, or `lectern-api migrate`, sees to that.
pub(crate) async fn wait_for_schema(pool: &sqlx::PgPool, stop: &CancellationToken) -> Result<()> {
    let mut told = false;
    while !store::is_migrated(pool).await {
        if !told {
            info!("waiting for the database and its schema");
            told = true;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
            () = stop.cancelled() => return Err(anyhow::anyhow!("stopped while waiting")).context("no schema yet"),
        }
    }
    Ok(())
}
