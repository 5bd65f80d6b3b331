//! Documents: look at, change, read, delete, cancel, try again, read anew.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use chrono::{DateTime, Utc};
use lectern_shared::{
    events::{AttachError, Publisher},
    failure::FailureReport,
    ids::DocumentId,
    names,
    store::{
        documents::{self, Changes, Document},
        jobs::Cancel,
        versions,
    },
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tracing::info;
use utoipa::ToSchema;

use crate::{
    auth::Caller,
    error::{ApiError, Result},
    etag,
    extract::{self, Path},
    fields,
    observe::RequestId,
    state::AppState,
    work::{self, WorkView},
};

/// A document as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Document)]
pub(crate) struct DocumentView {
    id: DocumentId,
    collection: String,
    name: String,
    title: Option<String>,
    source_url: Option<String>,
    #[schema(value_type = Object)]
    metadata: Value,
    media_type: String,
    bytes: i64,
    sha256: String,
    /// Of the newest version: `queued`, `processing`, `ready`, `failed` or `cancelled`.
    state: String,
    /// The version that searches see; 0 while there is none.
    version: i32,
    /// The newest, which the file's type, size and hash are of.
    wanted: i32,
    pages: Option<i32>,
    chunks: Option<i32>,
    notes: Vec<String>,
    /// ISO 639-1
    language: Option<String>,
    failure: Option<FailureReport>,
    /// Absent while nothing is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<WorkView>,
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
            source_url: document.source_url,
            metadata: document.metadata,
            media_type: document.media_type,
            bytes: document.bytes,
            sha256: document
                .sha256
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            state: document.state,
            version: document.version,
            wanted: document.wanted,
            pages: document.pages,
            chunks: document.chunks,
            notes: document.notes,
            language: document.language,
            failure: document.failure.as_deref().map(FailureReport::from_code),
            work: None,
            created_at: document.created_at,
            updated_at: document.updated_at,
        }
    }
}

/// Documents with what is under way for them.
pub(crate) async fn views(
    state: &AppState,
    caller: &Caller,
    documents: Vec<Document>,
) -> Result<Vec<DocumentView>> {
    let ids: Vec<DocumentId> = documents.iter().map(|document| document.id).collect();
    let mut work = work::of(&state.pool, caller.tenant, &ids).await?;
    Ok(documents
        .into_iter()
        .map(|document| DocumentView {
            work: work.remove(&document.id),
            ..document.into()
        })
        .collect())
}

pub(crate) async fn find(state: &AppState, caller: &Caller, id: DocumentId) -> Result<Document> {
    documents::find(&state.pool, &caller.reach, id)
        .await?
        .ok_or(ApiError::NotFound("document"))
}

#[utoipa::path(
    get, path = "/api/v1/documents/{id}", tag = "Documents", operation_id = "getDocument",
    summary = "Show a document",
    description = "",
    params(("id" = DocumentId, Path, description = "The document")),
    responses(
        (status = 200, description = "The document", body = DocumentView),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<DocumentId>,
) -> Result<Json<DocumentView>> {
    view(&state, &caller, id).await.map(Json)
}

async fn view(state: &AppState, caller: &Caller, id: DocumentId) -> Result<DocumentView> {
    let document = find(state, caller, id).await?;
    let mut views = views(state, caller, vec![document]).await?;
    views.pop().ok_or(ApiError::NotFound("document"))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = DocumentChange)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    #[schema(min_length = 1)]
    name: Option<String>,
    /// `null` takes it away; so it does of the next.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    title: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = "uri", pattern = r"^https?://[A-Za-z0-9]", max_length = 2048)]
    source_url: Option<Option<String>>,
    /// Replaces the whole object.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// Tells `null` from a field that isn't there.
fn present<'de, D: Deserializer<'de>>(
    value: D,
) -> std::result::Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// `PATCH /api/v1/documents/{id}`
#[utoipa::path(
    patch, path = "/api/v1/documents/{id}", tag = "Documents", operation_id = "changeDocument",
    summary = "Change what is said of a document",
    description = "Fields that are left out stay as they are; `null` takes a title or a source away.",
    params(("id" = DocumentId, Path, description = "The document"), ("If-Match" = Option<String>, Header, description = "The `ETag` under which it was read: it is changed only if it is still so")),
    request_body(content = Change),
    responses(
        (status = 200, description = "The document as it is now", body = DocumentView),
        (status = 412, description = "It has changed since it was read"),
    ),
)]
pub(crate) async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<DocumentId>,
    headers: HeaderMap,
    extract::Json(change): extract::Json<Change>,
) -> Result<Json<DocumentView>> {
    let name = change.name.map(|raw| {
        names::path_name(&raw).ok_or_else(|| ApiError::Invalid("The field `name` is empty.".into()))
    });
    let metadata = change.metadata.map(|value| {
        let bytes_max = state.settings.metadata_bytes_max;
        if value.to_string().len() > bytes_max {
            let text =
                format!("The field `metadata` is longer than {bytes_max} bytes. Shorten it.");
            return Err(ApiError::Invalid(text));
        }
        fields::metadata(value, "metadata")
    });
    let checked = |value: Option<Option<String>>, check: fn(&str) -> Result<String>| {
        let checked = value.map(|value| value.as_deref().map(check).transpose());
        checked.transpose()
    };
    let changes = Changes {
        name: name.transpose()?,
        title: checked(change.title, fields::title)?,
        source_url: checked(change.source_url, fields::source_url)?,
        metadata: metadata.transpose()?,
    };
    // Whoever has changed it since the client has read it must not be overwritten unseen.
    let mut unchanged_since = None;
    if let Some(tags) = etag::expected(&headers) {
        let view = view(&state, &caller, id).await?;
        if !etag::matches(&tags, &etag::of(&view)) {
            return Err(ApiError::ChangedMeanwhile);
        }
        unchanged_since = Some(view.updated_at);
    }
    if !documents::change(&state.pool, &caller.reach, id, &changes, unchanged_since).await? {
        find(&state, &caller, id).await?;
        return Err(ApiError::ChangedMeanwhile);
    }
    view(&state, &caller, id).await.map(Json)
}

/// Deletes a document with all that was made from it. Its files go with a job that is enqueued here.
#[utoipa::path(
    delete, path = "/api/v1/documents/{id}", tag = "Documents", operation_id = "deleteDocument",
    summary = "Delete a document",
    description = "With its file, its passages, and whatever answers have quoted from it as sources.",
    params(("id" = DocumentId, Path, description = "The document")),
    responses(
        (status = 204, description = "It is gone"),
    ),
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    Path(id): Path<DocumentId>,
) -> Result<StatusCode> {
    let running = documents::delete(&state.pool, &caller.reach, id, Some(&request))
        .await?
        .ok_or(ApiError::NotFound("document"))?;
    for job in running {
        // Without the hint it is noticed at the next renewal of the lease.
        let _ = state.dispatcher.hint_cancel(job).await;
    }
    info!(document.id = %id, "document deleted");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Cancelling {
    /// `cancelled`, or `cancelling` while a worker puts its work down.
    pub(crate) state: &'static str,
}

#[utoipa::path(
    post, path = "/api/v1/documents/{id}/cancel", tag = "Documents", operation_id = "cancelDocument",
    summary = "Stop reading a document",
    description = "",
    params(("id" = DocumentId, Path, description = "The document")),
    responses(
        (status = 200, description = "It is cancelled, or is about to be", body = Cancelling),
    ),
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<DocumentId>,
) -> Result<Json<Cancelling>> {
    find(&state, &caller, id).await?;
    match state.cancel(caller.tenant, id.0).await? {
        Cancel::Done { .. } => Ok(Json(Cancelling { state: "cancelled" })),
        Cancel::Requested(_) => Ok(Json(Cancelling {
            state: "cancelling",
        })),
        Cancel::Nothing => Err(ApiError::Conflict("not being worked on")),
    }
}

/// The body of a retry, which may be left out.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = DocumentRetry)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryRequest {
    /// For a PDF that needs one; without it the one from before is tried.
    #[schema(max_length = 256, pattern = r"^[^\x00]*$")]
    password: Option<String>,
}

const NOT_TO_BE_RETRIED: ApiError = ApiError::Conflict("neither failed nor cancelled");

#[utoipa::path(
    post, path = "/api/v1/documents/{id}/retry", tag = "Documents", operation_id = "retryDocument",
    summary = "Try a failed document again",
    description = "With a `password` it opens a protected PDF without another upload. The body may be left out.",
    params(("id" = DocumentId, Path, description = "The document")),
    request_body(content = RetryRequest),
    responses(
        (status = 202, description = "It is tried again", body = DocumentView),
    ),
)]
pub(crate) async fn retry(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    Path(id): Path<DocumentId>,
    body: Bytes,
) -> Result<(StatusCode, Json<DocumentView>)> {
    let RetryRequest { password } = if body.is_empty() {
        RetryRequest::default()
    } else {
        let Json(extract::Object(body)) = Json::from_bytes(&body)?;
        body
    };
    let password = extract::password(password.unwrap_or_default())?;
    let document = find(&state, &caller, id).await?;
    if !matches!(document.state.as_str(), "failed" | "cancelled") {
        return Err(NOT_TO_BE_RETRIED);
    }
    Publisher::forget(state.redis.clone(), &state.store_settings, id.0)
        .await
        .map_err(AttachError::from)?;
    let job = documents::retry(
        &state.pool,
        &caller.reach,
        id,
        password.as_ref(),
        Some(&request),
        &state.limits,
    )
    .await?
    .ok_or(NOT_TO_BE_RETRIED)?;
    state.wake(job).await;
    Ok((StatusCode::ACCEPTED, Json(view(&state, &caller, id).await?)))
}

/// `POST /api/v1/documents/{id}/reingest`: reads the newest file again, as after a change of settings.
#[utoipa::path(
    post, path = "/api/v1/documents/{id}/reingest", tag = "Documents", operation_id = "reingestDocument",
    summary = "Read a document again",
    description = "As after a change of settings. Searches see what they saw until it is done.",
    params(("id" = DocumentId, Path, description = "The document")),
    responses(
        (status = 202, description = "It is read again", body = DocumentView),
    ),
)]
pub(crate) async fn reingest(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    Path(id): Path<DocumentId>,
) -> Result<(StatusCode, Json<DocumentView>)> {
    let made = versions::reingest(
        &state.pool,
        &caller.reach,
        id,
        Some(&request),
        &state.limits,
    )
    .await?
    .ok_or(ApiError::NotFound("document"))?;
    state.begin(made).await;
    Ok((StatusCode::ACCEPTED, Json(view(&state, &caller, id).await?)))
}

/// The file of the version that searches see, to be opened in the browser at a page (`…/file#page=3`).
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/file", tag = "Documents", operation_id = "getFile",
    summary = "Read the file",
    description = "",
    params(("id" = DocumentId, Path, description = "The document")),
    responses(
        (status = 200, description = "The file that searches see, byte for byte, as the media type that it was taken for", body = Vec<u8>, content_type = "*/*"),
    ),
)]
pub(crate) async fn file(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<DocumentId>,
    wanted: HeaderMap,
) -> Result<(StatusCode, HeaderMap, Body)> {
    let document = documents::file(&state.pool, &caller.reach, id)
        .await?
        .ok_or(ApiError::NotFound("document"))?;
    let mut headers = HeaderMap::new();
    let tag = etag::quoted(&document.sha256);
    etag::mark(&mut headers, &tag);
    if etag::matches(&etag::known(&wanted), &tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers, Body::empty()));
    }
    let blob = state.blobs.stream(&document.blob_key).await?;
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
    Ok((StatusCode::OK, headers, Body::from_stream(blob)))
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
