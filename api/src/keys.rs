//! API keys: make, list and revoke them, and what one's own may do.

use axum::{Json, extract::State, http::StatusCode};
use lectern_shared::{
    ids::{ApiKeyId, TenantId},
    keys::Scope,
    store::{
        keys::{self, ApiKey},
        tenants,
    },
};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::Caller,
    error::{ApiError, Result},
    extract::{self, Path, Query},
    new_key::{self, Wanted},
    state::AppState,
    tenants::NO_TENANT,
};

/// A key that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = MadeKey)]
pub(crate) struct Made {
    #[serde(flatten)]
    shown: ApiKey,
    /// Shown once.
    key: String,
}

/// `POST /api/v1/keys`
#[utoipa::path(
    post, path = "/api/v1/keys", tag = "Keys and tenants", operation_id = "createKey",
    summary = "Make a key",
    description = "",
    request_body(content = Wanted),
    responses(
        (status = 201, description = "The key, which is shown only now", body = Made),
    ),
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    extract::Json(wanted): extract::Json<Wanted>,
) -> Result<(StatusCode, Json<Made>)> {
    let tenant = of(&state, &caller, wanted.tenant).await?;
    if wanted.scopes.contains(&Scope::Operator) {
        caller.must(Scope::Operator)?;
    }
    let (shown, key) = new_key::make(&state.pool, tenant, &wanted, state.settings.keys_max).await?;
    info!(made.id = %shown.id, made.prefix = shown.prefix, "key made");
    let key = key.reveal().to_owned();
    Ok((StatusCode::CREATED, Json(Made { shown, key })))
}

/// The tenant that is meant: the caller's own, unless an operator names another.
async fn of(state: &AppState, caller: &Caller, tenant: Option<TenantId>) -> Result<TenantId> {
    let Some(tenant) = tenant.filter(|tenant| *tenant != caller.tenant) else {
        return Ok(caller.tenant);
    };
    caller.must(Scope::Operator)?;
    let found = tenants::find(&state.pool, tenant).await?;
    found.map(|found| found.id).ok_or(NO_TENANT)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfTenant {
    /// The caller's own, if none is named; another one's takes an operator.
    tenant: Option<TenantId>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = KeyList)]
pub(crate) struct List {
    keys: Vec<ApiKey>,
}

/// `GET /api/v1/keys`
#[utoipa::path(
    get, path = "/api/v1/keys", tag = "Keys and tenants", operation_id = "listKeys",
    summary = "List keys",
    description = "",
    params(OfTenant),
    responses(
        (status = 200, description = "All of the tenant, without what is secret of them", body = List),
    ),
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<OfTenant>,
) -> Result<Json<List>> {
    let tenant = of(&state, &caller, query.tenant).await?;
    let keys = keys::list(&state.pool, tenant).await?;
    Ok(Json(List { keys }))
}

/// `DELETE /api/v1/keys/{id}`: from now on it opens nothing.
#[utoipa::path(
    delete, path = "/api/v1/keys/{id}", tag = "Keys and tenants", operation_id = "revokeKey",
    summary = "Revoke a key",
    description = "",
    params(("id" = ApiKeyId, Path, description = "The key"), OfTenant),
    responses(
        (status = 204, description = "From now on it opens nothing"),
    ),
)]
pub(crate) async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<ApiKeyId>,
    Query(query): Query<OfTenant>,
) -> Result<StatusCode> {
    let tenant = of(&state, &caller, query.tenant).await?;
    if !keys::revoke(&state.pool, tenant, id).await? {
        return Err(ApiError::NotFound("key that could still be used"));
    }
    info!(revoked.id = %id, "key revoked");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    tenant: MyTenant,
    key: ApiKey,
}

#[derive(Serialize, ToSchema)]
struct MyTenant {
    id: TenantId,
    name: String,
}

/// `GET /api/v1/me`
#[utoipa::path(
    get, path = "/api/v1/me", tag = "Keys and tenants", operation_id = "me",
    summary = "Show what this key may do",
    description = "",
    responses(
        (status = 200, description = "The key and its tenant", body = Me),
    ),
)]
pub(crate) async fn me(State(state): State<AppState>, caller: Caller) -> Result<Json<Me>> {
    let found = keys::show_with_tenant(&state.pool, caller.tenant, caller.key).await?;
    let (key, name) = found.ok_or(ApiError::Unauthorized)?;
    let id = caller.tenant;
    Ok(Json(Me {
        tenant: MyTenant { id, name },
        key,
    }))
}
