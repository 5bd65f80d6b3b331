//! Shapes of what has no type of its own in the code: forms, which are read field by field, and answers that are put
//! together for OpenAI's clients.

#![expect(dead_code, reason = "they say how bytes look, and are never made")]

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// An upload. What is said of the file may stand before or after it.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadForm {
    /// The collection that it goes into; `default`, if none is named.
    #[schema(pattern = r"^[\p{L}\p{N}._-]{1,64}$", nullable = false)]
    collection: Option<String>,
    /// What the document is called, if not as the file is; folders in it are kept.
    #[schema(min_length = 1, max_length = 4096, nullable = false)]
    name: Option<String>,
    #[schema(min_length = 1, max_length = 500, nullable = false)]
    title: Option<String>,
    #[schema(
        format = "uri",
        pattern = r"^https?://[A-Za-z0-9]",
        max_length = 2048,
        nullable = false
    )]
    source_url: Option<String>,
    /// A JSON object.
    #[schema(value_type = Option<Object>, nullable = false)]
    metadata: Option<Value>,
    /// Of a protected PDF.
    #[schema(max_length = 256, nullable = false)]
    password: Option<String>,
    /// A document of its own, whatever is there already.
    #[schema(nullable = false)]
    force: Option<bool>,
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A new version of a document.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionForm {
    #[schema(min_length = 1, max_length = 500, nullable = false)]
    title: Option<String>,
    #[schema(
        format = "uri",
        pattern = r"^https?://[A-Za-z0-9]",
        max_length = 2048,
        nullable = false
    )]
    source_url: Option<String>,
    /// A JSON object.
    #[schema(value_type = Option<Object>, nullable = false)]
    metadata: Option<Value>,
    /// Of a protected PDF.
    #[schema(max_length = 256, nullable = false)]
    password: Option<String>,
    /// Read it although it is the same.
    #[schema(nullable = false)]
    force: Option<bool>,
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A zip of documents.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportForm {
    /// The collection that they go into; `default`, if none is named.
    #[schema(pattern = r"^[\p{L}\p{N}._-]{1,64}$", nullable = false)]
    collection: Option<String>,
    /// What the zip is called.
    #[schema(min_length = 1, max_length = 4096, nullable = false)]
    name: Option<String>,
    #[schema(
        format = "uri",
        pattern = r"^https?://[A-Za-z0-9]",
        max_length = 2048,
        nullable = false
    )]
    source_url: Option<String>,
    /// A JSON object, of all of them.
    #[schema(value_type = Option<Object>, nullable = false)]
    metadata: Option<Value>,
    /// Documents of their own, whatever is there already.
    #[schema(nullable = false)]
    force: Option<bool>,
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// One event of the stream of a document.
#[derive(Serialize, ToSchema)]
pub(crate) struct IngestEvent {
    /// To resume after; none of what is told from the database.
    #[schema(pattern = "^[0-9]+-[0-9]+$")]
    #[serde(default)]
    id: String,
    #[schema(pattern = "^(status|progress|done|failed)$")]
    #[serde(default)]
    event: String,
    /// A JSON object, which `event` says the shape of.
    #[serde(default)]
    data: String,
    /// Milliseconds after which to come back to a server that stops.
    #[serde(default)]
    retry: i64,
}

/// One event of the stream of an answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct AnswerEvent {
    /// To resume after; none of what is told from the database.
    #[schema(pattern = "^[0-9]+-[0-9]+$")]
    #[serde(default)]
    id: String,
    #[schema(pattern = "^(status|sources|token|reset|done|failed)$")]
    #[serde(default)]
    event: String,
    /// A JSON object, which `event` says the shape of.
    #[serde(default)]
    data: String,
    /// Milliseconds after which to come back to a server that stops.
    #[serde(default)]
    retry: i64,
}

/// One event of a chat completion that is streamed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChatEvent {
    /// A `chat.completion.chunk` as JSON, an `error`, or `[DONE]`.
    data: String,
}

/// OpenAI's `chat.completion`, and what its clients have no field for in `lectern`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChatCompletion {
    id: String,
    object: String,
    created: i64,
    model: String,
    #[schema(value_type = Vec<Object>)]
    choices: Vec<Value>,
    #[schema(value_type = Object)]
    usage: Value,
    /// The question's id, its sources, and how sure the answer is.
    #[schema(value_type = Object)]
    lectern: Value,
}

/// OpenAI's list of vectors.
#[derive(Serialize, ToSchema)]
pub(crate) struct Embeddings {
    object: String,
    data: Vec<Embedding>,
    model: String,
    #[schema(value_type = Object)]
    usage: Value,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Embedding {
    object: String,
    index: i64,
    /// Numbers, or these in base64 as 32-bit floats.
    #[schema(value_type = EmbeddingVector)]
    embedding: Value,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum EmbeddingVector {
    Floats(Vec<f32>),
    Base64(String),
}

/// A refusal as OpenAI's clients read it.
#[derive(Serialize, ToSchema)]
pub(crate) struct OpenAiError {
    error: OpenAiErrorBody,
}

#[derive(Serialize, ToSchema)]
struct OpenAiErrorBody {
    message: String,
    r#type: String,
    /// The field that it is about.
    param: Option<String>,
    code: String,
}
