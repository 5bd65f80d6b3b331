//! What a tenant has used of its quotas.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use lectern_shared::store::quotas::{self, Quota, Used};
use serde::Serialize;

use crate::{auth::Caller, error::Result, state::AppState};

#[derive(Serialize)]
pub(crate) struct Usage {
    quotas: Vec<UsedView>,
}

#[derive(Serialize)]
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
pub(crate) async fn show(State(state): State<AppState>, caller: Caller) -> Result<Json<Usage>> {
    let used = quotas::usage(&state.pool, caller.tenant, &ALL, &state.limits.quotas).await?;
    Ok(Json(Usage {
        quotas: used.into_iter().map(UsedView::from).collect(),
    }))
}
