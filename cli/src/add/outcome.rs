//! What has become of a file, and of all of them.

use serde::Serialize;
use serde_json::{Value, json};

use super::files::File;
use crate::{documents::Failure, error::Error};

#[derive(Debug)]
pub(super) enum Outcome {
    /// It is searchable now.
    Ready {
        id: String,
        pages: i64,
        chunks: i64,
        version: i64,
        notes: Vec<String>,
    },
    /// It was, before.
    There {
        id: String,
    },
    /// It is on the server, and nobody waits for it.
    Uploaded {
        id: String,
    },
    /// Its type can't be read, and nobody has named it.
    Unsupported,
    /// It was uploaded and could not be read.
    Failed {
        id: String,
        failure: Failure,
    },
    /// It was not taken, or not even sent.
    Refused(Error),
    Cancelled,
}

/// How many of them have become what.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Summary {
    pub(super) files: usize,
    pub(super) added: usize,
    pub(super) replaced: usize,
    pub(super) unchanged: usize,
    pub(super) uploaded: usize,
    pub(super) unsupported: usize,
    pub(super) failed: usize,
}

impl Summary {
    pub(super) fn new(files: usize) -> Self {
        Self {
            files,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, outcome: &Outcome) {
        let place = match outcome {
            Outcome::Ready { version: 1, .. } => &mut self.added,
            Outcome::Ready { .. } => &mut self.replaced,
            Outcome::There { .. } => &mut self.unchanged,
            Outcome::Uploaded { .. } => &mut self.uploaded,
            Outcome::Unsupported => &mut self.unsupported,
            Outcome::Failed { .. } | Outcome::Refused(_) | Outcome::Cancelled => &mut self.failed,
        };
        *place += 1;
    }

    pub(super) fn told(&self) -> String {
        let parts = [
            (self.added, "added"),
            (self.replaced, "replaced by a new version"),
            (self.unchanged, "there already"),
            (self.uploaded, "uploaded"),
            (self.unsupported, "of a type that can't be read"),
            (self.failed, "failed"),
        ];
        let over: usize = parts.iter().map(|(count, _)| count).sum();
        let mut told: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if over < self.files {
            told.push(format!("{} not done", self.files - over));
        }
        let noun = if self.files == 1 { "file" } else { "files" };
        format!("{} {noun}: {}", self.files, told.join(", "))
    }
}

impl Outcome {
    /// A line for people; `Err` is one about a failure.
    pub(super) fn told(&self, file: &File) -> Result<String, String> {
        let name = &file.name;
        match self {
            Self::Ready {
                pages,
                chunks,
                version,
                notes,
                ..
            } => {
                let what = if *version == 1 { "added" } else { "replaced" };
                let pages = count(*pages, "page");
                let mut line = format!("{what}: {name} ({pages}, {})", count(*chunks, "passage"));
                for note in notes {
                    line.push_str("\n  ");
                    line.push_str(note);
                }
                Ok(line)
            }
            Self::There { .. } => Ok(format!("there already: {name}")),
            Self::Uploaded { id } => Ok(format!("uploaded: {name} ({id})")),
            Self::Unsupported => Ok(format!("left out: {name} (its type can't be read)")),
            Self::Failed { failure, .. } if failure.code == "password_required" => Err(format!(
                "failed: {name}\n  It needs its password: lectern add --password … {}",
                file.path.display()
            )),
            Self::Failed { failure, .. } => Err(format!("failed: {name}\n  {}", failure.message)),
            Self::Refused(error) => {
                let (what, next) = error.message().unwrap_or_default();
                Err(format!("failed: {name}: {what}\n  {next}"))
            }
            Self::Cancelled => Err(format!(
                "failed: {name}: somebody has cancelled it\n  `lectern add` it again."
            )),
        }
    }

    pub(super) fn json(&self, file: &File) -> Value {
        let mut told = json!({"path": file.path.to_string_lossy(), "name": file.name});
        let rest = match self {
            Self::Ready {
                id,
                pages,
                chunks,
                version,
                notes,
            } => {
                let outcome = if *version == 1 { "added" } else { "replaced" };
                json!({"outcome": outcome, "id": id, "pages": pages, "chunks": chunks, "version": version, "notes": notes})
            }
            Self::There { id } => json!({"outcome": "unchanged", "id": id}),
            Self::Uploaded { id } => json!({"outcome": "uploaded", "id": id}),
            Self::Unsupported => json!({"outcome": "unsupported"}),
            Self::Failed { id, failure } => {
                json!({"outcome": "failed", "id": id, "error": {"code": failure.code, "detail": failure.message}})
            }
            Self::Refused(error) => {
                let mut rest = error.json().unwrap_or_else(|| json!({}));
                rest["outcome"] = "failed".into();
                rest
            }
            Self::Cancelled => json!({"outcome": "failed", "error": {"code": "cancelled"}}),
        };
        if let (Value::Object(told), Value::Object(rest)) = (&mut told, rest) {
            told.extend(rest);
        }
        told
    }
}

fn count(number: i64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_what_there_is_and_what_is_missing() {
        let mut summary = Summary::new(3);
        summary.add(&Outcome::There { id: "1".into() });
        summary.add(&Outcome::Cancelled);
        assert_eq!(
            summary.told(),
            "3 files: 1 there already, 1 failed, 1 not done"
        );
    }
}
