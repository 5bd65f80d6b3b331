//! Collections: sets of documents that are searched together.

use axum::{Json, extract::State, http::StatusCode};
use lectern_shared::{
    ids::{CollectionId, TenantId},
    store::collections::{self, Collection},
};
use serde::{Deserialize, Serialize};

use crate::{
    auth::Caller,
    error::{ApiError, Result},
    extract::{self, CollectionName},
    state::AppState,
};

/// The collection that is meant when none is named.
const DEFAULT: &str = "default";

/// The caller's collection of that name.
pub(crate) async fn resolve(
    state: &AppState,
    tenant: TenantId,
    name: Option<&str>,
) -> Result<CollectionId> {
    let name = CollectionName::new(name.unwrap_or(DEFAULT))?;
    collections::by_name(&state.pool, tenant, name.as_str())
        .await?
        .ok_or(ApiError::NotFound(
            "collection (make it with POST /api/v1/collections)",
        ))
}

#[derive(Serialize)]
pub(crate) struct List {
    collections: Vec<Collection>,
}

pub(crate) async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<List>> {
    Ok(Json(List {
        collections: collections::list(&state.pool, caller.tenant).await?,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    name: String,
}

#[derive(Serialize)]
pub(crate) struct Created {
    id: CollectionId,
    name: String,
}

pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    extract::Json(wanted): extract::Json<Create>,
) -> Result<(StatusCode, Json<Created>)> {
    let name = CollectionName::new(&wanted.name)?;
    let id = collections::create(&state.pool, caller.tenant, name.as_str())
        .await?
        .ok_or(ApiError::Invalid(
            "There is a collection of that name already. Use it, or choose another name.".into(),
        ))?;
    Ok((
        StatusCode::CREATED,
        Json(Created {
            id,
            name: wanted.name,
        }),
    ))
}
