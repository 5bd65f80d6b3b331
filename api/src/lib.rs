//! The HTTP API: takes uploads and questions, writes rows, wakes workers, and streams what becomes of them.

#![expect(
    unused_qualifications,
    reason = "what utoipa writes into handlers' modules has some"
)]

mod auth;
pub mod commands;
pub mod config;
mod cors;
mod error;
mod etag;
mod extract;
mod fields;
mod idempotency;
mod limits;
mod observe;
mod overload;
mod paced;
mod routes;
mod serve;
pub mod state;
mod table;
mod widgets;

mod answers;
mod collections;
mod conversations;
mod documents;
mod faqs;
mod feedback;
mod health;
mod imports;
mod jobs;
mod keys;
mod listing;
mod mcp;
mod new_key;
mod openai;
mod operations;
mod page;
mod pages;
mod questions;
mod reference;
mod search;
mod streams;
mod tenants;
mod unanswered;
mod upload;
mod usage;
mod webhooks;
mod work;

#[cfg(feature = "testing")]
pub mod testing;

pub use serve::{raise_file_limit, serve};

use tokio::sync::Semaphore;

/// So many event streams may be open at once.
pub(crate) fn stream_permits(settings: &config::ApiSettings) -> Semaphore {
    Semaphore::new(settings.streams_max.min(Semaphore::MAX_PERMITS))
}
