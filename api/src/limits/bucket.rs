//! Counting in Redis: all limits of a request in one script, and so in one round trip and as one step.
//!
//! The crates that count in Redis take one limit at a time, or bring a client of Redis of another version; so the
//! script is our own, and short.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ipnet::IpNet;
use lectern_shared::metrics;
use redis::{Script, aio::ConnectionManager};
use tracing::warn;
use uuid::Uuid;

use super::config::{LimitSettings, Name, Quantity};

/// One limit that a request falls under.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: Name,
    pub(super) whose: Whose,
    pub(super) quantity: Quantity,
}

/// Whose requests count together.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    /// A key's, or a tenant's.
    One(Uuid),
    Address(IpNet),
    /// Those with a key from an address.
    Visitor(Uuid, IpNet),
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(id) => id.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Visitor(id, address) => write!(f, "{id}:{address}"),
        }
    }
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The limit with the least left, after this request.
    Allowed(Told),
    Refused(Name, Told),
    /// Redis is away, and none of the limits minds.
    Uncounted,
    /// Redis is away, and this limit lets nobody through then.
    Closed(Name),
}

/// A limit as clients are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// Until all of it can be had at once again.
    pub(super) reset: Duration,
    /// Until one request is let through; nothing if the next one is.
    pub(super) retry_after: Duration,
}

/// Redis isn't asked again for so long after it was away: each request would wait for its time-out.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Limiter {
    connection: ConnectionManager,
    prefix: String,
    script: Script,
    timeout: Duration,
    closed: Vec<Name>,
    away_until: Mutex<Option<Instant>>,
}

impl Limiter {
    pub(crate) fn new(
        connection: ConnectionManager,
        prefix: &str,
        settings: &LimitSettings,
    ) -> Self {
        Self {
            connection,
            prefix: format!("{prefix}:limit"),
            script: Script::new(include_str!("gcra.lua")),
            timeout: Duration::from_millis(settings.limits_timeout_ms.into()),
            closed: settings.limits_closed.0.clone(),
            away_until: Mutex::new(None),
        }
    }

    /// Counts a request towards all of the limits; or towards none, if one of them is used up.
    pub(super) async fn take(&self, rules: &[Rule]) -> Verdict {
        if rules.is_empty() {
            return Verdict::Uncounted;
        }
        let Some(told) = self.ask(rules).await else {
            return self.without_redis(rules);
        };
        let told = || rules.iter().zip(&told);
        // Of several that refuse, the one that does so for the longest.
        let refused = told()
            .filter(|(_, told)| !told.retry_after.is_zero())
            .max_by_key(|(_, told)| told.retry_after);
        if let Some((rule, &told)) = refused {
            ::metrics::counter!(metrics::RATE_LIMITED, "limit" => rule.name.as_str()).increment(1);
            return Verdict::Refused(rule.name, told);
        }
        let tightest = told().min_by_key(|(_, told)| told.remaining);
        tightest.map_or(Verdict::Uncounted, |(_, &told)| Verdict::Allowed(told))
    }

    /// `None` while Redis is away.
    async fn ask(&self, rules: &[Rule]) -> Option<Vec<Told>> {
        if self.away().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let mut call = self.script.prepare_invoke();
        for rule in rules {
            call.key(format!("{}:{}:{}", self.prefix, rule.name, rule.whose))
                .arg(rule.quantity.count)
                .arg(u64::from(rule.quantity.seconds) * 1_000_000);
        }
        let mut connection = self.connection.clone();
        let answer = call.invoke_async::<Vec<(u8, u32, u64, u64)>>(&mut connection);
        let trouble = match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(answers)) if answers.len() == rules.len() => {
                let told = answers.into_iter().zip(rules);
                return Some(
                    told.map(|((_, remaining, reset, retry_after), rule)| Told {
                        limit: rule.quantity.count,
                        remaining,
                        reset: Duration::from_micros(reset),
                        retry_after: Duration::from_micros(retry_after),
                    })
                    .collect(),
                );
            }
            Ok(Ok(answers)) => format!("{} answers for {} limits", answers.len(), rules.len()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        let before = self.away().replace(Instant::now() + PAUSE);
        if before.is_none_or(|until| until.elapsed() > PAUSE) {
            warn!(cause = trouble, "requests aren't counted: Redis is away");
        }
        None
    }

    fn away(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // Nothing can panic while it is held.
        self.away_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn without_redis(&self, rules: &[Rule]) -> Verdict {
        let closed = rules.iter().find(|rule| self.closed.contains(&rule.name));
        let outcome = if closed.is_some() { "closed" } else { "open" };
        for rule in rules {
            let labels = [("limit", rule.name.as_str()), ("outcome", outcome)];
            ::metrics::counter!(metrics::LIMITS_UNAVAILABLE, &labels).increment(1);
        }
        closed.map_or(Verdict::Uncounted, |rule| Verdict::Closed(rule.name))
    }
}
