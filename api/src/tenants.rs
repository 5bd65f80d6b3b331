//! Tenants, for operators: make, list, rename, suspend and resume them.

use axum::{Json, extract::State, http::StatusCode};
use lectern_shared::{
    ids::TenantId,
    store::tenants::{self, Changed, Tenant},
};
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::{
    auth::Caller,
    error::{ApiError, Result},
    extract::{self, Path, Query},
    jobs, new_key,
    state::AppState,
};

pub(crate) const NO_TENANT: ApiError = ApiError::NotFound("tenant");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    name: String,
}

fn taken() -> ApiError {
    ApiError::Invalid("There is a tenant of that name already. Choose another name.".into())
}

/// `POST /api/v1/tenants`: a tenant with a collection named `default`, and no key yet.
pub(crate) async fn create(
    State(state): State<AppState>,
    extract::Json(wanted): extract::Json<Create>,
) -> Result<(StatusCode, Json<Tenant>)> {
    let made = tenants::create(&state.pool, new_key::name(&wanted.name)?).await?;
    let tenant = made.ok_or_else(taken)?;
    info!(made.id = %tenant.id, "tenant made");
    Ok((StatusCode::CREATED, Json(tenant)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// The `next` of the page before.
    cursor: Option<TenantId>,
    limit: Option<u32>,
}

#[derive(Serialize)]
pub(crate) struct List {
    tenants: Vec<Tenant>,
    /// Pass as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<TenantId>,
}

/// `GET /api/v1/tenants`, oldest first.
pub(crate) async fn list(
    State(state): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List>> {
    let limit = jobs::limit(query.limit)?;
    let mut found = tenants::list(&state.pool, query.cursor, limit + 1).await?;
    let has_next = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().map(|tenant| tenant.id).filter(|_| has_next);
    Ok(Json(List {
        tenants: found,
        next,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    name: Option<String>,
    /// Whether its keys are refused. Its data stay, and what is under way is finished.
    suspended: Option<bool>,
}

/// `PATCH /api/v1/tenants/{id}`
pub(crate) async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<TenantId>,
    extract::Json(wanted): extract::Json<Change>,
) -> Result<Json<Tenant>> {
    if id == caller.tenant && wanted.suspended == Some(true) {
        return Err(ApiError::Invalid(
            "This is your key's own tenant: you could not resume it. Use the key of another tenant.".into(),
        ));
    }
    let name = wanted.name.as_deref().map(new_key::name).transpose()?;
    match tenants::change(&state.pool, id, name, wanted.suspended).await? {
        Changed::Done(tenant) => {
            info!(changed.id = %id, suspended = tenant.suspended_at.is_some(), "tenant changed");
            Ok(Json(tenant))
        }
        Changed::Missing => Err(NO_TENANT),
        Changed::Taken => Err(taken()),
    }
}
