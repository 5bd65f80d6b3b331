//! Jobs: what kinds there are, and how workers are woken.
//!
//! The truth is the ledger in PostgreSQL ([`crate::store::jobs`]). What goes through Redis is a wake-up:
//! the id of a job on an apalis queue, and a ring of the doorbell. Either may be lost at any moment;
//! the sweep sends it again.

use std::time::Duration;

use apalis::prelude::TaskSink;
use apalis_redis::{Config, RedisStorage};
use redis::aio::ConnectionManager;
use serde::{Deserialize, Serialize};

use crate::ids::JobId;

/// Queues have workers of their own, so that a thousand uploads never delay an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queue {
    Ingest,
    Question,
    Maintenance,
    /// Waits for strangers' servers, which may be slow.
    Webhook,
}

impl Queue {
    pub const ALL: [Self; 4] = [
        Self::Ingest,
        Self::Question,
        Self::Maintenance,
        Self::Webhook,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Question => "question",
            Self::Maintenance => "maintenance",
            Self::Webhook => "webhook",
        }
    }

    /// After how long without being claimed a job's wake-up counts as lost and is sent again.
    /// Somebody waits for a question; an ingest may well stand behind others.
    #[must_use]
    pub fn wake_up_lost_after(self) -> Duration {
        match self {
            Self::Question => Duration::from_secs(2),
            Self::Ingest | Self::Maintenance | Self::Webhook => Duration::from_secs(30),
        }
    }

    /// Whether tenants take turns at each job that is taken, and not only at the wake-ups that are sent.
    /// That costs a longer query: nothing beside an ingest, much beside a question.
    #[must_use]
    pub fn takes_turns(self) -> bool {
        matches!(self, Self::Ingest | Self::Webhook)
    }
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Read, chunk, embed and store a document.
    Ingest,
    /// Answer a question.
    Answer,
    /// Retrieve passages without generating.
    Search,
    /// Build the vector index.
    Index,
    /// Delete files that no row names any more.
    Purge,
    /// Make documents of the files in a zip.
    Import,
    /// Tell a tenant's webhook.
    Webhook,
    /// Keep the lexicon of a collection complete, and its segments few.
    Lexicon,
    /// Embed the question of a FAQ.
    Faq,
    /// Embed texts that somebody waits for.
    Embed,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Ingest,
        Self::Answer,
        Self::Search,
        Self::Index,
        Self::Purge,
        Self::Import,
        Self::Webhook,
        Self::Lexicon,
        Self::Faq,
        Self::Embed,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Answer => "answer",
            Self::Search => "search",
            Self::Index => "index",
            Self::Purge => "purge",
            Self::Import => "import",
            Self::Webhook => "webhook",
            Self::Lexicon => "lexicon",
            Self::Faq => "faq",
            Self::Embed => "embed",
        }
    }

    #[must_use]
    pub fn queue(self) -> Queue {
        match self {
            Self::Ingest | Self::Import => Queue::Ingest,
            // As short as a search; behind the build of an index it might wait for minutes.
            Self::Answer | Self::Search | Self::Faq | Self::Embed => Queue::Question,
            Self::Index | Self::Purge | Self::Lexicon => Queue::Maintenance,
            Self::Webhook => Queue::Webhook,
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == raw)
            .ok_or_else(|| UnknownKind(raw.to_owned()))
    }
}

/// A kind that this release does not know, as a newer one may have written.
#[derive(Debug, thiserror::Error)]
#[error("unknown kind of job {0}")]
pub struct UnknownKind(String);

/// The Redis names that producers and workers share.
#[derive(Clone, Debug)]
pub struct Names {
    prefix: String,
}

impl Names {
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// The apalis queue.
    #[must_use]
    pub fn queue(&self, queue: Queue) -> String {
        format!("{}:jobs:{}", self.prefix, queue.as_str())
    }

    /// Rung after every push: apalis-redis would notice it only at its next poll.
    #[must_use]
    pub fn doorbell(&self, queue: Queue) -> String {
        format!("{}:doorbell:{}", self.prefix, queue.as_str())
    }

    /// Carries ids of jobs to be cancelled, to whichever worker holds them.
    #[must_use]
    pub fn cancellations(&self) -> String {
        format!("{}:cancel", self.prefix)
    }
}

/// The apalis configuration of a queue, the same for the pushing and the fetching side.
///
/// Heartbeats every 2 s, dead after 3: a killed worker's unacknowledged wake-ups return after 6 s instead of 300 s.
#[must_use]
pub fn apalis_config(names: &Names, queue: Queue, batch_size: usize) -> Config {
    Config::default()
        .queue(names.queue(queue))
        .batch_size(batch_size)
        .heartbeat_interval(Duration::from_secs(2))
        .missed_heartbeats(3)
        // Nobody listens to its events or reads its results: the ledger has both.
        .emit_events(false)
        .persist_results(false)
}

/// Connects to Redis for commands (not for pub/sub).
///
/// # Errors
/// When Redis can't be reached.
pub async fn connect(url: &str) -> Result<ConnectionManager, redis::RedisError> {
    let config = redis::aio::ConnectionManagerConfig::new()
        // The default of 500 ms is less than an AOF rewrite can hold Redis up.
        .set_response_timeout(Some(Duration::from_secs(5)))
        .set_connection_timeout(Some(Duration::from_secs(5)))
        .set_max_delay(Duration::from_secs(1));
    redis::Client::open(url)?
        .get_connection_manager_with_config(config)
        .await
}

/// Sends wake-ups.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    connection: ConnectionManager,
    names: Names,
}

impl Dispatcher {
    #[must_use]
    pub fn new(connection: ConnectionManager, names: Names) -> Self {
        Self { connection, names }
    }

    /// Wakes workers for jobs whose rows are committed.
    ///
    /// # Errors
    /// When Redis doesn't take them. Nothing is lost: mark them undispatched, and the sweep tries again.
    pub async fn wake(&self, queue: Queue, jobs: &[JobId]) -> Result<(), WakeError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let mut storage = RedisStorage::<String>::new(self.connection.clone())
            .with_config(apalis_config(&self.names, queue, jobs.len()));
        storage
            .push_bulk(jobs.iter().map(ToString::to_string).collect())
            .await
            .map_err(|error| WakeError::Push(error.to_string()))?;
        let mut connection = self.connection.clone();
        redis::cmd("PUBLISH")
            .arg(self.names.doorbell(queue))
            .arg(jobs.len())
            .exec_async(&mut connection)
            .await?;
        Ok(())
    }

    /// Tells the worker that holds `job`, if any, to look at the ledger's cancel flag now rather than at its next
    /// renewal.
    ///
    /// # Errors
    /// When Redis can't be reached; the flag is then seen at the next renewal of the lease.
    pub async fn hint_cancel(&self, job: JobId) -> Result<(), redis::RedisError> {
        let mut connection = self.connection.clone();
        redis::cmd("PUBLISH")
            .arg(self.names.cancellations())
            .arg(job.to_string())
            .exec_async(&mut connection)
            .await
    }

    /// Frees what apalis keeps of finished wake-ups (456 bytes each, for ever). Returns how many were freed.
    ///
    /// # Errors
    /// When Redis can't be reached.
    pub async fn prune(&self, queue: Queue) -> Result<u64, redis::RedisError> {
        let config = apalis_config(&self.names, queue, 1);
        let mut connection = self.connection.clone();
        redis::Script::new(include_str!("prune.lua"))
            .key(config.done_jobs_set())
            .key(config.dead_jobs_set())
            .key(config.job_data_hash())
            .key(config.job_meta_hash())
            .invoke_async(&mut connection)
            .await
    }
}

/// Redis did not take a wake-up.
#[derive(Debug, thiserror::Error)]
pub enum WakeError {
    #[error("push onto the queue failed: {0}")]
    Push(String),
    #[error("ring of the doorbell failed")]
    Ring(#[from] redis::RedisError),
}
