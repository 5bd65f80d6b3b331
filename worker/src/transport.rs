//! The queues: apalis fetches wake-ups from Redis and hands their ids to the runner.
//!
//! This is the only file of the workers that knows apalis. An apalis worker ends with an error when Redis goes away;
//! the loop here starts another one, under a fresh name since a used one is refused for a while.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use apalis::prelude::{
    BackendExt, BoxDynError, Data, PollSnapshot, PollStrategy, WorkerBuilder, WorkerBuilderExt,
    WorkerContext,
};
use apalis_redis::RedisStorage;
use futures::{Stream, StreamExt, stream::BoxStream};
use lectern_shared::{
    jobs::{self, Queue},
    metrics,
};
use rand::Rng;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::runner::{Runner, concurrency};

/// How often a queue is looked at although no bell rang. A wake-up whose ring was lost waits no longer than this.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Serves a queue until `stop`.
pub(crate) async fn serve(
    runner: Arc<Runner>,
    queue: Queue,
    bell: watch::Receiver<u64>,
    stop: CancellationToken,
) {
    let mut failures = 0_u32;
    while !stop.is_cancelled() {
        let began = tokio::time::Instant::now();
        match serve_once(&runner, queue, bell.clone(), &stop).await {
            Ok(()) => debug!(queue = queue.as_str(), "queue served"),
            Err(error) => warn!(%error, queue = queue.as_str(), "queue lost"),
        }
        if stop.is_cancelled() {
            return;
        }
        ::metrics::counter!(metrics::TRANSPORT_RESTARTS, "queue" => queue.as_str()).increment(1);
        failures = if began.elapsed() > Duration::from_secs(10) {
            0
        } else {
            failures + 1
        };
        let pause = Duration::from_millis(100) * 2_u32.pow(failures.min(5));
        tokio::select! {
            () = tokio::time::sleep(pause.mul_f64(rand::rng().random_range(0.5..=1.0))) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn serve_once(
    runner: &Arc<Runner>,
    queue: Queue,
    bell: watch::Receiver<u64>,
    stop: &CancellationToken,
) -> Result<(), BoxDynError> {
    let context = &runner.context;
    let connection = jobs::connect(&context.settings.store.redis_url).await?;
    // One at a time: what apalis holds in its buffer is neither heartbeaten nor acknowledged.
    let backend = RedisStorage::<String>::new(connection)
        .with_config(jobs::apalis_config(&context.names, queue, 1))
        .poll_with_strategy(Doorbell::new(bell));
    let name = format!(
        "{}-{}-{}",
        queue.as_str(),
        context.name,
        Uuid::now_v7().simple()
    );
    let worker_context = WorkerContext::new(&name);
    let worker = WorkerBuilder::new(&worker_context)
        .backend(backend)
        .data((queue, Arc::clone(runner)))
        .concurrency(concurrency(context, queue))
        .build(wake_up);
    let running = worker.run();
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended.map_err(Into::into),
        () = stop.cancelled() => {}
    }
    worker_context.stop()?;
    // Ends when the running jobs have, which the runner sees to.
    running.await.map_err(Into::into)
}

/// A wake-up always counts as dealt with: retries are the ledger's.
async fn wake_up(id: String, taker: Data<(Queue, Arc<Runner>)>) -> Result<(), BoxDynError> {
    let (queue, runner) = &*taker;
    match id.parse() {
        Ok(id) => Arc::clone(runner).take(*queue, id).await,
        Err(error) => warn!(%error, "wake-up without a job id dropped"),
    }
    Ok(())
}

/// Makes apalis look at the queue when the bell rings, and now and then besides.
struct Doorbell {
    rings: BoxStream<'static, ()>,
}

impl Doorbell {
    fn new(bell: watch::Receiver<u64>) -> Self {
        let rings = futures::stream::unfold(bell, |mut bell| async move {
            if let Ok(Err(_)) = tokio::time::timeout(LOOK_EVERY, bell.changed()).await {
                // Nobody rings any more, as at shutdown.
                poll_fn(|_| Poll::<()>::Pending).await;
            }
            Some(((), bell))
        });
        Self {
            rings: rings.boxed(),
        }
    }
}

impl PollStrategy for Doorbell {
    fn poll_drive(&mut self, cx: &mut TaskContext<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut rang = false;
        while let Poll::Ready(Some(())) = Pin::new(&mut self.rings).poll_next(cx) {
            rang = true;
        }
        if rang {
            // One more look after this one: the ring may have come while a fetch was under way.
            cx.waker().wake_by_ref();
            Poll::Ready(Some(()))
        } else {
            Poll::Pending
        }
    }
}
