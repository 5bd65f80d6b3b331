//! Imports: a zip of documents, taken whole and unpacked by a worker.

use axum::{
    Json,
    extract::{Multipart, State, multipart::MultipartRejection},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use lectern_shared::{
    failure::FailureReport,
    ids::{DocumentId, ImportId},
    metrics,
    store::{
        imports::{self, NewImport, Skip},
        jobs::Cancel,
    },
};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::Caller,
    documents::Cancelling,
    error::{ApiError, Result},
    extract::{Path, Query},
    idempotency::Word,
    observe::RequestId,
    reference::shapes,
    state::AppState,
    upload::{self, Purpose, Upload, UploadQuery},
};

#[derive(Serialize, ToSchema)]
#[schema(as = ImportAccepted)]
pub(crate) struct Accepted {
    id: ImportId,
    state: &'static str,
}

/// `POST /api/v1/imports`: the form of an upload, its `file` a zip.
#[utoipa::path(
    post, path = "/api/v1/imports", tag = "Imports", operation_id = "importZip",
    summary = "Import a zip",
    description = "Each of its files goes the way of an upload.",
    params(UploadQuery),
    request_body(content = shapes::ImportForm, content_type = "multipart/form-data"),
    responses(
        (status = 202, description = "It is taken, and will be unpacked", body = Accepted, headers(("location" = String, description = "Where it is"))),
    ),
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    word: Word,
    Query(query): Query<UploadQuery>,
    form: std::result::Result<Multipart, MultipartRejection>,
) -> Result<Response> {
    let upload = upload::read(&state, &caller, form, query.into(), Purpose::Import).await?;
    upload
        .once(&state, word, |state, upload| {
            Box::pin(async move {
                let accepted = add(&state, &caller, &request, &upload).await?;
                Ok(accepted.into_response())
            })
        })
        .await
}

async fn add(
    state: &AppState,
    caller: &Caller,
    request: &str,
    upload: &Upload,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Accepted>)> {
    let id = ImportId::fresh();
    let import = NewImport {
        id,
        tenant: caller.tenant,
        collection: upload.collection.ok_or(ApiError::NotFound("collection"))?,
        name: &upload.name,
        bytes: upload.received.bytes.cast_signed(),
        blob_key: &upload.blob_key,
        facts: &upload.fields.facts,
        force: upload.fields.force,
        entry_bytes_max: i64::try_from(state.settings.upload_bytes_max).unwrap_or(i64::MAX),
    };
    let created = imports::create(&state.pool, &import, Some(request), &state.limits).await;
    let job = upload.kept(state, created).await?;
    ::metrics::counter!(metrics::UPLOAD_BYTES).increment(upload.received.bytes);
    info!(import.id = %id, job.id = %job.id, upload_bytes = upload.received.bytes, "import accepted");
    state.wake(job).await;
    let location = format!("/api/v1/imports/{id}");
    let accepted = Accepted {
        id,
        state: "queued",
    };
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(accepted),
    ))
}

/// An import as clients see it, with a page of its entries.
#[derive(Serialize, ToSchema)]
#[schema(as = Import)]
pub(crate) struct ImportView {
    id: ImportId,
    collection: String,
    name: String,
    bytes: i64,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    state: String,
    failure: Option<FailureReport>,
    /// Entries of the zip, folders among them; absent until it was looked into.
    total: Option<i32>,
    created: i64,
    replaced: i64,
    duplicates: i64,
    skipped: i64,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    /// What has become of each file, in the order of the zip.
    entries: Vec<EntryView>,
    /// Pass as `after` to get the next entries; absent on the last page.
    next: Option<i32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ImportEntry)]
pub(crate) struct EntryView {
    name: String,
    /// `created`, `replaced`, `duplicate` or `skipped`.
    outcome: String,
    document: Option<DocumentId>,
    /// Why it was skipped.
    reason: Option<Reason>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SkipReason)]
pub(crate) struct Reason {
    code: String,
    message: &'static str,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntriesQuery {
    after: Option<i32>,
    #[param(minimum = 1, maximum = 1000, default = 200)]
    limit: Option<u32>,
}

const ENTRIES_MAX: u32 = 1000;

/// `GET /api/v1/imports/{id}`
#[utoipa::path(
    get, path = "/api/v1/imports/{id}", tag = "Imports", operation_id = "getImport",
    summary = "Show what became of an import",
    description = "",
    params(("id" = ImportId, Path, description = "The import"), EntriesQuery),
    responses(
        (status = 200, description = "The import with a page of its files", body = ImportView),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<ImportId>,
    Query(query): Query<EntriesQuery>,
) -> Result<Json<ImportView>> {
    let limit = query.limit.unwrap_or(200);
    if limit == 0 || limit > ENTRIES_MAX {
        return Err(ApiError::Invalid(format!(
            "The parameter `limit` goes from 1 to {ENTRIES_MAX}."
        )));
    }
    let import = imports::find(&state.pool, &caller.reach, id)
        .await?
        .ok_or(ApiError::NotFound("import"))?;
    let after = query.after.unwrap_or(-1);
    let mut entries = imports::entries(&state.pool, caller.tenant, id, after, limit + 1).await?;
    let has_next = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let next = entries
        .last()
        .map(|entry| entry.ordinal)
        .filter(|_| has_next);
    let entries = entries.into_iter().map(|entry| EntryView {
        name: entry.name,
        outcome: entry.outcome,
        document: entry.document,
        reason: entry.reason.map(|code| Reason {
            message: Skip::from_code(&code).map_or("", Skip::message),
            code,
        }),
    });
    Ok(Json(ImportView {
        id,
        collection: import.collection,
        name: import.name,
        bytes: import.bytes,
        state: import.state,
        failure: import.failure.as_deref().map(FailureReport::from_code),
        total: import.entries,
        created: import.created,
        replaced: import.replaced,
        duplicates: import.duplicates,
        skipped: import.skipped,
        created_at: import.created_at,
        finished_at: import.finished_at,
        entries: entries.collect(),
        next,
    }))
}

/// `POST /api/v1/imports/{id}/cancel`: documents that it has made already stay.
#[utoipa::path(
    post, path = "/api/v1/imports/{id}/cancel", tag = "Imports", operation_id = "cancelImport",
    summary = "Stop an import",
    description = "Documents that it has made already stay.",
    params(("id" = ImportId, Path, description = "The import")),
    responses(
        (status = 200, description = "It is cancelled, or is about to be", body = Cancelling),
    ),
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<ImportId>,
) -> Result<Json<Cancelling>> {
    imports::find(&state.pool, &caller.reach, id)
        .await?
        .ok_or(ApiError::NotFound("import"))?;
    match state.cancel(caller.tenant, id.0).await? {
        Cancel::Done { .. } => Ok(Json(Cancelling { state: "cancelled" })),
        Cancel::Requested(_) => Ok(Json(Cancelling {
            state: "cancelling",
        })),
        Cancel::Nothing => Err(ApiError::Conflict("not being worked on")),
    }
}
