//! The `lectern-worker` command; also the parser's and Tesseract's child processes, which begin as this program started again.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use lectern_shared::{health, metrics, shutdown, telemetry};
use lectern_worker::{
    config::{
        Cli, Command, ConvertModelCommand, DoctorCommand, EvaluateCommand, HealthCommand,
        ImportCommand, ReindexCommand, RunSettings,
    },
    ingest::{ocr, parse},
    models::convert,
};
use tracing::info;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    match arguments.nth(1) {
        Some(argument) if argument == parse::CHILD_COMMAND => return parse::run_child(arguments),
        Some(argument) if argument == ocr::CHILD_COMMAND => return ocr::run_child(arguments),
        _ => {}
    }
    match command(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            // A doctor that can't look has not found anything.
            ExitCode::from(2)
        }
    }
}

fn command(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(settings) => run(*settings).map(|()| ExitCode::SUCCESS),
        Command::Import(command) => import(*command).map(|()| ExitCode::SUCCESS),
        Command::Doctor(command) => examine(*command),
        Command::Evaluate(command) => evaluate(*command).map(|()| ExitCode::SUCCESS),
        Command::Reindex(command) => reindex(*command).map(|()| ExitCode::SUCCESS),
        Command::Health(command) => ask_health(&command).map(|()| ExitCode::SUCCESS),
        Command::ConvertModel(command) => convert(&command).map(|()| ExitCode::SUCCESS),
    }
}

#[tokio::main]
async fn reindex(command: ReindexCommand) -> Result<()> {
    telemetry::install(&command.log)?;
    let stop = shutdown::on_signal()?;
    lectern_worker::reindex::run(command, stop).await
}

#[tokio::main(flavor = "current_thread")]
async fn ask_health(command: &HealthCommand) -> Result<()> {
    telemetry::install(&command.log)?;
    let metrics = health::ask(command.metrics_listen, "/metrics").await?;
    let ready = format!("{} 1", metrics::WORKER_READY);
    ensure!(
        metrics.lines().any(|line| line == ready),
        "the worker takes no jobs: it is starting or ending; its log says why"
    );
    Ok(())
}

fn convert(command: &ConvertModelCommand) -> Result<()> {
    telemetry::install(&command.log)?;
    convert::convert(&command.from, &command.to)?;
    info!(folder = %command.to.display(), "model converted");
    Ok(())
}

#[tokio::main]
async fn import(command: ImportCommand) -> Result<()> {
    telemetry::install(&command.log)?;
    let stop = shutdown::on_signal()?;
    lectern_worker::import::run(command, stop).await
}

#[tokio::main]
async fn examine(command: DoctorCommand) -> Result<ExitCode> {
    telemetry::install(&command.log)?;
    let found = lectern_worker::doctor::run(command).await?;
    Ok(ExitCode::from(u8::from(found > 0)))
}

#[tokio::main]
async fn evaluate(command: EvaluateCommand) -> Result<()> {
    telemetry::install(&command.settings.log)?;
    let stop = shutdown::on_signal()?;
    lectern_worker::evaluate::run(command, stop).await
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
