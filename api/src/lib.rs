//! The HTTP API: takes uploads and questions, writes rows, wakes workers, and streams what becomes of them.

mod auth;
pub mod commands;
pub mod config;
mod error;
mod extract;
mod fields;
mod observe;
mod routes;
pub mod state;
mod table;
mod widgets;

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
mod new_key;
mod page;
mod questions;
mod search;
mod streams;
mod tenants;
mod unanswered;
mod upload;
mod webhooks;
mod work;

#[cfg(feature = "testing")]
pub mod testing;

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::state::AppState;

/// Serves until `stop` is cancelled, then lets open requests end within the configured time.
/// Event streams end at once: their readers resume elsewhere with `Last-Event-ID`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, state: AppState, stop: CancellationToken) -> Result<()> {
    let deadline = Duration::from_secs(state.settings.shutdown_seconds.into());
    let stopping = stop.clone();
    info!(address = %listener.local_addr()?, "listening");
    let server = axum::serve(listener, routes::router(state))
        .with_graceful_shutdown(async move { stopping.cancelled().await });
    tokio::select! {
        served = async { server.await } => served.context("serving failed"),
        () = async { stop.cancelled().await; tokio::time::sleep(deadline).await } => {
            info!("requests still open at the deadline are cut off");
            Ok(())
        }
    }
}

/// So many event streams may be open at once.
pub(crate) fn stream_permits(settings: &config::ApiSettings) -> Semaphore {
    Semaphore::new(settings.streams_max.min(Semaphore::MAX_PERMITS))
}
