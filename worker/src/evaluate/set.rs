//! Questions with what should be found for them, one JSON object a line:
//!
//! ```json
//! {"question": "How often is the filter washed?", "relevant": [{"document": "manual.pdf", "pages": [12, 13]}]}
//! ```
//!
//! Where a document has no pages, `rows` says which of its rows, lines or records; without either, any passage of the
//! document will do. `grade` (1 if it isn't there) says how good it is, `filter` is that of a question.

use std::io::BufRead;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    pub(super) question: String,
    pub(super) relevant: Vec<Relevant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<Value>,
}

/// What answers a question.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Relevant {
    /// Its name.
    pub(super) document: String,
    /// First and last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pages: Option<(u32, u32)>,
    /// First and last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let question: Question = serde_json::from_str(&line).with_context(|| {
            format!("line {number} is no question like {{\"question\": …, \"relevant\": [{{\"document\": …}}]}}")
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
        assert!(error.to_string().starts_with("line 2 "), "{error}");
    }
}
