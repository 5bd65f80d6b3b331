//! The settings that both processes read, each from the environment or a command-line option.
//!
//! `clap` is the one reader: it gives the help text, the parsing and, through its introspection,
//! the list that `.env.example` is checked against.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use clap::{ArgAction, Args, Command};

use crate::{telemetry::LogFormat, webhooks::Policy};

/// Where the data is.
#[derive(Args, Clone)]
pub struct StoreSettings {
    /// PostgreSQL with pgvector
    #[arg(long, env = "LECTERN_DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    /// Connections to PostgreSQL per process, at the most
    #[arg(long, env = "LECTERN_DATABASE_CONNECTIONS_MAX", default_value_t = 10)]
    pub database_connections_max: u32,
    /// Redis for wake-ups and events
    #[arg(long, env = "LECTERN_REDIS_URL", hide_env_values = true)]
    pub redis_url: String,
    /// What every Redis key and channel starts with
    #[arg(long, env = "LECTERN_REDIS_PREFIX", default_value = "lectern")]
    pub redis_prefix: String,
    /// Where uploaded files are kept: a folder, or `s3://bucket/prefix`
    /// (then AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT and AWS_REGION count)
    #[arg(long, env = "LECTERN_BLOBS")]
    pub blobs: String,
    /// How long the events of a document or an answer can be replayed
    #[arg(long, env = "LECTERN_EVENTS_TTL_SECONDS", default_value_t = 900)]
    pub events_ttl_seconds: u32,
    /// Wake-ups in Redis per queue, at the most; the rest waits in PostgreSQL
    /// (apalis-redis unpacks all due ids in one Lua call, which fails from 8,000 on)
    #[arg(long, env = "LECTERN_DISPATCH_MAX", default_value_t = 1000)]
    pub dispatch_max: u32,
    /// Wake-ups in Redis per queue and tenant, at the most, so that one tenant's thousand uploads
    /// don't stand before another's first
    #[arg(long, env = "LECTERN_DISPATCH_TENANT_MAX", default_value_t = 64)]
    pub dispatch_tenant_max: u32,
    /// Documents or questions of a tenant that wait, at the most; more are refused until some are done
    #[arg(long, env = "LECTERN_QUEUE_TENANT_MAX", default_value_t = 10_000)]
    pub queue_tenant_max: u32,
    /// How often a job is tried before it becomes a dead letter
    #[arg(long, env = "LECTERN_JOB_ATTEMPTS_MAX", default_value_t = 4)]
    pub job_attempts_max: u32,
    /// Whether webhooks may have URLs with http://, not only with https://
    #[arg(long, env = "LECTERN_WEBHOOK_ALLOW_HTTP", default_value_t = false, action = ArgAction::Set)]
    pub webhook_allow_http: bool,
    /// Whether webhooks may lead to loopback, private and other addresses that the internet doesn't reach:
    /// whoever has a key can then make workers send requests into your network
    #[arg(long, env = "LECTERN_WEBHOOK_ALLOW_PRIVATE", default_value_t = false, action = ArgAction::Set)]
    pub webhook_allow_private: bool,
    #[command(flatten)]
    pub quotas: Quotas,
}

/// What tenants may use that have no quotas of their own.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Quotas {
    /// Files that a tenant may upload in a day, documents and versions together: a number, or `unlimited`.
    /// Days and months are those of UTC
    #[arg(
        long,
        env = "LECTERN_QUOTA_DOCUMENTS_PER_DAY",
        default_value = "unlimited"
    )]
    pub quota_documents_per_day: Allowed,
    /// Files that a tenant may upload in a month
    #[arg(
        long,
        env = "LECTERN_QUOTA_DOCUMENTS_PER_MONTH",
        default_value = "unlimited"
    )]
    pub quota_documents_per_month: Allowed,
    /// Bytes of files that a tenant may upload in a day
    #[arg(long, env = "LECTERN_QUOTA_BYTES_PER_DAY", default_value = "unlimited")]
    pub quota_bytes_per_day: Allowed,
    /// Bytes of files that a tenant may upload in a month
    #[arg(
        long,
        env = "LECTERN_QUOTA_BYTES_PER_MONTH",
        default_value = "unlimited"
    )]
    pub quota_bytes_per_month: Allowed,
    /// Questions that a tenant may ask in a day
    #[arg(
        long,
        env = "LECTERN_QUOTA_QUESTIONS_PER_DAY",
        default_value = "unlimited"
    )]
    pub quota_questions_per_day: Allowed,
    /// Questions that a tenant may ask in a month
    #[arg(
        long,
        env = "LECTERN_QUOTA_QUESTIONS_PER_MONTH",
        default_value = "unlimited"
    )]
    pub quota_questions_per_month: Allowed,
    /// Tokens that the generator `openai` may take for a tenant in a day, prompts and answers together; then answers
    /// come from FAQs, from the cache, or as quotes, and say so
    #[arg(
        long,
        env = "LECTERN_QUOTA_TOKENS_PER_DAY",
        default_value = "unlimited"
    )]
    pub quota_tokens_per_day: Allowed,
    /// Tokens that it may take for a tenant in a month
    #[arg(
        long,
        env = "LECTERN_QUOTA_TOKENS_PER_MONTH",
        default_value = "unlimited"
    )]
    pub quota_tokens_per_month: Allowed,
}

/// A number, or any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed(pub Option<i64>);

impl FromStr for Allowed {
    type Err = String;

    fn from_str(raw: &str) -> Result<Self, String> {
        if raw == "unlimited" {
            return Ok(Self(None));
        }
        let number = raw.parse::<i64>().ok().filter(|number| *number >= 0);
        number
            .map(|number| Self(Some(number)))
            .ok_or_else(|| format!("`{raw}` is no quota: write a number, or unlimited"))
    }
}

/// How the process speaks of itself.
#[derive(Args, Clone, Debug)]
pub struct LogSettings {
    /// Which logs are written, in tracing's filter syntax
    #[arg(
        long,
        env = "LECTERN_LOG",
        default_value = "info,sqlx=warn,apalis=warn"
    )]
    pub log_filter: String,
    /// How they are written
    #[arg(long, env = "LECTERN_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// Without the addresses of the servers, which have passwords in them.
impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSettings")
            .field("redis_prefix", &self.redis_prefix)
            .field("blobs", &self.blobs)
            .finish_non_exhaustive()
    }
}

impl StoreSettings {
    /// Where webhooks may lead.
    #[must_use]
    pub fn webhook_policy(&self) -> Policy {
        Policy {
            allow_http: self.webhook_allow_http,
            allow_private: self.webhook_allow_private,
        }
    }

    #[must_use]
    pub fn events_ttl(&self) -> Duration {
        Duration::from_secs(self.events_ttl_seconds.into())
    }

    /// The local folder of the blobs, if that is what is configured.
    #[must_use]
    pub fn blob_dir(&self) -> Option<PathBuf> {
        (!self.blobs.contains("://")).then(|| PathBuf::from(&self.blobs))
    }
}

/// One environment variable that a command reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variable {
    pub name: String,
    pub help: String,
    pub default: Option<String>,
}

/// Every environment variable that `command` or one of its subcommands reads, by name.
#[must_use]
pub fn variables(command: &Command) -> Vec<Variable> {
    let mut found = Vec::new();
    let mut commands = vec![command];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands());
        for argument in command.get_arguments() {
            let Some(name) = argument.get_env() else {
                continue;
            };
            found.push(Variable {
                name: name.to_string_lossy().into_owned(),
                help: argument
                    .get_help()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                default: argument
                    .get_default_values()
                    .first()
                    .map(|value| value.to_string_lossy().into_owned()),
            });
        }
    }
    found.sort();
    found.dedup();
    found
}
