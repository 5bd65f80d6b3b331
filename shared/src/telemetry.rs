//! Logs: one line per event, as text for people or as JSON for collectors.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::LogSettings;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Installs the process's subscriber. Logs go to standard error; standard output belongs to commands.
///
/// # Errors
/// When the filter doesn't parse, or a subscriber is already installed.
pub fn install(settings: &LogSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.log_filter)?;
    // Below warnings it logs whole requests and results, with questions and texts of documents in them.
    let discreet = filter_fn(|metadata| {
        !metadata.target().starts_with("rmcp") || *metadata.level() <= Level::WARN
    });
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // Colours are for people, not for log files.
        .with_ansi(std::io::stderr().is_terminal());
    let layer = match settings.log_format {
        LogFormat::Text => layer.with_target(false).boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(discreet)
        .with(layer)
        .try_init()?;
    Ok(())
}
