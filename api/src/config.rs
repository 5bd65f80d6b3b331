//! The settings of the API.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

pub use crate::limits::config::{HttpSettings, LimitSettings, Origin};
use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand, ValueEnum};
use lectern_shared::{
    config::{Allowed, LogSettings, StoreSettings},
    ids::ApiKeyId,
    keys::{Kind, Scope},
    store::quotas::{Period, Quota},
};

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
    /// Ask the API on this machine whether it is ready; ends with 1 if it isn't
    Health(HealthCommand),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Make, list, suspend and resume tenants, and say what they may use
    #[command(subcommand)]
    Tenants(TenantsCommand),
}

#[derive(Subcommand, Clone, Debug)]
pub enum KeysCommand {
    /// Make a key and print it, once
    Create(Box<CreateKey>),
    /// List a tenant's keys, without what is secret of them
    List(OfTenant),
    /// Revoke a key, for good and at once
    Revoke {
        /// Its id, as `list` tells it
        id: ApiKeyId,
        #[command(flatten)]
        of: OfTenant,
    },
}

#[derive(Subcommand, Clone, Debug)]
pub enum TenantsCommand {
    /// Make a tenant and print its id
    Create {
        name: String,
        #[command(flatten)]
        store: StoreCommand,
    },
    /// List all tenants
    List(StoreCommand),
    /// Refuse a tenant's keys from now on; its data stay, and what is under way is finished
    Suspend {
        name: String,
        #[command(flatten)]
        store: StoreCommand,
    },
    /// Take a suspended tenant's keys again
    Resume {
        name: String,
        #[command(flatten)]
        store: StoreCommand,
    },
    /// Say what a tenant may use of a quota, and print all that are its own
    Quota(Box<TenantQuota>),
}

#[derive(Args, Clone, Debug)]
pub struct TenantQuota {
    /// The tenant's name
    pub name: String,
    /// documents, bytes, questions or tokens
    #[arg(long)]
    pub quota: Quota,
    /// day or month, of UTC
    #[arg(long)]
    pub period: Period,
    /// A number, or unlimited; as the settings say, if it is left out
    #[arg(long)]
    pub allowed: Option<Allowed>,
    #[command(flatten)]
    pub store: StoreCommand,
}

#[derive(Args, Clone, Debug)]
pub struct OfTenant {
    /// The tenant's name
    #[arg(long, default_value = "default")]
    pub tenant: String,
    #[command(flatten)]
    pub store: StoreCommand,
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
    /// secret, or widget for web pages
    #[arg(long, default_value = "secret", value_parser = kind)]
    pub kind: Kind,
    /// What it may do: some of read,ask,write,admin,operator
    #[arg(long, value_delimiter = ',')]
    pub scopes: Vec<Scope>,
    /// The only collections that it reaches; all, if none is named
    #[arg(long, value_delimiter = ',')]
    pub collections: Vec<String>,
    /// Of a widget: the web pages that may use it, such as <https://www.example.com>
    #[arg(long, value_delimiter = ',')]
    pub origins: Vec<String>,
    /// When it ends, such as 2030-12-31T00:00:00Z
    #[arg(long)]
    pub expires_at: Option<DateTime<Utc>>,
    /// Its own limit of requests a minute, but for questions, searches and uploads; the settings', if none is named, as of
    /// the others
    #[arg(long)]
    pub requests_per_minute: Option<u32>,
    /// Of questions and searches a minute
    #[arg(long)]
    pub asks_per_minute: Option<u32>,
    /// Of uploads a minute
    #[arg(long)]
    pub uploads_per_minute: Option<u32>,
    /// Of open event streams at one replica
    #[arg(long)]
    pub streams_max: Option<u32>,
    #[command(flatten)]
    pub of: OfTenant,
}

fn kind(raw: &str) -> Result<Kind, &'static str> {
    raw.parse().map_err(|()| "it is `secret` or `widget`")
}

#[derive(Args, Clone, Debug)]
pub struct HealthCommand {
    /// Address and port to listen on
    #[arg(long, env = "LECTERN_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
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
    /// Refuses that key; the first start makes another one and prints it
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
    /// Where the files of the page and the widget are; `make web` writes them
    #[arg(long, env = "LECTERN_WEB_DIR", default_value = "web/dist")]
    pub web_dir: PathBuf,
    /// Where Grafana shows Lectern's dashboards, if it does: the operations page links there
    #[arg(long, env = "LECTERN_GRAFANA_URL", default_value = "")]
    pub grafana_url: String,
    /// Bytes of an uploaded file, at the most
    #[arg(long, env = "LECTERN_UPLOAD_BYTES_MAX", default_value_t = 100 << 20)]
    pub upload_bytes_max: u64,
    /// Bytes of an uploaded zip, at the most
    #[arg(long, env = "LECTERN_IMPORT_BYTES_MAX", default_value_t = 1 << 30)]
    pub import_bytes_max: u64,
    /// Bytes of a document's metadata, at the most
    #[arg(long, env = "LECTERN_METADATA_BYTES_MAX", default_value_t = 16 << 10)]
    pub metadata_bytes_max: usize,
    /// How long the body of a request may pause
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
    /// Keys of a tenant that can be used, at the most
    #[arg(long, env = "LECTERN_KEYS_MAX", default_value_t = 1000)]
    pub keys_max: u32,
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
    /// How long a chat completion that isn't streamed, or the tool `ask`, may take, waiting for a worker included
    #[arg(long, env = "LECTERN_ANSWER_TIMEOUT_SECONDS", default_value_t = 300)]
    pub answer_timeout_seconds: u32,
    /// Bytes of a request under /v1, which brings its whole conversation along, at the most
    #[arg(long, env = "LECTERN_OPENAI_BODY_BYTES_MAX", default_value_t = 2 << 20)]
    pub openai_body_bytes_max: usize,
    /// Earlier turns of a chat completion that are looked at
    #[arg(long, env = "LECTERN_OPENAI_HISTORY_TURNS_MAX", default_value_t = 20)]
    pub openai_history_turns_max: usize,
    /// Characters of each message of these that are looked at
    #[arg(long, env = "LECTERN_OPENAI_HISTORY_CHARS_MAX", default_value_t = 4000)]
    pub openai_history_chars_max: usize,
    /// Pages of a document whose text is given at a time, at the most, to tools of /mcp too
    #[arg(
        long,
        env = "LECTERN_TEXT_PAGES_MAX",
        default_value_t = 100,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub text_pages_max: u16,
    /// Characters of these, at the most; a page that has more by itself is cut, which no part of a file without pages has
    #[arg(long, env = "LECTERN_TEXT_CHARS_MAX", default_value_t = 1 << 16)]
    pub text_chars_max: u32,
    /// Texts of a request for embeddings, at the most
    #[arg(long, env = "LECTERN_EMBEDDING_INPUTS_MAX", default_value_t = 128)]
    pub embedding_inputs_max: usize,
    /// Characters of each of them, at the most; what is longer than the model's tokens is cut there
    #[arg(long, env = "LECTERN_EMBEDDING_CHARS_MAX", default_value_t = 8000)]
    pub embedding_chars_max: usize,
    /// How long embeddings may take, waiting for a worker included
    #[arg(long, env = "LECTERN_EMBEDDING_TIMEOUT_SECONDS", default_value_t = 60)]
    pub embedding_timeout_seconds: u32,
    /// Where people reach this API, such as `https://lectern.example.org`, for the addresses of sources; empty: as each
    /// request names it
    #[arg(long, env = "LECTERN_PUBLIC_URL", default_value = "")]
    pub public_url: String,
    /// How long a request other than an upload or a stream may take
    #[arg(long, env = "LECTERN_REQUEST_TIMEOUT_SECONDS", default_value_t = 30)]
    pub request_timeout_seconds: u32,
    #[command(flatten)]
    pub http: HttpSettings,
    #[command(flatten)]
    pub limits: LimitSettings,
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
    pub fn answer_timeout(&self) -> Duration {
        Duration::from_secs(self.answer_timeout_seconds.into())
    }

    #[must_use]
    pub fn embedding_timeout(&self) -> Duration {
        Duration::from_secs(self.embedding_timeout_seconds.into())
    }

    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds.into())
    }
}
