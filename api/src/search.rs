//! Search: passages with scores and pages, without an answer. The embedding model lives in the workers, so a search
//! is a question that ends after retrieval.

use axum::{Json, extract::State};
use lectern_shared::{
    events::{
        EventId, Item, name,
        payload::{Source, Sources},
    },
    failure::{Failure, FailureReport},
    ids::QuestionId,
    store::questions::Mode,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    auth::Caller,
    error::{ApiError, Result},
    extract,
    limits::Wait,
    observe::RequestId,
    questions::{self, Ask},
    state::AppState,
};

#[derive(Deserialize, ToSchema)]
#[schema(as = NewSearch)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    #[schema(max_length = 2000, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    question: String,
    #[schema(pattern = r"^[\p{L}\p{N}._-]{1,64}$")]
    collection: Option<String>,
    #[schema(minimum = 1, maximum = 20, default = 8)]
    #[serde(default, deserialize_with = "extract::whole")]
    passages: Option<u16>,
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SearchResult)]
pub(crate) struct Found {
    passages: Vec<Source>,
    /// How likely it is that they answer the question, from 0 to 1.
    confidence: Option<f32>,
    /// What the confidence is made of.
    #[schema(value_type = Option<Object>)]
    signals: Option<Value>,
}

/// `POST /api/v1/search`
#[utoipa::path(
    post, path = "/api/v1/search", tag = "Questions", operation_id = "search",
    summary = "Search for passages",
    description = "A question without an answer: it waits for a worker, up to `LECTERN_SEARCH_TIMEOUT_MS`.",
    request_body(content = Search),
    responses(
        (status = 200, description = "The best passages, best first", body = Found),
    ),
)]
pub(crate) async fn search(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    _wait: Wait,
    extract::Json(search): extract::Json<Search>,
) -> Result<Json<Found>> {
    let Search {
        question,
        collection,
        passages,
        filter,
    } = search;
    let ask = Ask {
        question,
        collection,
        passages,
        background: false,
        filter,
        conversation_id: None,
        history: None,
    };
    let id = questions::create(&state, &caller, &request, Mode::Search, &ask).await?;
    match tokio::time::timeout(state.settings.search_timeout(), wait(&state, id)).await {
        Ok(found) => found.map(Json),
        Err(_) => {
            // Nobody will read it: take it off the queue.
            state.cancel(caller.tenant, id.0).await?;
            Err(ApiError::NoWorker)
        }
    }
}

async fn wait(state: &AppState, id: QuestionId) -> Result<Found> {
    let mut subscription = state.hub.attach(id.0, EventId::default()).await?;
    loop {
        // What Redis has lost of a search is not worth waiting for.
        let Item::Event(event) = subscription.next().await? else {
            return Err(ApiError::NoWorker);
        };
        match event.name.as_str() {
            name::SOURCES => {
                let Sources {
                    sources,
                    confidence,
                    signals,
                } = serde_json::from_str(&event.data).map_err(|_| ApiError::NoWorker)?;
                return Ok(Found {
                    passages: sources,
                    confidence,
                    signals,
                });
            }
            name::FAILED => {
                let failure = serde_json::from_str::<FailureReport>(&event.data).ok();
                let failure = failure
                    .and_then(|report| report.code.parse().ok())
                    .unwrap_or(Failure::Internal);
                return Err(ApiError::Failed(failure));
            }
            _ => {}
        }
    }
}
