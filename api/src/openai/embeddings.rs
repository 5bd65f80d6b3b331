//! `POST /v1/embeddings`: vectors of texts, by the model that the documents are embedded with. It lives in the workers,
//! so this is a job that is waited for.

use axum::{Json, extract::State};
use base64::{Engine, prelude::BASE64_STANDARD};
use lectern_shared::{
    events::{EventId, Item, name, payload::Vectors},
    failure::{Failure, FailureReport},
    store::{
        embeddings::{self, NewEmbedding},
        models,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::models::EMBEDDING;
use crate::{
    auth::Caller,
    config::ApiSettings,
    error::{ApiError, Result},
    extract,
    limits::Wait,
    observe::RequestId,
    reference::shapes,
    state::AppState,
};

#[derive(Deserialize, ToSchema)]
#[schema(as = EmbeddingsRequest)]
pub(crate) struct Wanted {
    model: String,
    /// A text, or several.
    input: Value,
    #[serde(default)]
    encoding_format: Option<String>,
    #[serde(default, deserialize_with = "extract::whole")]
    dimensions: Option<u16>,
    /// Ours: `passage`, or `query` for what is to be compared with passages. Some models tell them apart.
    #[serde(default)]
    input_type: Option<String>,
}

#[utoipa::path(
    post, path = "/v1/embeddings", tag = "OpenAI", operation_id = "createEmbeddings",
    summary = "Embed texts",
    description = "",
    request_body(content = Wanted),
    responses(
        (status = 200, description = "Their vectors, in order", body = shapes::Embeddings),
    ),
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    _wait: Wait,
    extract::Json(wanted): extract::Json<Wanted>,
) -> Result<Json<Value>> {
    let model = models::current(&state.pool)
        .await?
        .ok_or(ApiError::NoWorker)?;
    if wanted.model != EMBEDDING && wanted.model != model.name {
        return Err(ApiError::NoSuchModel);
    }
    if wanted
        .dimensions
        .is_some_and(|wanted| wanted != model.dimensions)
    {
        let dimensions = model.dimensions;
        return Err(refused(
            "dimensions",
            format!(
                "Vectors of this model have {dimensions} dimensions, no others. Leave out `dimensions`."
            ),
        ));
    }
    let as_base64 = match wanted.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => {
            return Err(refused(
                "encoding_format",
                "It is `float` or `base64`.".to_owned(),
            ));
        }
    };
    let as_questions = match wanted.input_type.as_deref() {
        None | Some("passage") => false,
        Some("query") => true,
        Some(_) => {
            return Err(refused(
                "input_type",
                "It is `passage` or `query`.".to_owned(),
            ));
        }
    };
    let texts = texts(wanted.input, &state.settings)?;
    let embedding = NewEmbedding {
        id: Uuid::now_v7(),
        tenant: caller.tenant,
        texts: &texts,
        as_questions,
    };
    let (vectors, tokens) = embed(&state, &embedding, &request).await?;
    let vectors: Result<Vec<Value>> = (0..)
        .zip(vectors)
        .map(|(index, vector): (usize, String)| {
            let vector = if as_base64 {
                Value::String(vector)
            } else {
                floats(&vector)?
            };
            Ok(json!({"object": "embedding", "index": index, "embedding": vector}))
        })
        .collect();
    Ok(Json(json!({
        "object": "list", "data": vectors?, "model": wanted.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })))
}

fn refused(name: &'static str, detail: String) -> ApiError {
    ApiError::Parameter { name, detail }
}

fn texts(input: Value, settings: &ApiSettings) -> Result<Vec<String>> {
    let refused = |detail: String| refused("input", detail);
    let items = match input {
        Value::Array(items) => items,
        one => vec![one],
    };
    let max = settings.embedding_inputs_max;
    if items.is_empty() || items.len() > max {
        return Err(refused(format!(
            "It has {} texts, and may have 1 to {max}. Send fewer at a time, or raise LECTERN_EMBEDDING_INPUTS_MAX.",
            items.len()
        )));
    }
    let chars_max = settings.embedding_chars_max;
    let text = |item: Value| {
        match item {
        Value::String(text) if text.trim().is_empty() => {
            Err(refused("A text is empty. Leave it out.".to_owned()))
        }
        Value::String(text) if text.chars().count() > chars_max => Err(refused(format!(
            "A text has more than {chars_max} characters. Cut it, or raise LECTERN_EMBEDDING_CHARS_MAX."
        ))),
        Value::String(text) => Ok(text.replace('\0', "")),
        _ => Err(refused(
            "It is a text or a list of texts: tokens of another model mean nothing here. Of LangChain's \
             OpenAIEmbeddings set check_embedding_ctx_length=False."
                .to_owned(),
        )),
    }
    };
    items.into_iter().map(text).collect()
}

/// Their vectors in base64, in order, and how many tokens they have.
async fn embed(
    state: &AppState,
    embedding: &NewEmbedding<'_>,
    request: &str,
) -> Result<(Vec<String>, usize)> {
    let job = embeddings::create(&state.pool, embedding, Some(request), &state.limits).await?;
    state.wake(job).await;
    let waited = tokio::time::timeout(
        state.settings.embedding_timeout(),
        wait(state, embedding.id, embedding.texts.len()),
    );
    if let Ok(found) = waited.await {
        return found;
    }
    // Nobody will read them: take them off the queue.
    state.cancel(embedding.tenant, embedding.id).await?;
    embeddings::drop_texts(&state.pool, embedding.tenant, embedding.id).await?;
    Err(ApiError::NoWorker)
}

async fn wait(state: &AppState, id: Uuid, count: usize) -> Result<(Vec<String>, usize)> {
    let mut subscription = state.hub.attach(id, EventId::default()).await?;
    let (mut vectors, mut tokens) = (Vec::with_capacity(count), 0);
    loop {
        // What Redis has lost is not worth waiting for.
        let Item::Event(event) = subscription.next().await? else {
            return Err(ApiError::NoWorker);
        };
        match event.name.as_str() {
            name::VECTORS => {
                let batch: Vectors =
                    serde_json::from_str(&event.data).map_err(|_| ApiError::NoWorker)?;
                vectors.extend(batch.vectors);
                tokens += batch.tokens;
            }
            name::RESET => (vectors, tokens) = (Vec::with_capacity(count), 0),
            name::DONE if vectors.len() == count => return Ok((vectors, tokens)),
            name::DONE => return Err(ApiError::NoWorker),
            name::FAILED => {
                let report = serde_json::from_str::<FailureReport>(&event.data).ok();
                let failure = report.and_then(|report| report.code.parse().ok());
                return Err(ApiError::Failed(failure.unwrap_or(Failure::Internal)));
            }
            _ => {}
        }
    }
}

fn floats(vector: &str) -> Result<Value> {
    let bytes = BASE64_STANDARD
        .decode(vector)
        .map_err(|_| ApiError::Failed(Failure::Internal))?;
    let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    Ok(bytes
        .chunks_exact(4)
        .map(number)
        .collect::<Vec<f32>>()
        .into())
}
