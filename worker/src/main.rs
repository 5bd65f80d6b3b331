//! The `lectern-worker` command; also the parser's child process, which is this program started again.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use lectern_shared::{metrics, shutdown, telemetry};
use lectern_worker::{
    config::{Cli, Command, RunSettings},
    ingest::parse,
};
use tracing::info;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments
        .nth(1)
        .is_some_and(|argument| argument == parse::CHILD_COMMAND)
    {
        return parse::run_child(arguments);
    }
    let Command::Run(settings) = Cli::parse().command;
    match run(*settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(settings: RunSettings) -> Result<()> {
    telemetry::install(&settings.log)?;
    let listen = settings.worker.metrics_listen;
    metrics::install_with_listener(listen).with_context(|| {
        format!(
            "{listen} is not to be had: choose another address with LECTERN_WORKER_METRICS_LISTEN"
        )
    })?;
    let stop = shutdown::on_signal()?;
    lectern_worker::run(settings, stop).await?;
    info!("stopped");
    Ok(())
}
