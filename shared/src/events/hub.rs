//! The reader's side: one pub/sub connection per process, fanned out to however many readers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use redis::{
    AsyncCommands,
    aio::{ConnectionManager, PubSubSink, PubSubStream},
    streams::StreamRangeReply,
};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use super::{Event, EventId, Names};
use crate::config::StoreSettings;

/// Live events kept for readers that are busy; one that falls further behind reads the stream again. The room for them is
/// taken when a stream begins: 40 bytes each.
const LIVE_EVENTS_MAX: usize = 32;

/// Attaches readers to subjects.
#[derive(Clone)]
pub struct Hub {
    connection: ConnectionManager,
    names: Names,
    commands: mpsc::Sender<Command>,
    channels: Arc<Mutex<HashMap<String, Channel>>>,
}

struct Channel {
    live: broadcast::Sender<Live>,
    readers: usize,
}

#[derive(Clone, Debug)]
enum Live {
    Event(Arc<Event>),
    /// The connection was away: events may have been missed.
    Resync,
}

enum Command {
    /// Answered once Redis has confirmed the subscription.
    Subscribe(String, oneshot::Sender<()>),
    Unsubscribe(String),
}

impl Hub {
    /// Starts the process's subscription task, which ends with `stop`.
    ///
    /// # Errors
    /// When the URL is not one of Redis.
    pub fn start(
        connection: ConnectionManager,
        settings: &StoreSettings,
        stop: CancellationToken,
    ) -> Result<Self, redis::RedisError> {
        let client = redis::Client::open(settings.redis_url.as_str())?;
        let (commands, inbox) = mpsc::channel(1024);
        let channels = Arc::new(Mutex::new(HashMap::new()));
        let worker = Fan {
            client,
            inbox,
            channels: Arc::clone(&channels),
        };
        tokio::spawn(async move {
            tokio::select! {
                () = worker.run() => {}
                () = stop.cancelled() => {}
            }
        });
        let names = Names {
            prefix: settings.redis_prefix.clone(),
        };
        Ok(Self {
            connection,
            names,
            commands,
            channels,
        })
    }

    /// Attaches a reader that has seen everything up to `after`.
    ///
    /// # Errors
    /// When Redis can't be reached.
    pub async fn attach(&self, subject: Uuid, after: EventId) -> Result<Subscription, AttachError> {
        let channel = self.names.channel(subject);
        let live = self.join(&channel);
        // From here on the guard leaves the channel again, whatever happens.
        let guard = Leave {
            hub: self.clone(),
            channel: channel.clone(),
        };
        let (confirm, confirmed) = oneshot::channel();
        self.commands
            .send(Command::Subscribe(channel, confirm))
            .await
            .map_err(|_| AttachError::Stopped)?;
        tokio::time::timeout(Duration::from_secs(5), confirmed)
            .await
            .map_err(|_| AttachError::Unavailable)?
            .map_err(|_| AttachError::Unavailable)?;
        let mut subscription = Subscription {
            connection: self.connection.clone(),
            stream: self.names.stream(subject),
            live,
            last: after,
            backlog: VecDeque::new(),
            behind: true,
            _guard: guard,
        };
        // Subscribe before reading the backlog: an event published between the two would otherwise be lost.
        subscription.read_backlog().await?;
        Ok(subscription)
    }

    /// How many processes have a reader attached to `subject`.
    ///
    /// # Errors
    /// When Redis can't be reached.
    pub async fn audience(&self, subject: Uuid) -> Result<u64, redis::RedisError> {
        let mut connection = self.connection.clone();
        let (_, processes): (String, u64) = redis::cmd("PUBSUB")
            .arg("NUMSUB")
            .arg(self.names.channel(subject))
            .query_async(&mut connection)
            .await?;
        Ok(processes)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, channel: &str) -> broadcast::Receiver<Live> {
        let mut channels = self.lock();
        let entry = channels
            .entry(channel.to_owned())
            .or_insert_with(|| Channel {
                live: broadcast::channel(LIVE_EVENTS_MAX).0,
                readers: 0,
            });
        entry.readers += 1;
        entry.live.subscribe()
    }
}

struct Leave {
    hub: Hub,
    channel: String,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut channels = self.hub.lock();
        let Some(entry) = channels.get_mut(&self.channel) else {
            return;
        };
        entry.readers -= 1;
        if entry.readers == 0 {
            channels.remove(&self.channel);
            // A full inbox leaves a subscription behind that nobody reads; the next reader of it takes it over.
            let _ = self
                .hub
                .commands
                .try_send(Command::Unsubscribe(std::mem::take(&mut self.channel)));
        }
    }
}

/// What a reader gets next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Event(Arc<Event>),
    /// Redis has lost events that this reader did not see. The rows have the rest of the story.
    Lost,
}

/// One reader of one subject.
pub struct Subscription {
    connection: ConnectionManager,
    stream: String,
    live: broadcast::Receiver<Live>,
    last: EventId,
    backlog: VecDeque<Arc<Event>>,
    /// Events were missed: the stream is to be read before anything else.
    behind: bool,
    _guard: Leave,
}

impl Subscription {
    /// The next event, in order, none twice. Waits for as long as there is none. Cancel safe.
    ///
    /// # Errors
    /// When Redis can't be read while events are missing, or the hub has stopped.
    pub async fn next(&mut self) -> Result<Item, AttachError> {
        loop {
            if self.behind {
                self.read_backlog().await?;
            }
            if let Some(event) = self.backlog.front() {
                if !self.last.is_followed_by(event.id) {
                    // The stream itself has a gap: it was flushed or trimmed.
                    self.last = EventId {
                        attempt: event.id.attempt,
                        sequence: event.id.sequence.saturating_sub(1),
                    };
                    return Ok(Item::Lost);
                }
                self.last = event.id;
                if let Some(event) = self.backlog.pop_front() {
                    return Ok(Item::Event(event));
                }
            }
            match self.live.recv().await {
                Ok(Live::Event(event)) if event.id <= self.last => {}
                Ok(Live::Event(event)) if self.last.is_followed_by(event.id) => {
                    self.last = event.id;
                    return Ok(Item::Event(event));
                }
                Ok(Live::Event(_) | Live::Resync) | Err(broadcast::error::RecvError::Lagged(_)) => {
                    self.behind = true;
                }
                Err(broadcast::error::RecvError::Closed) => return Err(AttachError::Stopped),
            }
        }
    }

    /// The id of the last event that was handed out.
    #[must_use]
    pub fn last(&self) -> EventId {
        self.last
    }

    /// Whether events wait that were published before.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    async fn read_backlog(&mut self) -> Result<(), AttachError> {
        let after = if self.last == EventId::default() {
            "-".to_owned()
        } else {
            format!("({}", self.last)
        };
        let range: StreamRangeReply = self.connection.xrange(&self.stream, after, "+").await?;
        self.behind = false;
        self.backlog.clear();
        for entry in range.ids {
            let (Ok(id), Some(name), Some(data)) =
                (entry.id.parse(), entry.get("n"), entry.get("d"))
            else {
                warn!(
                    stream = self.stream,
                    id = entry.id,
                    "unreadable event skipped"
                );
                continue;
            };
            self.backlog.push_back(Arc::new(Event { id, name, data }));
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    #[error("events can't be subscribed to at the moment")]
    Unavailable,
    #[error("events can't be read")]
    Read(#[from] redis::RedisError),
    #[error("the process is stopping")]
    Stopped,
}

/// The task that owns the pub/sub connection.
struct Fan {
    client: redis::Client,
    inbox: mpsc::Receiver<Command>,
    channels: Arc<Mutex<HashMap<String, Channel>>>,
}

impl Fan {
    async fn run(mut self) {
        let mut pause = Duration::from_millis(50);
        loop {
            match self.client.get_async_pubsub().await {
                Ok(connection) => {
                    pause = Duration::from_millis(50);
                    let (sink, stream) = connection.split();
                    if let Err(error) = self.serve(sink, stream).await {
                        warn!(%error, "pub/sub connection lost");
                    }
                    if self.inbox.is_closed() {
                        return;
                    }
                }
                Err(error) => warn!(%error, "no pub/sub connection"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn serve(
        &mut self,
        mut sink: PubSubSink,
        mut stream: PubSubStream,
    ) -> Result<(), redis::RedisError> {
        let known: Vec<String> = self.lock().keys().cloned().collect();
        for channel in known {
            sink.subscribe(&channel).await?;
            if let Some(entry) = self.lock().get(&channel) {
                let _ = entry.live.send(Live::Resync);
            }
        }
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(message) => self.fan_out(&message),
                    None => return Ok(()),
                },
                command = self.inbox.recv() => match command {
                    Some(Command::Subscribe(channel, confirm)) => {
                        sink.subscribe(&channel).await?;
                        let _ = confirm.send(());
                    }
                    // A reader may have come back in between.
                    Some(Command::Unsubscribe(channel)) if !self.lock().contains_key(&channel) => {
                        sink.unsubscribe(&channel).await?;
                    }
                    Some(Command::Unsubscribe(_)) => {}
                    None => return Ok(()),
                },
            }
        }
    }

    fn fan_out(&self, message: &redis::Msg) {
        let Ok(payload) = message.get_payload::<String>() else {
            return;
        };
        let mut parts = payload.splitn(3, ' ');
        let (Some(id), Some(name), Some(data)) = (parts.next(), parts.next(), parts.next()) else {
            return;
        };
        let Ok(id) = id.parse() else { return };
        let event = Arc::new(Event {
            id,
            name: name.to_owned(),
            data: data.to_owned(),
        });
        if let Some(entry) = self.lock().get(message.get_channel_name()) {
            let _ = entry.live.send(Live::Event(event));
        } else {
            debug!(
                channel = message.get_channel_name(),
                "event without a reader"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
