//! The worker's side: numbering and sending.

use redis::{Script, aio::ConnectionManager};
use serde::Serialize;
use tracing::{debug, warn};
use uuid::Uuid;

use super::{EventId, Names, name};
use crate::{
    config::StoreSettings,
    failure::{Failure, FailureReport},
};

/// Sends the events of one attempt at one job.
///
/// Redis being away doesn't stop the work: what is missed can be had from the rows, so failures are logged once
/// and counted, not returned.
#[derive(Clone, Debug)]
pub struct Publisher {
    connection: ConnectionManager,
    stream: String,
    channel: String,
    last: EventId,
    ttl_seconds: u32,
    failing: bool,
}

/// Events kept per stream, at the most: several answers' worth of tokens.
const EVENTS_MAX: u32 = 20_000;

impl Publisher {
    #[must_use]
    pub fn new(
        connection: ConnectionManager,
        settings: &StoreSettings,
        subject: Uuid,
        attempt: u32,
    ) -> Self {
        let names = Names {
            prefix: settings.redis_prefix.clone(),
        };
        Self {
            connection,
            stream: names.stream(subject),
            channel: names.channel(subject),
            last: EventId {
                attempt,
                sequence: 0,
            },
            ttl_seconds: settings.events_ttl_seconds,
            failing: false,
        }
    }

    /// Ends a subject's stream for a job that no worker holds, after `attempts` that were spent on it.
    pub async fn publish_failure(
        connection: ConnectionManager,
        settings: &StoreSettings,
        subject: Uuid,
        attempts: u32,
        failure: Failure,
    ) {
        let mut publisher = Self::new(connection, settings, subject, attempts + 1);
        publisher
            .publish(name::FAILED, &FailureReport::from(failure))
            .await;
    }

    /// Forgets a subject's events, as before it is tried again: readers would take the old end for the new one.
    ///
    /// # Errors
    /// When Redis can't be reached.
    pub async fn forget(
        connection: ConnectionManager,
        settings: &StoreSettings,
        subject: Uuid,
    ) -> Result<(), redis::RedisError> {
        Self::forget_all(connection, settings, &[subject]).await
    }

    /// The same for several at once.
    ///
    /// # Errors
    /// When Redis can't be reached.
    pub async fn forget_all(
        mut connection: ConnectionManager,
        settings: &StoreSettings,
        subjects: &[Uuid],
    ) -> Result<(), redis::RedisError> {
        if subjects.is_empty() {
            return Ok(());
        }
        let names = Names {
            prefix: settings.redis_prefix.clone(),
        };
        let streams: Vec<String> = subjects.iter().map(|id| names.stream(*id)).collect();
        redis::cmd("DEL")
            .arg(streams)
            .exec_async(&mut connection)
            .await
    }

    /// Sends one event. Returns false when a later attempt has taken over the stream.
    pub async fn publish(&mut self, name: &str, data: &impl Serialize) -> bool {
        self.last.sequence += 1;
        let data = match serde_json::to_string(data) {
            Ok(data) => data,
            Err(error) => {
                warn!(%error, event = name, "event can't be written as JSON");
                return true;
            }
        };
        let sent: Result<u8, _> = Script::new(include_str!("publish.lua"))
            .key(&self.stream)
            .key(&self.channel)
            .arg(self.last.to_string())
            .arg(name)
            .arg(data)
            .arg(self.ttl_seconds)
            .arg(EVENTS_MAX)
            .invoke_async(&mut self.connection)
            .await;
        match sent {
            Ok(accepted) => {
                self.failing = false;
                accepted == 1
            }
            Err(error) if self.failing => {
                debug!(%error, "event not published");
                true
            }
            Err(error) => {
                self.failing = true;
                warn!(%error, "events not published: readers will be served from the rows");
                true
            }
        }
    }
}
