//! Uploads: streamed to the blob store with the SHA-256 taken on the way, never whole in memory.

use axum::{
    Json,
    body::Bytes,
    extract::{
        Multipart, State,
        multipart::{Field, MultipartRejection},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use lectern_shared::{
    blobs::{self, Writer},
    ids::{CollectionId, DocumentId, TenantId},
    media::{HEAD_BYTES, MediaType},
    metrics, names,
    store::{
        self, StoreError,
        quotas::{self, Quota},
        versions::{self, Added, NewFile, Place, Target},
    },
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::{info, warn};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::Caller,
    collections, documents,
    error::{ApiError, Result},
    extract::{Path, Query},
    fields::Fields,
    idempotency::{self, Outcome, Word},
    observe::RequestId,
    reference::shapes,
    state::AppState,
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadQuery {
    /// The collection that the document goes into; also taken from a form field before the file.
    #[param(pattern = r"^[\p{L}\p{N}._-]{1,64}$")]
    collection: Option<String>,
    /// A document of its own, whatever is there already; likewise.
    #[serde(default)]
    force: bool,
}

impl From<UploadQuery> for Fields {
    fn from(query: UploadQuery) -> Self {
        Self {
            collection: query.collection,
            force: query.force,
            ..Self::default()
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = DocumentAccepted)]
pub(crate) struct Accepted {
    id: DocumentId,
    state: String,
    /// What the file has become, or is already.
    version: i32,
    /// The same content is there: nothing is read again.
    duplicate: bool,
    /// Where to watch it being read.
    events: String,
}

type Form = std::result::Result<Multipart, MultipartRejection>;

/// `POST /api/v1/documents`: a form with the field `file`.
#[utoipa::path(
    post, path = "/api/v1/documents", tag = "Documents", operation_id = "uploadDocument",
    summary = "Upload a document",
    description = "What the file is, is told by its content. The same name with other content is a new version of that document.",
    params(UploadQuery),
    request_body(content = shapes::UploadForm, content_type = "multipart/form-data"),
    responses(
        (status = 202, description = "It is taken, and will be read", body = Accepted, headers(("location" = String, description = "Where it is"))),
        (status = 200, description = "The same content is there already", body = Accepted, headers(("location" = String, description = "Where it is"))),
    ),
)]
pub(crate) async fn upload(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    word: Word,
    Query(query): Query<UploadQuery>,
    form: Form,
) -> Result<Response> {
    let upload = read(&state, &caller, form, query.into(), Purpose::Document).await?;
    upload
        .once(&state, word, |state, upload| {
            Box::pin(async move { add(&state, &caller, &request, &upload).await })
        })
        .await
}

async fn add(
    state: &AppState,
    caller: &Caller,
    request: &str,
    upload: &Upload,
) -> Result<Response> {
    let collection = upload.collection.ok_or(ApiError::NotFound("collection"))?;
    let place = Place {
        collection,
        name: &upload.name,
        force: upload.fields.force,
    };
    let file = upload.file(caller.tenant);
    let facts = &upload.fields.facts;
    let added = versions::add(
        &state.pool,
        &place,
        &file,
        facts,
        Some(request),
        &state.limits,
    );
    let added = upload.kept(state, added.await).await?;
    answer(state, caller, upload, added).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaceQuery {
    /// Read it again although it is the same.
    #[serde(default)]
    force: bool,
}

/// `PUT /api/v1/documents/{id}/file`: the same form; the file becomes the newest version, whatever its name.
#[utoipa::path(
    put, path = "/api/v1/documents/{id}/file", tag = "Documents", operation_id = "replaceFile",
    summary = "Upload a new version",
    description = "Whatever its name is. Searches see the old version until the new one is read.",
    params(("id" = DocumentId, Path, description = "The document"), ReplaceQuery),
    request_body(content = shapes::VersionForm, content_type = "multipart/form-data"),
    responses(
        (status = 202, description = "It is taken, and will be read", body = Accepted, headers(("location" = String, description = "Where it is"))),
        (status = 200, description = "It is the same file", body = Accepted, headers(("location" = String, description = "Where it is"))),
    ),
)]
pub(crate) async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    Path(id): Path<DocumentId>,
    Query(query): Query<ReplaceQuery>,
    form: Form,
) -> Result<Response> {
    documents::find(&state, &caller, id).await?;
    let fields = Fields {
        force: query.force,
        ..Fields::default()
    };
    let upload = read(&state, &caller, form, fields, Purpose::Version).await?;
    let file = upload.file(caller.tenant);
    let Fields { facts, force, .. } = &upload.fields;
    let target = Target {
        reach: &caller.reach,
        document: id,
        force: *force,
    };
    let added = versions::replace(
        &state.pool,
        target,
        &file,
        facts,
        Some(&request),
        &state.limits,
    );
    match upload.kept(&state, added.await).await? {
        Some(added) => answer(&state, &caller, &upload, added).await,
        None => {
            discard(&state, &upload.blob_key).await;
            Err(ApiError::NotFound("document"))
        }
    }
}

/// `202` with what is to be read, or `200` with what is there already.
async fn answer(
    state: &AppState,
    caller: &Caller,
    upload: &Upload,
    added: Added,
) -> Result<Response> {
    ::metrics::counter!(metrics::UPLOAD_BYTES).increment(upload.received.bytes);
    let (status, accepted) = match added {
        Added::Duplicate(id) => {
            discard(state, &upload.blob_key).await;
            let document = documents::find(state, caller, id).await?;
            info!(document.id = %id, "the same content again");
            let accepted = Accepted::new(id, document.state, document.wanted, true);
            (StatusCode::OK, accepted)
        }
        Added::Made(made) => {
            info!(
                document.id = %made.document,
                job.id = %made.job.id,
                version = made.version,
                upload_bytes = upload.received.bytes,
                "document accepted"
            );
            let accepted = Accepted::new(made.document, "queued".into(), made.version, false);
            state.begin(made).await;
            (StatusCode::ACCEPTED, accepted)
        }
    };
    let location = format!("/api/v1/documents/{}", accepted.id);
    Ok((status, [(header::LOCATION, location)], Json(accepted)).into_response())
}

impl Accepted {
    pub(crate) fn new(id: DocumentId, state: String, version: i32, duplicate: bool) -> Self {
        Self {
            id,
            state,
            version,
            duplicate,
            events: format!("/api/v1/documents/{id}/events"),
        }
    }
}

/// What a file is uploaded for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Document,
    /// Of a document that is known.
    Version,
    /// A zip of documents.
    Import,
}

/// A form that was read, its file in the blob store.
pub(crate) struct Upload {
    pub(crate) fields: Fields,
    /// Where it goes, unless that is known.
    pub(crate) collection: Option<CollectionId>,
    pub(crate) name: String,
    pub(crate) blob_key: String,
    pub(crate) received: Received,
}

impl Upload {
    fn file(&self, tenant: TenantId) -> NewFile<'_> {
        NewFile {
            tenant,
            media_type: self.received.media_type,
            bytes: self.received.bytes.cast_signed(),
            sha256: &self.received.sha256,
            blob_key: &self.blob_key,
        }
    }

    /// Does with it what it was sent for; or, if that was done with the same one before, lets it go.
    pub(crate) async fn once<W>(
        self,
        state: &AppState,
        word: Word,
        work: impl FnOnce(AppState, Self) -> W,
    ) -> Result<Response>
    where
        W: Future<Output = Result<Response>> + Send + 'static,
    {
        let (key, sha256) = (self.blob_key.clone(), self.fingerprint());
        let work = work(state.clone(), self);
        let done = idempotency::once(state, word, sha256, async move {
            work.await.unwrap_or_else(IntoResponse::into_response)
        });
        match done.await {
            Ok(Outcome::Done(response)) => Ok(response),
            Ok(Outcome::Again(answer)) => {
                discard(state, &key).await;
                Ok(idempotency::repeat(&answer))
            }
            Err(refused @ (ApiError::IdempotencyBusy | ApiError::IdempotencyOther)) => {
                discard(state, &key).await;
                Err(refused)
            }
            Err(error) => Err(error),
        }
    }

    /// What makes it another upload: not how the form is cut, which clients choose anew each time.
    fn fingerprint(&self) -> Vec<u8> {
        let Fields { facts, force, .. } = &self.fields;
        let metadata = facts.metadata.as_ref().map(ToString::to_string);
        let collection = self.collection.map(|collection| collection.to_string());
        let said = |text: &Option<String>| text.clone().unwrap_or_default().into_bytes();
        idempotency::fingerprint([
            self.name.as_bytes(),
            &self.received.sha256,
            &said(&collection),
            &said(&facts.title),
            &said(&facts.source_url),
            &said(&metadata),
            &[u8::from(*force)],
        ])
    }

    /// Deletes the file if it was refused. When the database fails it stays: the rows may be written for all we know.
    pub(crate) async fn kept<T>(&self, state: &AppState, result: store::Result<T>) -> Result<T> {
        if matches!(
            result,
            Err(StoreError::QueueFull | StoreError::QuotaExceeded(_))
        ) {
            discard(state, &self.blob_key).await;
        }
        Ok(result?)
    }
}

/// Reads a form: its fields, and its file into the blob store. Whatever is refused leaves nothing there.
pub(crate) async fn read(
    state: &AppState,
    caller: &Caller,
    form: Form,
    fields: Fields,
    purpose: Purpose,
) -> Result<Upload> {
    let files = [Quota::Documents, Quota::Bytes];
    let quotas = &state.limits.quotas;
    // Before the file is received: it would be for nothing.
    if let Some(exceeded) = quotas::used_up(&state.pool, caller.tenant, &files, quotas).await? {
        return Err(StoreError::QuotaExceeded(exceeded).into());
    }
    let form = form.map_err(|rejection| {
        ApiError::Invalid(format!(
            "{}. Send a form with the field `file`: curl -F file=@your.pdf",
            rejection.body_text()
        ))
    })?;
    let mut reading = Reading {
        fields,
        file: None,
        blob_key: blobs::fresh_key(caller.tenant),
        purpose,
    };
    match reading.whole(state, caller, form).await {
        Ok((collection, file)) => Ok(Upload {
            collection,
            name: reading.fields.name.clone().unwrap_or(file.name),
            fields: reading.fields,
            blob_key: reading.blob_key,
            received: file.received,
        }),
        Err(error) => {
            if reading.file.is_some() {
                discard(state, &reading.blob_key).await;
            }
            Err(error)
        }
    }
}

/// As many as there are kinds of them, and some.
const FIELDS_MAX: usize = 16;

/// A form as far as it was read.
struct Reading {
    fields: Fields,
    /// Set once it is in the blob store.
    file: Option<File>,
    blob_key: String,
    purpose: Purpose,
}

#[derive(Clone)]
struct File {
    name: String,
    received: Received,
}

impl Reading {
    async fn whole(
        &mut self,
        state: &AppState,
        caller: &Caller,
        mut form: Multipart,
    ) -> Result<(Option<CollectionId>, File)> {
        let mut collection = None;
        for _ in 0..FIELDS_MAX {
            let field = form.next_field().await;
            let Some(field) = field? else {
                let missing = || {
                    let text = "The form has no field `file`. Send one: curl -F file=@your.pdf";
                    ApiError::Invalid(text.into())
                };
                return Ok((collection, self.file.clone().ok_or_else(missing)?));
            };
            if field.name() == Some("file") {
                // Before the file is received, as far as it can be told by then.
                collection = self.check(state, caller).await?;
                self.take_file(state, field).await?;
                continue;
            }
            let bytes_max = state.settings.metadata_bytes_max;
            self.fields.take(field, bytes_max).await?;
            if self.file.is_some() {
                collection = self.check(state, caller).await?;
            }
        }
        Err(ApiError::Invalid(format!(
            "The form has more than {FIELDS_MAX} fields. Send each once."
        )))
    }

    /// What the fields say must fit, and name a collection that is there. `None`: none is needed.
    async fn check(&self, state: &AppState, caller: &Caller) -> Result<Option<CollectionId>> {
        let refused = |text: &str| Err(ApiError::Invalid(text.into()));
        if self.purpose == Purpose::Import && self.fields.facts.password.is_some() {
            return refused(
                "A password is of one document. Leave the field `password` out, and try the documents that need one \
                 again with theirs.",
            );
        }
        if self.purpose == Purpose::Import && self.fields.facts.title.is_some() {
            return refused(
                "A title is of one document. Leave the field `title` out, or change titles later.",
            );
        }
        if self.purpose == Purpose::Version {
            return Ok(None);
        }
        let name = self.fields.collection.as_deref();
        collections::resolve(state, &caller.reach, name)
            .await
            .map(Some)
    }

    async fn take_file(&mut self, state: &AppState, field: Field<'_>) -> Result<()> {
        if self.file.is_some() {
            return Err(ApiError::Invalid(
                "The form has more than one field `file`. Send files one by one, or as a zip to POST /api/v1/imports."
                    .into(),
            ));
        }
        let own = names::file_name(field.file_name().unwrap_or_default());
        let named = self.fields.name.clone().or(own).unwrap_or_default();
        let received = receive(state, field, &named, &self.blob_key, self.purpose).await?;
        let name = if named.is_empty() {
            untitled(received.media_type)
        } else {
            named
        };
        self.file = Some(File { name, received });
        Ok(())
    }
}

const ZIP: &str = "application/zip";

#[derive(Clone)]
pub(crate) struct Received {
    media_type: &'static str,
    pub(crate) bytes: u64,
    pub(crate) sha256: Vec<u8>,
}

/// Streams the file into the blob store. Whatever goes wrong, nothing of it stays.
async fn receive(
    state: &AppState,
    mut field: Field<'_>,
    name: &str,
    key: &str,
    purpose: Purpose,
) -> Result<Received> {
    let mut head = Vec::new();
    while head.len() < HEAD_BYTES {
        let Some(bytes) = field.chunk().await? else {
            break;
        };
        head.extend_from_slice(&bytes);
    }
    if head.is_empty() {
        return Err(ApiError::EmptyFile);
    }
    let (media_type, bytes_max) = match purpose {
        Purpose::Import if is_zip(&head) => (ZIP, state.settings.import_bytes_max),
        Purpose::Import => return Err(ApiError::NotAZip),
        Purpose::Document | Purpose::Version => {
            let shown = &head[..head.len().min(HEAD_BYTES)];
            let media_type = MediaType::detect(shown, name).ok_or(ApiError::UnsupportedType)?;
            (media_type.mime(), state.settings.upload_bytes_max)
        }
    };
    let mut writer = state.blobs.write(key).await?;
    match pour(&mut field, head, &mut writer, bytes_max).await {
        Ok((bytes, sha256)) => {
            writer.finish().await?;
            Ok(Received {
                media_type,
                bytes,
                sha256,
            })
        }
        Err(error) => {
            if let Err(error) = writer.abort().await {
                warn!(%error, "unfinished upload left behind");
            }
            Err(error)
        }
    }
}

/// Its bytes and their SHA-256.
async fn pour(
    field: &mut Field<'_>,
    head: Vec<u8>,
    writer: &mut Writer,
    bytes_max: u64,
) -> Result<(u64, Vec<u8>)> {
    let mut digest = Sha256::new();
    let mut total = 0;
    let mut next = Some(Bytes::from(head));
    while let Some(bytes) = next {
        total += bytes.len() as u64;
        if total > bytes_max {
            return Err(ApiError::TooLarge { bytes_max });
        }
        digest.update(&bytes);
        writer.write(&bytes).await?;
        next = field.chunk().await?;
    }
    Ok((total, digest.finalize().to_vec()))
}

fn is_zip(head: &[u8]) -> bool {
    // A local file header, or the end of one that is empty.
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

/// The name of a file that came without one.
fn untitled(mime: &str) -> String {
    let extension = MediaType::from_mime(mime).map_or("zip", |kind| kind.extensions()[0]);
    format!("untitled.{extension}")
}

async fn discard(state: &AppState, key: &str) {
    if let Err(error) = state.blobs.delete(key).await {
        warn!(%error, "file of a refused upload left behind");
    }
}
