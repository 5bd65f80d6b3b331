//! Tenants, for operators: make, list, rename, suspend and resume them, and say what they may use.

use axum::{Json, extract::State, http::StatusCode};
use lectern_shared::{
    ids::TenantId,
    store::{
        quotas::{self, OwnQuota, Period, Quota},
        tenants::{self, Changed, Tenant},
    },
};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::Caller,
    error::{ApiError, Result},
    extract::{self, Path, Query},
    jobs, new_key,
    state::AppState,
};

pub(crate) const NO_TENANT: ApiError = ApiError::NotFound("tenant");

/// Four, each of a day and of a month.
const QUOTAS_MAX: usize = 8;

#[derive(Deserialize, ToSchema)]
#[schema(as = NewTenant)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    #[schema(
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: String,
}

fn taken() -> ApiError {
    ApiError::Taken("There is a tenant of that name already. Choose another name.".into())
}

/// `POST /api/v1/tenants`: a tenant with a collection named `default`, and no key yet.
#[utoipa::path(
    post, path = "/api/v1/tenants", tag = "Keys and tenants", operation_id = "createTenant",
    summary = "Make a tenant",
    description = "",
    request_body(content = Create),
    responses(
        (status = 201, description = "The tenant, with a collection named `default` and no key yet", body = Tenant),
    ),
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    extract::Json(wanted): extract::Json<Create>,
) -> Result<(StatusCode, Json<Tenant>)> {
    let made = tenants::create(&state.pool, new_key::name(&wanted.name)?).await?;
    let tenant = made.ok_or_else(taken)?;
    info!(made.id = %tenant.id, "tenant made");
    Ok((StatusCode::CREATED, Json(tenant)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// The `next` of the page before.
    cursor: Option<TenantId>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TenantList)]
pub(crate) struct List {
    tenants: Vec<Tenant>,
    /// Pass as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<TenantId>,
}

/// `GET /api/v1/tenants`, oldest first.
#[utoipa::path(
    get, path = "/api/v1/tenants", tag = "Keys and tenants", operation_id = "listTenants",
    summary = "List tenants",
    description = "",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of tenants, oldest first", body = List),
    ),
)]
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

#[derive(Deserialize, ToSchema)]
#[schema(as = TenantChange)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    #[schema(
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: Option<String>,
    /// Whether its keys are refused. Its data stay, and what is under way is finished.
    suspended: Option<bool>,
}

/// `PATCH /api/v1/tenants/{id}`
#[utoipa::path(
    patch, path = "/api/v1/tenants/{id}", tag = "Keys and tenants", operation_id = "changeTenant",
    summary = "Rename, suspend or resume a tenant",
    description = "",
    params(("id" = TenantId, Path, description = "The tenant")),
    request_body(content = Change),
    responses(
        (status = 200, description = "The tenant as it is now", body = Tenant),
    ),
)]
pub(crate) async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<TenantId>,
    extract::Json(wanted): extract::Json<Change>,
) -> Result<Json<Tenant>> {
    if id == caller.tenant && wanted.suspended == Some(true) {
        return Err(ApiError::Taken(
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

/// The quotas that are a tenant's own, in place of the settings'.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantQuotas)]
pub(crate) struct Quotas {
    quotas: Vec<OwnQuota>,
}

/// `GET /api/v1/tenants/{id}/quotas`
#[utoipa::path(
    get, path = "/api/v1/tenants/{id}/quotas", tag = "Keys and tenants", operation_id = "getTenantQuotas",
    summary = "Show the quotas that are a tenant's own",
    description = "",
    params(("id" = TenantId, Path, description = "The tenant")),
    responses(
        (status = 200, description = "Its own quotas; of others it has what the settings say", body = Quotas),
    ),
)]
pub(crate) async fn show_quotas(
    State(state): State<AppState>,
    Path(id): Path<TenantId>,
) -> Result<Json<Quotas>> {
    tenants::find(&state.pool, id).await?.ok_or(NO_TENANT)?;
    own_quotas(&state, id).await
}

async fn own_quotas(state: &AppState, id: TenantId) -> Result<Json<Quotas>> {
    let quotas = quotas::own(&state.pool, id).await?;
    Ok(Json(Quotas { quotas }))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewTenantQuotas)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaceQuotas {
    /// Those that are left out are what the settings say; of two for the same the last counts.
    #[schema(max_items = 8)]
    quotas: Vec<NewQuota>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewTenantQuota)]
#[serde(deny_unknown_fields)]
struct NewQuota {
    #[schema(inline)]
    quota: Quota,
    #[schema(inline)]
    period: Period,
    /// `null`: as much as it likes.
    #[schema(minimum = 0, required)]
    #[serde(deserialize_with = "Option::deserialize")]
    allowed: Option<i64>,
}

/// `PUT /api/v1/tenants/{id}/quotas`
#[utoipa::path(
    put, path = "/api/v1/tenants/{id}/quotas", tag = "Keys and tenants", operation_id = "replaceTenantQuotas",
    summary = "Say what a tenant may use, in place of the settings",
    description = "",
    params(("id" = TenantId, Path, description = "The tenant")),
    request_body(content = ReplaceQuotas),
    responses(
        (status = 200, description = "Its own quotas", body = Quotas),
    ),
)]
pub(crate) async fn replace_quotas(
    State(state): State<AppState>,
    Path(id): Path<TenantId>,
    extract::Json(wanted): extract::Json<ReplaceQuotas>,
) -> Result<Json<Quotas>> {
    if wanted.quotas.len() > QUOTAS_MAX {
        return Err(ApiError::Invalid(format!(
            "There are {QUOTAS_MAX} quotas: name each once."
        )));
    }
    if wanted
        .quotas
        .iter()
        .any(|own| own.allowed.is_some_and(i64::is_negative))
    {
        return Err(ApiError::Invalid(
            "`allowed` is 0 or more; null is any number.".into(),
        ));
    }
    let own: Vec<_> = wanted
        .quotas
        .iter()
        .map(|own| (own.quota, own.period, own.allowed))
        .collect();
    if !quotas::replace(&state.pool, id, &own).await? {
        return Err(NO_TENANT);
    }
    info!(changed.id = %id, quotas = own.len(), "quotas of a tenant changed");
    own_quotas(&state, id).await
}
