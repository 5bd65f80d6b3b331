//! What workers hear over pub/sub: the doorbells of the queues, and hints that a job is cancelled.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::StreamExt;
use lectern_shared::jobs::Queue;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{context::Context, runner::Runner};

/// The doorbell of each queue: changes whenever it rings.
pub(crate) struct Bells {
    queues: HashMap<Queue, watch::Receiver<u64>>,
}

impl Bells {
    pub(crate) fn of(&self, queue: Queue) -> watch::Receiver<u64> {
        self.queues[&queue].clone()
    }
}

/// Listens until `stop`, across restarts of Redis.
///
/// # Errors
/// When the URL is not one of Redis.
pub(crate) fn start(
    context: &Context,
    runner: &Arc<Runner>,
    tasks: &mut JoinSet<()>,
    stop: CancellationToken,
) -> Result<Bells, redis::RedisError> {
    let client = redis::Client::open(context.settings.store.redis_url.as_str())?;
    let mut bells = HashMap::new();
    let mut ropes = HashMap::new();
    for queue in Queue::ALL {
        let (rope, bell) = watch::channel(0);
        ropes.insert(context.names.doorbell(queue), rope);
        bells.insert(queue, bell);
    }
    let cancellations = context.names.cancellations();
    let listener = Listener {
        client,
        ropes,
        cancellations,
        runner: Arc::clone(runner),
    };
    tasks.spawn(async move {
        tokio::select! {
            () = listener.run() => {}
            () = stop.cancelled() => {}
        }
    });
    Ok(Bells { queues: bells })
}

struct Listener {
    client: redis::Client,
    ropes: HashMap<String, watch::Sender<u64>>,
    cancellations: String,
    runner: Arc<Runner>,
}

impl Listener {
    async fn run(&self) {
        let mut pause = Duration::from_millis(50);
        loop {
            let began = tokio::time::Instant::now();
            if let Err(error) = self.listen().await {
                warn!(%error, "doorbell lost: until it is back, queues are looked at every quarter of a second");
            }
            pause = if began.elapsed() > Duration::from_secs(5) {
                Duration::from_millis(50)
            } else {
                pause * 2
            };
            pause = pause.min(Duration::from_secs(1));
            tokio::time::sleep(pause).await;
        }
    }

    async fn listen(&self) -> Result<(), redis::RedisError> {
        let mut connection = self.client.get_async_pubsub().await?;
        for channel in self.ropes.keys() {
            connection.subscribe(channel).await?;
        }
        connection.subscribe(&self.cancellations).await?;
        // Whatever rang while nobody listened.
        for rope in self.ropes.values() {
            rope.send_modify(|rings| *rings += 1);
        }
        let mut messages = connection.on_message();
        while let Some(message) = messages.next().await {
            if let Some(rope) = self.ropes.get(message.get_channel_name()) {
                rope.send_modify(|rings| *rings += 1);
            } else if let Ok(Ok(job)) = message.get_payload::<String>().map(|id| id.parse()) {
                self.runner.hint_cancel(job);
            }
        }
        Ok(())
    }
}
