//! What events carry, as JSON: written by workers, and by the API when it serves a finished subject from its rows.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ids::{DocumentId, FaqId, QuestionId},
    store::{chunks::Span, documents::Document, questions, search::Passage},
};

/// What is being done now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = StatusEvent))]
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
    /// What a follow-up question was taken for, as soon as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standalone_question: Option<String>,
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ProgressEvent))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    /// Whether the answer cites it; absent while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cited: Option<bool>,
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
            cited: None,
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
            cited: Some(source.cited),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SourcesEvent))]
pub struct Sources {
    pub sources: Vec<Source>,
    /// Of a search: how likely it is that they answer the question, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
    /// Of a search: what the confidence was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub signals: Option<Value>,
}

impl From<Vec<Source>> for Sources {
    fn from(sources: Vec<Source>) -> Self {
        Self {
            sources,
            confidence: None,
            signals: None,
        }
    }
}

/// The next vectors of texts that were to be embedded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vectors {
    /// 32-bit floats, little-endian, in base64; in the order of the texts.
    pub vectors: Vec<String>,
    /// Of these texts.
    pub tokens: usize,
}

/// The next piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TokenEvent))]
pub struct Token {
    pub text: String,
}

/// Nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ResetEvent))]
pub struct Empty {}

/// Tokens that an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub prompt_tokens: u32,
    pub answer_tokens: u32,
    /// The server didn't count them: by our own tokenizer, which is another one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// The answer was cut off at its limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
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
    #[serde(default)]
    pub rerank_ms: f64,
    /// From a worker taking the question to the first token.
    pub first_token_ms: f64,
    /// From a worker taking the question to the last token.
    pub total_ms: f64,
}

/// The end of an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = AnswerDoneEvent))]
pub struct AnswerDone {
    pub generator: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub usage: Value,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub timings: Value,
    /// How likely it is that the sources answer the question, from 0 to 1; null for a FAQ.
    pub confidence: Option<f32>,
    /// It was given before, to a question that means the same.
    pub cached: bool,
    /// What the question is written in, as ISO 639-1, as far as that can be told.
    #[serde(default)]
    pub language: Option<String>,
    /// The numbers of the sources that it cites.
    #[serde(default)]
    pub cited: Vec<i16>,
    /// The documents don't answer; the sources are the nearest passages.
    #[serde(default)]
    pub abstained: bool,
    /// The FAQ that is the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faq: Option<FaqUsed>,
    /// What readers should know besides: `budget_exhausted`, when the generator was not asked since the tenant's
    /// tokens are used up; `uncited`, when it cites none of the sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// The FAQ that an answer is, as it was then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FaqUsed {
    pub id: FaqId,
    pub question: String,
    /// Where readers find more.
    pub link: Option<String>,
    /// Of both questions; 1 when they are equal.
    pub similarity: f32,
}

/// The end of an ingest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = IngestDoneEvent))]
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
