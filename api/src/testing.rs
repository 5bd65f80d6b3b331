//! The API in the caller's own process, on a port of its own, for tests and benchmarks.

use std::net::SocketAddr;

use anyhow::Result;
use clap::Parser;
use lectern_shared::{config::StoreSettings, store::keys, testing::Place};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Cli, Command, ServeSettings},
    state::AppState,
};

/// The settings of `serve` with these arguments. Where the data are is said by a [`Place`] instead.
///
/// # Panics
/// When the arguments are none of `serve`'s.
#[must_use]
pub fn settings(arguments: &[&str]) -> ServeSettings {
    let fixed = [
        "lectern-api",
        "serve",
        "--database-url=unused",
        "--redis-url=unused",
        "--blobs=unused",
    ];
    let cli = Cli::try_parse_from(fixed.iter().chain(arguments));
    match cli.expect("arguments of `serve`").command {
        Command::Serve(settings) => *settings,
        _ => unreachable!("it is `serve`"),
    }
}

/// An API that serves until `stop` is cancelled.
pub struct Running {
    pub address: SocketAddr,
    pub stop: CancellationToken,
}

/// Serves a place, where the development key opens everything.
///
/// # Errors
/// When the place's servers can't be reached.
pub async fn start(settings: ServeSettings, place: &Place) -> Result<Running> {
    start_at(settings, &place.settings, &place.pool).await
}

/// As [`start`], where `store` says.
///
/// # Errors
/// As [`start`].
pub async fn start_at(
    settings: ServeSettings,
    store: &StoreSettings,
    pool: &PgPool,
) -> Result<Running> {
    keys::ensure_development_key(pool).await?;
    let stop = CancellationToken::new();
    let state = AppState::connect(settings.api, store, None, stop.clone()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(crate::serve(listener, state, stop.clone()));
    Ok(Running { address, stop })
}
