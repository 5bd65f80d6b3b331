//! A worker for the tests: what `lectern-worker run` does, in a program that cargo builds together with them. Like that
//! command it is also its own parser, which begins as this program started again.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use lectern_shared::{shutdown, telemetry};
use lectern_worker::{
    config::{Cli, Command},
    ingest::parse,
};

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os();
    if arguments.nth(1).as_deref() == Some(parse::CHILD_COMMAND.as_ref()) {
        return Ok(parse::run_child(arguments));
    }
    let Command::Run(settings) = Cli::parse().command else {
        bail!("this is for tests: it runs, and nothing else")
    };
    run(*settings)?;
    Ok(ExitCode::SUCCESS)
}

#[tokio::main]
async fn run(settings: lectern_worker::config::RunSettings) -> Result<()> {
    telemetry::install(&settings.log)?;
    lectern_worker::run(settings, shutdown::on_signal()?).await
}
