//! What events carry, as JSON: written by workers, and by the API when it serves a finished subject from its rows.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ids::{DocumentId, QuestionId},
    store::{chunks::Span, documents::Document, questions, search::Passage},
};

/// What is being done now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `queued`, `retrieving`, `generating`, `parsing`, `ocr`, `embedding`, `retrying` …
    pub stage: String,
    /// Jobs that come before this one, while it is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<i64>,
    /// When it may be done, while it is queued: by how long others took lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_end: Option<DateTime<Utc>>,
    /// When it is tried again, after an attempt that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<DateTime<Utc>>,
    /// On the first event of a question that is streamed at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<QuestionId>,
}

impl Status {
    #[must_use]
    pub fn stage(stage: &str) -> Self {
        Self {
            stage: stage.to_owned(),
            ..Self::default()
        }
    }
}

/// How far an ingest is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub stage: String,
    pub done: u32,
    pub total: u32,
    /// Units per second in the last half a minute; absent while nothing is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f32>,
    /// When the stage may be done at that rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_end: Option<DateTime<Utc>>,
}

/// A source of an answer, or a passage that a search has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The `n` of the answer's `[n]`, from 1.
    pub number: i16,
    pub document: DocumentId,
    pub document_name: String,
    pub document_title: Option<String>,
    pub page_first: i32,
    pub page_last: i32,
    /// Where the text stands on these pages, in characters, and the boxes of its lines there.
    pub spans: Vec<Span>,
    /// The titles that it stands under, outermost first: "3 Methods › 3.2 Data".
    pub heading: Option<String>,
    /// What to call where it stands if its pages don't say it: "Slide 3", "Costs, rows 12–30".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    pub text: String,
    pub score: f32,
}

impl Source {
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a score needs no more digits than an f32 has"
    )]
    pub fn from_passage(number: i16, passage: &Passage) -> Self {
        Self {
            number,
            document: passage.document,
            document_name: passage.document_name.clone(),
            document_title: passage.document_title.clone(),
            page_first: passage.page_first,
            page_last: passage.page_last,
            spans: passage.spans.0.clone(),
            heading: passage.heading.clone(),
            place: passage.place.clone(),
            text: passage.text.clone(),
            score: passage.score as f32,
        }
    }
}

impl From<questions::Source> for Source {
    fn from(source: questions::Source) -> Self {
        Self {
            number: source.ordinal,
            document: source.document,
            document_name: source.document_name,
            document_title: source.document_title,
            page_first: source.page_first,
            page_last: source.page_last,
            spans: source.spans.0,
            heading: source.heading,
            place: source.place,
            text: source.text,
            score: source.score,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sources {
    pub sources: Vec<Source>,
}

/// The next piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub text: String,
}

/// Nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// Tokens that an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub prompt_tokens: u32,
    pub answer_tokens: u32,
}

/// Where the time went, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// From the question being due to a worker taking it.
    pub queued_ms: f64,
    pub embed_ms: f64,
    /// The words' search, most of it while the question is embedded.
    #[serde(default)]
    pub words_ms: f64,
    /// Of the vectors' search and the fusion.
    pub search_ms: f64,
    /// From a worker taking the question to the first token.
    pub first_token_ms: f64,
    /// From a worker taking the question to the last token.
    pub total_ms: f64,
}

/// The end of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerDone {
    pub generator: String,
    pub usage: Value,
    pub timings: Value,
    pub confidence: Option<f32>,
    pub cached: bool,
    /// What the question is written in, as ISO 639-1, as far as that can be told.
    #[serde(default)]
    pub language: Option<String>,
}

/// The end of an ingest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestDone {
    pub pages: i32,
    pub chunks: i32,
    pub version: i32,
    pub notes: Vec<String>,
}

impl From<&Document> for IngestDone {
    fn from(document: &Document) -> Self {
        Self {
            pages: document.pages.unwrap_or_default(),
            chunks: document.chunks.unwrap_or_default(),
            version: document.version,
            notes: document.notes.clone(),
        }
    }
}
