//! What a tenant has used of its quotas.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use lectern_shared::store::quotas::{self, Quota, Used};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::Caller, error::Result, state::AppState};

#[derive(Serialize, ToSchema)]
pub(crate) struct Usage {
    quotas: Vec<UsedView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = QuotaUse)]
pub(crate) struct UsedView {
    /// `documents`, `bytes`, `questions` or `tokens`.
    quota: String,
    /// `day` or `month`, of UTC.
    period: String,
    used: i64,
    /// `null`: as much as you like.
    limit: Option<i64>,
    remaining: Option<i64>,
    resets_at: DateTime<Utc>,
}

impl From<Used> for UsedView {
    fn from(used: Used) -> Self {
        Self {
            quota: used.quota,
            period: used.period,
            used: used.used,
            limit: used.allowed,
            remaining: used.allowed.map(|allowed| (allowed - used.used).max(0)),
            resets_at: used.resets_at,
        }
    }
}

const ALL: [Quota; 4] = [
    Quota::Documents,
    Quota::Bytes,
    Quota::Questions,
    Quota::Tokens,
];

/// `GET /api/v1/usage`
#[utoipa::path(
    get, path = "/api/v1/usage", tag = "Keys and tenants", operation_id = "getUsage",
    summary = "Show what is used of the quotas",
    description = "",
    responses(
        (status = 200, description = "Each quota of the tenant", body = Usage),
    ),
)]
pub(crate) async fn show(State(state): State<AppState>, caller: Caller) -> Result<Json<Usage>> {
    let used = quotas::usage(&state.pool, caller.tenant, &ALL, &state.limits.quotas).await?;
    Ok(Json(Usage {
        quotas: used.into_iter().map(UsedView::from).collect(),
    }))
}
