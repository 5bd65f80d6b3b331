//! The settings of the API.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use lectern_shared::config::{LogSettings, StoreSettings};

/// The HTTP API of Lectern.
#[derive(Parser, Clone, Debug)]
#[command(name = "lectern-api", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Bring the schema up to date and serve
    Serve(Box<ServeSettings>),
    /// Bring the schema up to date and end
    Migrate(StoreCommand),
    /// Make a new API key and print it, once
    CreateKey(CreateKey),
}

#[derive(Args, Clone, Debug)]
pub struct StoreCommand {
    #[command(flatten)]
    pub store: StoreSettings,
    #[command(flatten)]
    pub log: LogSettings,
}

#[derive(Args, Clone, Debug)]
pub struct CreateKey {
    /// What the key is for, to tell it from others
    #[arg(long)]
    pub name: String,
    #[command(flatten)]
    pub store: StoreSettings,
    #[command(flatten)]
    pub log: LogSettings,
}

#[derive(Args, Clone, Debug)]
pub struct ServeSettings {
    #[command(flatten)]
    pub api: ApiSettings,
    #[command(flatten)]
    pub store: StoreSettings,
    #[command(flatten)]
    pub log: LogSettings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Accepts the well-known key `lectern-dev`
    Development,
    /// Refuses that key, and refuses to start as long as there is no other
    Production,
}

/// How the API serves.
#[derive(Args, Clone, Debug)]
pub struct ApiSettings {
    /// development or production
    #[arg(long, env = "LECTERN_MODE", default_value = "development")]
    pub mode: Mode,
    /// Address and port to listen on
    #[arg(long, env = "LECTERN_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Bytes of an uploaded file, at the most
    #[arg(long, env = "LECTERN_UPLOAD_BYTES_MAX", default_value_t = 100 << 20)]
    pub upload_bytes_max: u64,
    /// Bytes of an uploaded zip, at the most
    #[arg(long, env = "LECTERN_IMPORT_BYTES_MAX", default_value_t = 1 << 30)]
    pub import_bytes_max: u64,
    /// Bytes of a document's metadata, at the most
    #[arg(long, env = "LECTERN_METADATA_BYTES_MAX", default_value_t = 16 << 10)]
    pub metadata_bytes_max: usize,
    /// How long an upload may pause
    #[arg(long, env = "LECTERN_UPLOAD_PAUSE_SECONDS_MAX", default_value_t = 30)]
    pub upload_pause_seconds_max: u32,
    /// Bytes of any other request body, at the most
    #[arg(long, env = "LECTERN_BODY_BYTES_MAX", default_value_t = 64 << 10)]
    pub body_bytes_max: usize,
    /// Characters of a question, at the most
    #[arg(long, env = "LECTERN_QUESTION_CHARS_MAX", default_value_t = 2000)]
    pub question_chars_max: usize,
    /// Passages per question or search, at the most
    #[arg(long, env = "LECTERN_PASSAGES_MAX", default_value_t = 20)]
    pub passages_max: u16,
    /// Questions of a conversation, at the most
    #[arg(long, env = "LECTERN_CONVERSATION_TURNS_MAX", default_value_t = 100)]
    pub conversation_turns_max: u32,
    /// FAQs of a collection, at the most
    #[arg(long, env = "LECTERN_FAQS_MAX", default_value_t = 1000)]
    pub faqs_max: u32,
    /// Characters of a FAQ's answer, at the most
    #[arg(long, env = "LECTERN_FAQ_ANSWER_CHARS_MAX", default_value_t = 8000)]
    pub faq_answer_chars_max: usize,
    /// Characters of a comment on an answer, at the most
    #[arg(
        long,
        env = "LECTERN_FEEDBACK_COMMENT_CHARS_MAX",
        default_value_t = 2000
    )]
    pub feedback_comment_chars_max: usize,
    /// Webhooks of a tenant, at the most
    #[arg(long, env = "LECTERN_WEBHOOKS_MAX", default_value_t = 10)]
    pub webhooks_max: u32,
    /// Open event streams, at the most
    #[arg(long, env = "LECTERN_STREAMS_MAX", default_value_t = 10_000)]
    pub streams_max: usize,
    /// How long an answer goes on after its last reader has left
    #[arg(long, env = "LECTERN_ABANDONED_AFTER_MS", default_value_t = 5000)]
    pub abandoned_after_ms: u32,
    /// How long a search may take, waiting for a worker included
    #[arg(long, env = "LECTERN_SEARCH_TIMEOUT_MS", default_value_t = 10_000)]
    pub search_timeout_ms: u32,
    /// How long a request other than an upload or a stream may take
    #[arg(long, env = "LECTERN_REQUEST_TIMEOUT_SECONDS", default_value_t = 30)]
    pub request_timeout_seconds: u32,
    /// How long open requests may take to end at shutdown
    #[arg(long, env = "LECTERN_API_SHUTDOWN_SECONDS", default_value_t = 10)]
    pub shutdown_seconds: u32,
}

impl ApiSettings {
    #[must_use]
    pub fn upload_pause_max(&self) -> Duration {
        Duration::from_secs(self.upload_pause_seconds_max.into())
    }

    #[must_use]
    pub fn abandoned_after(&self) -> Duration {
        Duration::from_millis(self.abandoned_after_ms.into())
    }

    #[must_use]
    pub fn search_timeout(&self) -> Duration {
        Duration::from_millis(self.search_timeout_ms.into())
    }

    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds.into())
    }
}
