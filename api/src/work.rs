//! How far the work on a document is, as clients see it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use lectern_shared::{
    ids::{DocumentId, TenantId},
    store::{
        self,
        work::{self, Work},
    },
};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

/// What is under way for a document.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Work)]
pub(crate) struct WorkView {
    /// `queued`, `retrying`, `starting`, `parsing`, `chunking`, `embedding`.
    stage: String,
    /// Pages while parsing, passages while embedding.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<i32>,
    /// Pages or passages per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f32>,
    /// Of the document while it waits; of the stage while it runs. Embedding is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_end: Option<DateTime<Utc>>,
    attempt: i32,
    attempts_max: i32,
    /// Documents that come before it, its own tenant's and others'.
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<DateTime<Utc>>,
}

impl From<Work> for WorkView {
    fn from(work: Work) -> Self {
        Self {
            stage: work.stage,
            done: work.done,
            total: work.total,
            rate: work.rate,
            estimated_end: work.estimated_end,
            attempt: work.attempt,
            attempts_max: work.attempts_max,
            ahead: work.ahead,
            retry_at: work.retry_at,
        }
    }
}

/// What is under way for these documents, in one query.
pub(crate) async fn of(
    pool: &PgPool,
    tenant: TenantId,
    documents: &[DocumentId],
) -> store::Result<HashMap<DocumentId, WorkView>> {
    if documents.is_empty() {
        return Ok(HashMap::new());
    }
    let found = work::of(pool, tenant, documents).await?;
    Ok(found
        .into_iter()
        .map(|work| (work.document, work.into()))
        .collect())
}
