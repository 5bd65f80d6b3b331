//! Uploads: streamed to the blob store with the SHA-256 taken on the way, never whole in memory.

use axum::{
    Json,
    body::Bytes,
    extract::{Multipart, State, multipart::Field},
    http::{HeaderName, StatusCode, header},
};
use lectern_shared::{
    blobs::{self, Writer},
    ids::DocumentId,
    metrics,
    store::documents::{self, NewDocument},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use crate::{
    auth::Caller,
    collections,
    error::{ApiError, Result},
    extract::Query,
    observe::RequestId,
    state::AppState,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadQuery {
    /// The collection that the document goes into; also taken from a form field before the file.
    collection: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Accepted {
    id: DocumentId,
    state: &'static str,
    /// Where to watch it being read.
    events: String,
}

/// `POST /api/v1/documents`: a form with the field `file`.
pub(crate) async fn upload(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    Query(query): Query<UploadQuery>,
    form: std::result::Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Accepted>)> {
    let mut form = form.map_err(|rejection| {
        ApiError::Invalid(format!(
            "{}. Send a form with the field `file`: curl -F file=@your.pdf",
            rejection.body_text()
        ))
    })?;
    let mut collection = query.collection;
    loop {
        let field = form
            .next_field()
            .await
            .map_err(|error| ApiError::Invalid(error.body_text()))?
            .ok_or_else(|| {
                ApiError::Invalid(
                    "The form has no field `file`. Send one: curl -F file=@your.pdf".into(),
                )
            })?;
        match field.name() {
            Some("collection") => collection = Some(text(field).await?),
            Some("file") => {
                let collection =
                    collections::resolve(&state, caller.tenant, collection.as_deref()).await?;
                let id = DocumentId::fresh();
                let name = file_name(&field);
                let key = blobs::key(caller.tenant, id);
                let received = receive(&state, field, &key).await?;
                let document = NewDocument {
                    id,
                    tenant: caller.tenant,
                    collection,
                    name: &name,
                    media_type: PDF,
                    bytes: received.bytes.cast_signed(),
                    sha256: &received.sha256,
                    blob_key: &key,
                };
                let created =
                    documents::create(&state.pool, &document, Some(&request), &state.limits).await;
                let job = match created {
                    Ok(job) => job,
                    Err(error) => {
                        discard(&state, &key).await;
                        return Err(error.into());
                    }
                };
                state.wake(job).await;
                ::metrics::counter!(metrics::UPLOAD_BYTES).increment(received.bytes);
                info!(document.id = %id, job.id = %job.id, upload_bytes = received.bytes, "document accepted");
                let location = format!("/api/v1/documents/{id}");
                let events = format!("{location}/events");
                let accepted = Accepted {
                    id,
                    state: "queued",
                    events,
                };
                return Ok((
                    StatusCode::ACCEPTED,
                    [(header::LOCATION, location)],
                    Json(accepted),
                ));
            }
            other => {
                let name = other.unwrap_or_default().escape_debug().to_string();
                return Err(ApiError::Invalid(format!(
                    "The form has an unknown field `{name}`. Known are `collection` and, after it, `file`."
                )));
            }
        }
    }
}

const PDF: &str = "application/pdf";

/// PDF readers look for the header within the first kilobyte; real files with more before it exist.
const HEADER_WINDOW: usize = 4096;

struct Received {
    bytes: u64,
    sha256: Vec<u8>,
}

/// Streams the file into the blob store. Whatever goes wrong, nothing of it stays.
async fn receive(state: &AppState, mut field: Field<'_>, key: &str) -> Result<Received> {
    let mut head = Vec::new();
    while head.len() < HEADER_WINDOW {
        let Some(bytes) = next_bytes(state, &mut field).await? else {
            break;
        };
        head.extend_from_slice(&bytes);
    }
    if head.is_empty() {
        return Err(ApiError::EmptyFile);
    }
    if !is_pdf(&head) {
        return Err(ApiError::UnsupportedType);
    }
    let mut writer = state.blobs.write(key).await?;
    match pour(state, &mut field, head, &mut writer).await {
        Ok(received) => {
            writer.finish().await?;
            Ok(received)
        }
        Err(error) => {
            if let Err(error) = writer.abort().await {
                warn!(%error, "unfinished upload left behind");
            }
            Err(error)
        }
    }
}

async fn pour(
    state: &AppState,
    field: &mut Field<'_>,
    head: Vec<u8>,
    writer: &mut Writer,
) -> Result<Received> {
    let bytes_max = state.settings.upload_bytes_max;
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
        next = next_bytes(state, field).await?;
    }
    Ok(Received {
        bytes: total,
        sha256: digest.finalize().to_vec(),
    })
}

async fn next_bytes(state: &AppState, field: &mut Field<'_>) -> Result<Option<Bytes>> {
    tokio::time::timeout(state.settings.upload_pause_max(), field.chunk())
        .await
        .map_err(|_| ApiError::UploadTooSlow)?
        .map_err(|error| {
            ApiError::Invalid(format!("{}. Upload the file again.", error.body_text()))
        })
}

fn is_pdf(head: &[u8]) -> bool {
    head[..head.len().min(HEADER_WINDOW)]
        .windows(5)
        .any(|window| window == b"%PDF-")
}

/// The name to show: the last part of whatever the client sent, up to 255 characters, without those that control a
/// terminal or turn the direction of writing around.
fn file_name(field: &Field<'_>) -> String {
    let raw = field.file_name().unwrap_or_default();
    let last = raw.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last
        .chars()
        .filter(|&c| !c.is_control() && !turns_direction(c))
        .take(255)
        .collect();
    if name.trim().is_empty() {
        "untitled.pdf".to_owned()
    } else {
        name
    }
}

/// Unicode's bidirectional controls (UAX #9) can make `fdp.exe` read as `exe.pdf`.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

async fn text(mut field: Field<'_>) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(part) = field
        .chunk()
        .await
        .map_err(|error| ApiError::Invalid(error.body_text()))?
    {
        bytes.extend_from_slice(&part);
        if bytes.len() > 1024 {
            return Err(ApiError::Invalid(
                "A form field is longer than 1,024 bytes. Shorten it.".into(),
            ));
        }
    }
    String::from_utf8(bytes).map_err(|_| ApiError::Invalid("A form field is not UTF-8.".into()))
}

async fn discard(state: &AppState, key: &str) {
    if let Err(error) = state.blobs.delete(key).await {
        warn!(%error, "file of a refused upload left behind");
    }
}

#[cfg(test)]
mod tests {
    use super::is_pdf;

    #[test]
    fn the_type_is_told_by_content() {
        assert!(is_pdf(b"%PDF-1.7\n"));
        assert!(is_pdf(&[vec![b'x'; 1600], b"%PDF-1.4".to_vec()].concat()));
        assert!(!is_pdf(b"<html>%PDF"));
        assert!(!is_pdf(&[vec![b'x'; 5000], b"%PDF-1.4".to_vec()].concat()));
    }
}
