//! Trying again what has failed: all documents at once, and dead letters one by one.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use lectern_shared::{
    events::{AttachError, Publisher},
    failure::{Failure, FailureReport},
    ids::JobId,
    store::retries::{self, DeadLetter, Revival},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    auth::Caller,
    collections,
    error::{ApiError, Result},
    extract::{self, Path, Query},
    observe::RequestId,
    state::AppState,
};

/// Documents that one call tries again, at the most: a short transaction, and a body that need not be large.
const RETRIED_MAX: u32 = 1000;

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = FailedDocuments)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryWhich {
    /// Of this collection alone.
    #[schema(pattern = r"^[\p{L}\p{N}._-]{1,64}$")]
    collection: Option<String>,
    /// Those that failed with this code alone.
    #[schema(value_type = Option<Failure>)]
    failure: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Retried {
    retried: u64,
    /// Whether there may be more: ask again.
    more: bool,
}

/// Tries all failed and cancelled documents again.
#[utoipa::path(
    post, path = "/api/v1/documents/retry", tag = "Documents", operation_id = "retryFailedDocuments",
    summary = "Try all failed documents again",
    description = "Up to 1,000 a call. The body may be left out.",
    request_body(content = RetryWhich),
    responses(
        (status = 202, description = "Some are tried again", body = Retried),
        (status = 200, description = "There are none", body = Retried),
    ),
)]
pub(crate) async fn retry_documents(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    which: Option<extract::Json<RetryWhich>>,
) -> Result<(StatusCode, Json<Retried>)> {
    let which = which.map(|extract::Json(which)| which).unwrap_or_default();
    if let Some(code) = &which.failure
        && code.parse::<Failure>().is_err()
    {
        return Err(ApiError::Invalid(format!(
            "There is no failure `{code}`. Take the `code` of a failed document."
        )));
    }
    let collection = match &which.collection {
        Some(name) => Some(collections::resolve(&state, &caller.reach, Some(name)).await?),
        None => None,
    };
    // One more than wanted tells whether there are more.
    let mut found = retries::failed_documents(
        &state.pool,
        &caller.reach,
        collection,
        which.failure.as_deref(),
        RETRIED_MAX + 1,
    )
    .await?;
    let mut more = found.len() > RETRIED_MAX as usize;
    found.truncate(RETRIED_MAX as usize);
    if found.is_empty() {
        return Ok((StatusCode::OK, Json(Retried { retried: 0, more })));
    }
    let subjects: Vec<Uuid> = found.iter().map(|document| document.0).collect();
    forget_events(&state, &subjects).await?;
    let retried = retries::retry_documents(
        &state.pool,
        caller.tenant,
        &found,
        Some(&request),
        &state.limits,
    )
    .await?;
    // What the queue had no room for.
    more |= retried < found.len() as u64;
    Ok((StatusCode::ACCEPTED, Json(Retried { retried, more })))
}

/// Readers would take the old end for the new one.
async fn forget_events(state: &AppState, subjects: &[Uuid]) -> Result<()> {
    Publisher::forget_all(state.redis.clone(), &state.store_settings, subjects)
        .await
        .map_err(AttachError::from)?;
    Ok(())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// The `next` of the page before.
    before: Option<JobId>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterList)]
pub(crate) struct List {
    jobs: Vec<DeadLetterView>,
    /// Pass as `before` to get the next page; absent on the last.
    next: Option<JobId>,
}

/// A dead letter as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub(crate) struct DeadLetterView {
    id: JobId,
    /// `ingest`, `answer`, `search`, `webhook` …
    kind: String,
    /// The document, question or delivery that it is about.
    subject: Uuid,
    document: Option<Uuid>,
    document_name: Option<String>,
    attempts: i32,
    failure: FailureReport,
    created_at: DateTime<Utc>,
    died_at: Option<DateTime<Utc>>,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(job: DeadLetter) -> Self {
        Self {
            id: job.id,
            kind: job.kind,
            subject: job.subject,
            document: job.document,
            document_name: job.document_name,
            attempts: job.attempts,
            failure: job
                .failure
                .as_deref()
                .map_or_else(|| Failure::Internal.into(), FailureReport::from_code),
            created_at: job.created_at,
            died_at: job.died_at,
        }
    }
}

const LIST_MAX: u32 = 200;

/// How many a list shows.
pub(crate) fn limit(wanted: Option<u32>) -> Result<u32> {
    let limit = wanted.unwrap_or(50);
    if limit == 0 || limit > LIST_MAX {
        return Err(ApiError::Invalid(format!(
            "The parameter `limit` goes from 1 to {LIST_MAX}."
        )));
    }
    Ok(limit)
}

#[utoipa::path(
    get, path = "/api/v1/jobs/dead", tag = "Operations", operation_id = "listDeadLetters",
    summary = "List dead letters",
    description = "",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of jobs that were tried as often as allowed, newest first", body = List),
    ),
)]
pub(crate) async fn dead(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<List>> {
    let limit = limit(query.limit)?;
    let mut found =
        retries::dead_letters(&state.pool, caller.tenant, query.before, limit + 1).await?;
    let has_next = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().map(|job| job.id).filter(|_| has_next);
    Ok(Json(List {
        jobs: found.into_iter().map(Into::into).collect(),
        next,
    }))
}

const NO_DEAD_LETTER: ApiError = ApiError::NotFound("dead letter");

#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/retry", tag = "Operations", operation_id = "retryDeadLetter",
    summary = "Try a dead letter again",
    description = "",
    params(("id" = JobId, Path, description = "The job, as the list of dead letters has it")),
    responses(
        (status = 202, description = "It is tried again"),
    ),
)]
pub(crate) async fn retry(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    Path(id): Path<JobId>,
) -> Result<StatusCode> {
    let subject = retries::subject_of_dead(&state.pool, caller.tenant, id)
        .await?
        .ok_or(NO_DEAD_LETTER)?;
    forget_events(&state, &[subject]).await?;
    match retries::revive(&state.pool, caller.tenant, id, Some(&request)).await? {
        Revival::Queued => Ok(StatusCode::ACCEPTED),
        Revival::NotDead => Err(NO_DEAD_LETTER),
        Revival::Pointless => Err(ApiError::NothingToRetry),
    }
}

#[utoipa::path(
    delete, path = "/api/v1/jobs/{id}", tag = "Operations", operation_id = "dismissDeadLetter",
    summary = "Take a dead letter off the list",
    description = "",
    params(("id" = JobId, Path, description = "The job, as the list of dead letters has it")),
    responses(
        (status = 204, description = "It is off the list"),
    ),
)]
pub(crate) async fn dismiss(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<JobId>,
) -> Result<StatusCode> {
    if retries::dismiss(&state.pool, caller.tenant, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(NO_DEAD_LETTER)
    }
}
