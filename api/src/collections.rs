//! Collections: sets of documents that are searched together, and how theirs are read.

use axum::{Json, extract::State, http::StatusCode};
use lectern_shared::{
    ids::CollectionId,
    store::{
        collections::{self, Changed, Collection, CollectionSettings, InvalidSettings},
        reach::Reach,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    auth::Caller,
    error::{ApiError, Result},
    extract::{self, CollectionName},
    state::AppState,
};

/// The collection that is meant when none is named.
const DEFAULT: &str = "default";

const MISSING: ApiError = ApiError::NotFound("collection (make it with POST /api/v1/collections)");

/// The collection of that name within the caller's reach. Without a name it is `default`, or the only one that the key
/// reaches.
pub(crate) async fn resolve(
    state: &AppState,
    reach: &Reach,
    name: Option<&str>,
) -> Result<CollectionId> {
    if let (None, Some([only])) = (name, reach.collections.as_deref()) {
        return Ok(CollectionId(*only));
    }
    let name = CollectionName::new(name.unwrap_or(DEFAULT))?;
    collections::by_name(&state.pool, reach, name.as_str())
        .await?
        .ok_or(MISSING)
}

#[derive(Serialize, ToSchema)]
#[schema(as = CollectionList)]
pub(crate) struct List {
    collections: Vec<Collection>,
}

#[utoipa::path(
    get, path = "/api/v1/collections", tag = "Collections", operation_id = "listCollections",
    summary = "List collections",
    description = "",
    responses(
        (status = 200, description = "All that the key reaches", body = List),
    ),
)]
pub(crate) async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<List>> {
    Ok(Json(List {
        collections: collections::list(&state.pool, &caller.reach).await?,
    }))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewCollection)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    #[schema(pattern = r"^[\p{L}\p{N}._-]{1,64}$")]
    name: String,
    /// See [`CollectionSettings`].
    #[schema(value_type = Option<CollectionSettings>)]
    settings: Option<Value>,
}

#[utoipa::path(
    post, path = "/api/v1/collections", tag = "Collections", operation_id = "createCollection",
    summary = "Make a collection",
    description = "",
    request_body(content = Create),
    responses(
        (status = 201, description = "The collection", body = Collection),
    ),
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    extract::Json(wanted): extract::Json<Create>,
) -> Result<(StatusCode, Json<Collection>)> {
    let name = CollectionName::new(&wanted.name)?;
    let mut settings = CollectionSettings::default();
    if let Some(wanted) = &wanted.settings {
        settings = settings.changed(wanted).map_err(refusal)?;
    }
    let collection = collections::create(&state.pool, caller.tenant, name.as_str(), &settings)
        .await?
        .ok_or(ApiError::Taken(
            "There is a collection of that name already. Use it, or choose another name.".into(),
        ))?;
    Ok((StatusCode::CREATED, Json(collection)))
}

#[utoipa::path(
    get, path = "/api/v1/collections/{name}", tag = "Collections", operation_id = "getCollection",
    summary = "Show a collection",
    description = "",
    params(("name" = String, Path, description = "The name of the collection", pattern = r"^[\p{L}\p{N}._-]{1,64}$")),
    responses(
        (status = 200, description = "The collection", body = Collection),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    extract::Path(name): extract::Path<String>,
) -> Result<Json<Collection>> {
    collections::find(&state.pool, &caller.reach, &name)
        .await?
        .map(Json)
        .ok_or(MISSING)
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CollectionChange)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    #[schema(value_type = CollectionSettings)]
    settings: Value,
}

#[utoipa::path(
    patch, path = "/api/v1/collections/{name}", tag = "Collections", operation_id = "changeCollection",
    summary = "Change how documents of a collection are read",
    description = "A JSON merge patch of the settings: `null` goes back to what the workers are set to.",
    params(("name" = String, Path, description = "The name of the collection", pattern = r"^[\p{L}\p{N}._-]{1,64}$")),
    request_body(content = Change),
    responses(
        (status = 200, description = "The collection as it is now", body = Collection),
    ),
)]
pub(crate) async fn change(
    State(state): State<AppState>,
    caller: Caller,
    extract::Path(name): extract::Path<String>,
    extract::Json(wanted): extract::Json<Change>,
) -> Result<Json<Collection>> {
    let changed =
        collections::change_settings(&state.pool, caller.tenant, &name, &wanted.settings).await?;
    match changed {
        Changed::Done(collection) => Ok(Json(collection)),
        Changed::Missing => Err(MISSING),
        Changed::Refused(invalid) => Err(refusal(invalid)),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refusal(invalid: InvalidSettings) -> ApiError {
    ApiError::Invalid(format!("Not possible: {invalid}."))
}
