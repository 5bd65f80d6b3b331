//! `/v1/models`: each collection is a model that answers from it, and there is one that embeds.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use lectern_shared::store::{collections, models, reach::Reach};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::Caller,
    error::{ApiError, Result},
    extract::Path,
    state::AppState,
};

/// Answers from the default collection; `lectern/<name>` from another.
pub(super) const CHAT: &str = "lectern";

/// Whatever the documents are embedded with.
pub(super) const EMBEDDING: &str = "lectern-embedding";

#[derive(Serialize, ToSchema)]
pub(crate) struct Model {
    id: String,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
}

impl Model {
    fn new(id: String, created: DateTime<Utc>) -> Self {
        Self {
            id,
            object: "model",
            created: created.timestamp(),
            owned_by: "lectern",
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ModelList)]
pub(crate) struct List {
    object: &'static str,
    data: Vec<Model>,
}

#[utoipa::path(
    get, path = "/v1/models", tag = "OpenAI", operation_id = "listModels",
    summary = "List models",
    description = "",
    responses(
        (status = 200, description = "A model for each collection, and one that embeds", body = List),
    ),
)]
pub(crate) async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<List>> {
    Ok(Json(List {
        object: "list",
        data: all(&state, &caller.reach).await?,
    }))
}

#[utoipa::path(
    get, path = "/v1/models/{id}", tag = "OpenAI", operation_id = "getModel",
    summary = "Show a model",
    description = "",
    params(("id" = String, Path, description = "Its name, in which a `/` may stand as it is, or as `%2F`")),
    responses(
        (status = 200, description = "The model", body = Model),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Model>> {
    let known = all(&state, &caller.reach).await?;
    let model = known.into_iter().find(|model| model.id == id);
    model.map(Json).ok_or(ApiError::NoSuchModel)
}

async fn all(state: &AppState, reach: &Reach) -> Result<Vec<Model>> {
    let mut known = Vec::new();
    for collection in collections::list(&state.pool, reach).await? {
        if collection.name == "default" {
            known.push(Model::new(CHAT.to_owned(), collection.created_at));
        }
        let id = format!("{CHAT}/{}", collection.name);
        known.push(Model::new(id, collection.created_at));
    }
    if models::current(&state.pool).await?.is_some() {
        known.push(Model::new(EMBEDDING.to_owned(), DateTime::UNIX_EPOCH));
    }
    Ok(known)
}

/// The collection that a model answers from; `None` is the default one.
pub(super) fn collection(model: &str) -> Result<Option<String>> {
    if model == CHAT {
        return Ok(None);
    }
    let name = model
        .strip_prefix(CHAT)
        .and_then(|rest| rest.strip_prefix('/'));
    name.map(|name| Some(name.to_owned()))
        .ok_or(ApiError::NoSuchModel)
}
