//! The `lectern-api` command.

use anyhow::{Context, Result};
use clap::Parser;
use lectern_api::{
    commands,
    config::{Cli, Command, Mode, ServeSettings, StoreCommand},
    state::AppState,
};
use lectern_shared::{health, metrics, shutdown, store, telemetry};
use tokio::net::TcpListener;
use tracing::{info, warn};

/// Ten thousand streams that come and go leave the system's allocator with memory that it can't give back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Serve(settings) => serve(*settings).await,
        Command::Migrate(settings) => migrate(settings).await,
        Command::Health(command) => health::ask(command.listen, "/api/v1/health/ready")
            .await
            .map(|_| ()),
        Command::Keys(command) => commands::keys(command).await.map(|said| print(&said)),
        Command::Tenants(command) => commands::tenants(command).await.map(|said| print(&said)),
    }
}

async fn serve(settings: ServeSettings) -> Result<()> {
    telemetry::install(&settings.log)?;
    let prometheus = metrics::install()?;
    let stop = shutdown::on_signal()?;
    let pool = store::connect(&settings.store)?;
    store::migrate(&pool)
        .await
        .context("the database can't be brought up to date")?;
    match settings.api.mode {
        Mode::Development => store::keys::ensure_development_key(&pool).await?,
        Mode::Production => {
            if let Some(key) = commands::first_key(&pool).await? {
                print(&format!(
                    "The first key, with all scopes. It is shown only now, so keep it: {}\n",
                    key.reveal()
                ));
            }
        }
    }
    let versions = store::versions(&pool).await?;
    if !store::index::is_at_least(&versions.pgvector, [0, 8, 4]) {
        warn!(
            pgvector = versions.pgvector,
            "pgvector before 0.8.4 has known faults in index vacuum: update it"
        );
    }
    lectern_api::raise_file_limit(settings.api.http.connections_max);
    let listen = settings.api.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("{listen} is not to be had: choose another address with LECTERN_LISTEN")
    })?;
    let state = AppState::connect(
        settings.api,
        &settings.store,
        Some(prometheus),
        stop.clone(),
    )
    .await?;
    lectern_api::serve(listener, state, stop).await?;
    info!("stopped");
    Ok(())
}

async fn migrate(settings: StoreCommand) -> Result<()> {
    telemetry::install(&settings.log)?;
    store::migrate(&store::connect(&settings.store)?).await?;
    info!("the schema is up to date");
    Ok(())
}

/// What a command is run for.
#[expect(
    clippy::print_stdout,
    reason = "logs go to standard error; keys are shown here alone, and only once"
)]
fn print(output: &str) {
    print!("{output}");
}
