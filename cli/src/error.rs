//! What can go wrong, what to do about it, and with which code the program ends.

use std::{fmt, io, process::ExitCode, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug)]
pub(crate) enum Error {
    /// What was asked for makes no sense.
    Usage(String),
    /// The server has refused.
    Problem(Problem),
    /// The server can't be reached, or has stopped talking.
    Unreachable {
        url: String,
        cause: String,
    },
    /// The server said something that isn't understood.
    Strange {
        url: String,
        cause: String,
    },
    /// There is no such thing here or there.
    Missing(String),
    /// A file of this machine, or another thing outside of the server.
    Local {
        title: String,
        next: String,
    },
    /// It has been told already.
    Told,
    Interrupted,
    /// Nobody reads the output any more.
    Pipe,
}

/// What the server says of a refusal (RFC 9457).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    #[serde(default)]
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) detail: String,
    /// When it wants to be asked again.
    #[serde(skip)]
    pub(crate) retry_after: Option<Duration>,
}

impl Error {
    pub(crate) fn local(title: impl fmt::Display, next: impl Into<String>) -> Self {
        Self::Local {
            title: title.to_string(),
            next: next.into(),
        }
    }

    /// Whether everything else that is asked of the server will end the same way.
    pub(crate) fn ends_all(&self) -> bool {
        match self {
            Self::Problem(problem) => matches!(problem.status, 401 | 403 | 503),
            Self::Unreachable { .. } | Self::Strange { .. } => true,
            _ => false,
        }
    }

    /// The codes that `lectern --help` lists.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Missing(_) => 3,
            Self::Problem(problem) => match problem.status {
                401 | 403 => 4,
                404 => 3,
                429 | 502..=504 => 5,
                _ => 1,
            },
            Self::Unreachable { .. } => 5,
            Self::Strange { .. } | Self::Local { .. } | Self::Told => 1,
            Self::Interrupted => 130,
            Self::Pipe => 141,
        })
    }

    /// What happened, and what to do next. `None`: there is nothing to be told.
    pub(crate) fn message(&self) -> Option<(String, String)> {
        match self {
            Self::Usage(what) => Some((what.clone(), "See `lectern help`.".into())),
            Self::Problem(problem) => {
                let next = if problem.status == 401 {
                    "Store a key with `lectern login`, or set LECTERN_KEY; in development it is lectern-dev.".into()
                } else {
                    problem.detail.clone()
                };
                Some((problem.title.clone(), next))
            }
            Self::Unreachable { url, cause } => Some((
                format!("{url} does not answer: {cause}"),
                "Check that Lectern runs there, or name another address with --url, LECTERN_URL or `lectern login`."
                    .into(),
            )),
            Self::Strange { url, cause } => Some((
                format!("{url} gave an answer that is not Lectern's: {cause}"),
                "Check the address: it is that of the server, without a path.".into(),
            )),
            Self::Missing(what) => Some((
                what.clone(),
                "Check the name or the id; `lectern list` shows what there is.".into(),
            )),
            Self::Local { title, next } => Some((title.clone(), next.clone())),
            Self::Interrupted => Some(("Interrupted".into(), String::new())),
            Self::Told | Self::Pipe => None,
        }
    }

    pub(crate) fn json(&self) -> Option<Value> {
        let (title, detail) = self.message()?;
        let (status, code) = match self {
            Self::Problem(problem) => (Some(problem.status), problem.code.as_str()),
            Self::Usage(_) => (None, "usage"),
            Self::Unreachable { .. } => (None, "unreachable"),
            Self::Strange { .. } => (None, "not_lectern"),
            Self::Missing(_) => (None, "not_found"),
            Self::Interrupted => (None, "interrupted"),
            _ => (None, "failed"),
        };
        Some(json!({"error": {"status": status, "code": code, "title": title, "detail": detail}}))
    }
}

impl From<io::Error> for Error {
    /// Of what is written to the standard output.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Pipe;
        }
        Self::local(
            format!("the output can't be written: {error}"),
            "Check where it goes.",
        )
    }
}
