//! Events of an answer or an ingest, from the worker that makes them to everyone who watches.
//!
//! Truth is a Redis Stream per subject, speed is pub/sub: publishing does both in one Lua call. A reader
//! subscribes, waits for the confirmation, reads the backlog, and then forwards only greater ids; so nothing is
//! lost or doubled whenever it arrives. Ids are `<attempt>-<sequence>`: a retried job starts over with a higher
//! attempt, and what a worker without its lease still sends is refused by its lower id.

mod hub;
pub mod payload;
mod publish;

use std::{fmt, str::FromStr};

use uuid::Uuid;

pub use hub::{AttachError, Hub, Item, Subscription};
pub use publish::Publisher;

/// Names of events, the same in the streams, in SSE and in the documentation.
pub mod name {
    /// `{stage, …}`: what is being done now.
    pub const STATUS: &str = "status";
    /// `{stage, done, total}`: how far an ingest is.
    pub const PROGRESS: &str = "progress";
    /// `{sources: […]}`: what the answer will cite.
    pub const SOURCES: &str = "sources";
    /// `{text}`: the next piece of the answer.
    pub const TOKEN: &str = "token";
    /// `{}`: throw away what came before, the answer starts over.
    pub const RESET: &str = "reset";
    /// `{vectors: […], tokens}`: the next vectors of texts that were to be embedded.
    pub const VECTORS: &str = "vectors";
    /// The end: complete.
    pub const DONE: &str = "done";
    /// `{code, message, retryable}`: the end: it failed.
    pub const FAILED: &str = "failed";
}

/// Where an event stands in its stream; also its SSE id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// The job's attempt, from 1.
    pub attempt: u32,
    /// The number of the event within the attempt, from 1 and without gaps.
    pub sequence: u32,
}

impl EventId {
    /// Whether nothing can stand between the two.
    #[must_use]
    pub fn is_followed_by(self, next: Self) -> bool {
        (next.attempt == self.attempt && next.sequence == self.sequence + 1)
            || (next.attempt > self.attempt && next.sequence == 1)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.attempt, self.sequence)
    }
}

impl FromStr for EventId {
    type Err = BadEventId;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        let (attempt, sequence) = raw.split_once('-').ok_or(BadEventId)?;
        Ok(Self {
            attempt: attempt.parse().map_err(|_| BadEventId)?,
            sequence: sequence.parse().map_err(|_| BadEventId)?,
        })
    }
}

/// Not of the form `<attempt>-<sequence>`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event id is <attempt>-<sequence>")]
pub struct BadEventId;

/// One event; `data` is a JSON object in text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub name: String,
    pub data: String,
}

impl Event {
    /// Whether the stream ends here.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.name == name::DONE || self.name == name::FAILED
    }
}

/// Redis names of a subject's stream and channel.
#[derive(Clone, Debug)]
struct Names {
    prefix: String,
}

impl Names {
    fn stream(&self, subject: Uuid) -> String {
        format!("{}:events:{subject}", self.prefix)
    }

    fn channel(&self, subject: Uuid) -> String {
        format!("{}:live:{subject}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(attempt: u32, sequence: u32) -> EventId {
        EventId { attempt, sequence }
    }

    #[test]
    fn ids_sort_by_attempt_and_then_by_sequence() {
        assert!(id(1, 900) < id(2, 1));
        assert!(id(2, 1) < id(2, 2));
        assert_eq!("2-17".parse(), Ok(id(2, 17)));
        assert_eq!("17".parse::<EventId>(), Err(BadEventId));
    }

    #[test]
    fn only_the_next_event_follows() {
        assert!(EventId::default().is_followed_by(id(1, 1)));
        assert!(id(1, 4).is_followed_by(id(1, 5)));
        assert!(id(1, 4).is_followed_by(id(3, 1)));
        assert!(!id(1, 4).is_followed_by(id(1, 6)));
        assert!(!id(1, 4).is_followed_by(id(2, 2)));
        assert!(!id(2, 1).is_followed_by(id(1, 1)));
    }
}
