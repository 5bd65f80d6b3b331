//! Documents: list, look at, read, delete, cancel, try again.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use chrono::{DateTime, Utc};
use lectern_shared::{
    events::{AttachError, Publisher},
    failure::FailureReport,
    ids::DocumentId,
    store::{
        documents::{self, Deleted, Document},
        jobs::Cancel,
    },
};
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::{
    auth::Caller,
    collections,
    error::{ApiError, Result},
    extract::{Path, Query},
    observe::RequestId,
    state::AppState,
};

/// A document as clients see it.
#[derive(Serialize)]
pub(crate) struct DocumentView {
    id: DocumentId,
    collection: String,
    name: String,
    title: Option<String>,
    media_type: String,
    bytes: i64,
    sha256: String,
    /// `queued`, `processing`, `ready`, `failed` or `cancelled`.
    state: String,
    version: i32,
    pages: Option<i32>,
    chunks: Option<i32>,
    notes: Vec<String>,
    failure: Option<FailureReport>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Document> for DocumentView {
    fn from(document: Document) -> Self {
        Self {
            id: document.id,
            collection: document.collection,
            name: document.name,
            title: document.title,
            media_type: document.media_type,
            bytes: document.bytes,
            sha256: document
                .sha256
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            state: document.state,
            version: document.version,
            pages: document.pages,
            chunks: document.chunks,
            notes: document.notes,
            failure: document.failure.as_deref().map(FailureReport::from_code),
            created_at: document.created_at,
            updated_at: document.updated_at,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    collection: Option<String>,
    /// The `next` of the page before.
    before: Option<DocumentId>,
    limit: Option<u32>,
}

#[derive(Serialize)]
pub(crate) struct List {
    documents: Vec<DocumentView>,
    /// Pass as `before` to get the next page; absent on the last.
    next: Option<DocumentId>,
}

const LIST_MAX: u32 = 200;

pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<List>> {
    let limit = query.limit.unwrap_or(50);
    if limit == 0 || limit > LIST_MAX {
        return Err(ApiError::Invalid(format!(
            "The parameter `limit` goes from 1 to {LIST_MAX}."
        )));
    }
    let collection = match &query.collection {
        Some(name) => Some(collections::resolve(&state, caller.tenant, Some(name)).await?),
        None => None,
    };
    // One more than wanted tells whether there is a next page.
    let mut found = documents::list(
        &state.pool,
        caller.tenant,
        collection,
        query.before,
        limit + 1,
    )
    .await?;
    let has_next = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found
        .last()
        .map(|document| document.id)
        .filter(|_| has_next);
    Ok(Json(List {
        documents: found.into_iter().map(Into::into).collect(),
        next,
    }))
}

pub(crate) async fn find(state: &AppState, caller: Caller, id: DocumentId) -> Result<Document> {
    documents::find(&state.pool, caller.tenant, id)
        .await?
        .ok_or(ApiError::NotFound("document"))
}

pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<DocumentId>,
) -> Result<Json<DocumentView>> {
    Ok(Json(find(&state, caller, id).await?.into()))
}

/// Deletes a document with all that was made from it. Its file goes with the job that is enqueued here.
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    Path(id): Path<DocumentId>,
) -> Result<StatusCode> {
    let Deleted { purge, running } = documents::delete(
        &state.pool,
        caller.tenant,
        id,
        Some(&request),
        &state.limits,
    )
    .await?
    .ok_or(ApiError::NotFound("document"))?;
    state.wake(purge).await;
    for job in running {
        // Without the hint it is noticed at the next renewal of the lease.
        let _ = state.dispatcher.hint_cancel(job).await;
    }
    info!(document.id = %id, "document deleted");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
pub(crate) struct Cancelling {
    /// `cancelled`, or `cancelling` while a worker puts its work down.
    state: &'static str,
}

pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<DocumentId>,
) -> Result<Json<Cancelling>> {
    find(&state, caller, id).await?;
    match state.cancel(caller.tenant, id.0).await? {
        Cancel::Done { .. } => Ok(Json(Cancelling { state: "cancelled" })),
        Cancel::Requested(_) => Ok(Json(Cancelling {
            state: "cancelling",
        })),
        Cancel::Nothing => Err(ApiError::Conflict("not being worked on")),
    }
}

const NOT_TO_BE_RETRIED: ApiError = ApiError::Conflict("neither failed nor cancelled");

pub(crate) async fn retry(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    Path(id): Path<DocumentId>,
) -> Result<(StatusCode, Json<DocumentView>)> {
    let document = find(&state, caller, id).await?;
    if !matches!(document.state.as_str(), "failed" | "cancelled") {
        return Err(NOT_TO_BE_RETRIED);
    }
    Publisher::forget(state.redis.clone(), &state.store_settings, id.0)
        .await
        .map_err(AttachError::from)?;
    let job = documents::retry(
        &state.pool,
        caller.tenant,
        id,
        Some(&request),
        &state.limits,
    )
    .await?
    .ok_or(NOT_TO_BE_RETRIED)?;
    state.wake(job).await;
    Ok((
        StatusCode::ACCEPTED,
        Json(find(&state, caller, id).await?.into()),
    ))
}

/// The uploaded file, to be opened in the browser at a page (`…/file#page=3`).
pub(crate) async fn file(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<DocumentId>,
) -> Result<(HeaderMap, Body)> {
    let document = find(&state, caller, id).await?;
    let blob = state.blobs.stream(&document.blob_key).await?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_LENGTH, document.bytes.into());
    let media_type = HeaderValue::from_str(&document.media_type);
    headers.insert(
        header::CONTENT_TYPE,
        media_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
    );
    if let Ok(disposition) = HeaderValue::from_str(&content_disposition(&document.name)) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    // Whatever is in the file, it runs as nobody.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
    Ok((headers, Body::from_stream(blob)))
}

/// A file name for a header: RFC 6266 with the UTF-8 form of RFC 8187, every other character percent-encoded.
fn content_disposition(name: &str) -> String {
    use std::fmt::Write;
    let mut value = "inline; filename*=UTF-8''".to_owned();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            value.push(char::from(byte));
        } else {
            let _ = write!(value, "%{byte:02X}");
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::content_disposition;

    #[test]
    fn a_hostile_name_can_not_add_a_header() {
        assert_eq!(
            content_disposition("a\r\nSet-Cookie: b"),
            "inline; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20b"
        );
    }
}
