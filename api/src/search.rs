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

use crate::{
    auth::Caller,
    error::{ApiError, Result},
    extract,
    observe::RequestId,
    questions::{self, Ask},
    state::AppState,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    question: String,
    collection: Option<String>,
    passages: Option<u16>,
    filter: Option<Value>,
}

#[derive(Serialize)]
pub(crate) struct Found {
    passages: Vec<Source>,
    /// How likely it is that they answer the question, from 0 to 1.
    confidence: Option<f32>,
    /// What the confidence is made of.
    signals: Option<Value>,
}

/// `POST /api/v1/search`
pub(crate) async fn search(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
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
