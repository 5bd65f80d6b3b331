//! Questions with what should be found for them, one JSON object a line, as `lectern-worker evaluate` reads them.

use std::io::BufRead;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    pub(super) question: String,
    pub(super) relevant: Vec<Relevant>,
    #[serde(default)]
    pub(super) filter: Option<Value>,
}

/// What answers a question.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Relevant {
    /// Its name.
    pub(super) document: String,
    /// First and last.
    #[serde(default)]
    pub(super) pages: Option<(u32, u32)>,
    /// First and last.
    #[serde(default)]
    pub(super) rows: Option<(u32, u32)>,
    #[serde(default = "one")]
    pub(super) grade: f64,
}

fn one() -> f64 {
    1.0
}

/// # Errors
/// At the first line that is no question; the message has its number.
pub(super) fn read(lines: impl BufRead) -> Result<Vec<Question>> {
    let mut questions = Vec::new();
    for (number, line) in (1..).zip(lines.lines()) {
        let line = line.map_err(|error| Error::local(error, "Write the set as UTF-8."))?;
        if line.trim().is_empty() {
            continue;
        }
        let question: Question = serde_json::from_str(&line).map_err(|error| {
            Error::Usage(format!(
                "line {number} is no question like {{\"question\": …, \"relevant\": [{{\"document\": …}}]}}: {error}"
            ))
        })?;
        questions.push(question);
    }
    Ok(questions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_question_and_a_bad_one_is_named() {
        let good = r#"{"question": "Why?", "relevant": [{"document": "a.pdf", "pages": [1, 2], "grade": 3}]}"#;
        let found = read(format!("{good}\n\n{good}").as_bytes()).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].relevant[0].pages, Some((1, 2)));
        let error = read(format!("{good}\n{{\"question\": 3}}").as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Usage(text) if text.starts_with("line 2 ")));
    }
}
