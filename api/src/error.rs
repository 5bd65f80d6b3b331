//! How failures become HTTP: the only place that picks a status. Bodies are problem details (RFC 9457) with a stable
//! `code` and a `detail` that says what to do next; causes go to the log.

use std::{any::Any, time::Duration};

use axum::{
    Json,
    extract::{
        multipart::MultipartError,
        rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection},
    },
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use lectern_shared::{
    blobs::BlobError,
    events::AttachError,
    failure::Failure,
    media::MediaType,
    metrics,
    store::{StoreError, quotas},
};
use serde::Serialize;
use tower_http::timeout::TimeoutError;
use tracing::error;
use utoipa::ToSchema;

use crate::{
    limits::{self, config::Name},
    paced::TooSlow,
};

pub(crate) type Result<T> = std::result::Result<T, ApiError>;

/// Everything that a request can be refused for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("no API key")]
    Unauthorized,
    #[error("the key may not do this")]
    Forbidden(String),
    #[error("the page may not come here")]
    ForeignPage,
    #[error("the tenant is suspended")]
    Suspended,
    #[error("not found")]
    NotFound(&'static str),
    #[error("no such route")]
    NoSuchRoute,
    #[error("the page is not built")]
    PageNotBuilt,
    #[error("no such method")]
    NoSuchMethod,
    #[error("invalid request: {0}")]
    Invalid(String),
    /// The same, of a request whose clients want to know which parameter it is.
    #[error("invalid parameter {name}: {detail}")]
    Parameter { name: &'static str, detail: String },
    #[error("no such model")]
    NoSuchModel,
    #[error("an answer started over that can't be taken back")]
    StartedOver,
    #[error("upload too large")]
    TooLarge { bytes_max: u64 },
    #[error("request body too large")]
    BodyTooLarge,
    #[error("the request took too long")]
    TookTooLong,
    #[error("not a supported type of file")]
    UnsupportedType,
    #[error("not a zip")]
    NotAZip,
    #[error("the upload is empty")]
    EmptyFile,
    #[error("the upload paused for too long")]
    UploadTooSlow,
    #[error("the document is {0}")]
    Conflict(&'static str),
    /// What is there already stands against it.
    #[error("not possible now: {0}")]
    Taken(String),
    #[error("trying again would be pointless")]
    NothingToRetry,
    #[error("the limit {limit} is used up")]
    RateLimited { limit: Name, retry_after: Duration },
    #[error("the limit {0} can't be counted")]
    LimitUnavailable(Name),
    #[error("the key has too many open streams")]
    TooManyStreamsOfKey { max: usize },
    #[error("the key has too many requests that wait")]
    TooManyWaitingOfKey { max: usize },
    #[error("more requests than can be held")]
    Overloaded,
    #[error("the body is encoded")]
    EncodedBody,
    #[error("the same request is being answered")]
    IdempotencyBusy,
    #[error("it has changed since it was read")]
    ChangedMeanwhile,
    #[error("the idempotency key is that of another request")]
    IdempotencyOther,
    #[error("too many open streams")]
    TooManyStreams,
    #[error("no worker has answered in time")]
    NoWorker,
    #[error("the question failed")]
    Failed(Failure),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the blob store failed")]
    Blob(#[from] BlobError),
    #[error("events can't be read")]
    Events(#[from] AttachError),
    #[error("panicked")]
    Panicked,
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem {
    status: u16,
    /// Stays the same for ever: what programs tell refusals apart by.
    code: &'static str,
    title: &'static str,
    /// What to do next.
    detail: String,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::ForeignPage | Self::Suspended => StatusCode::FORBIDDEN,
            Self::NotFound(_)
            | Self::NoSuchRoute
            | Self::NoSuchModel
            | Self::PageNotBuilt
            | Self::Blob(BlobError::Missing) => StatusCode::NOT_FOUND,
            Self::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Invalid(_) | Self::Parameter { .. } | Self::EmptyFile => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } | Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Store(StoreError::QueueFull | StoreError::QuotaExceeded(_))
            | Self::RateLimited { .. }
            | Self::TooManyStreamsOfKey { .. }
            | Self::TooManyWaitingOfKey { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::ChangedMeanwhile => StatusCode::PRECONDITION_FAILED,
            Self::IdempotencyOther => StatusCode::UNPROCESSABLE_ENTITY,
            Self::UnsupportedType | Self::NotAZip | Self::EncodedBody => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::UploadTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_)
            | Self::Taken(_)
            | Self::NothingToRetry
            | Self::IdempotencyBusy
            | Self::Store(StoreError::ConversationFull) => StatusCode::CONFLICT,
            Self::TooManyStreams
            | Self::NoWorker
            | Self::TookTooLong
            | Self::Overloaded
            | Self::LimitUnavailable(_)
            | Self::Events(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(StoreError::Database(cause)) if is_unreachable(cause) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Store(StoreError::SharedDatabase(cause)) if is_unreachable(cause) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Failed(_)
            | Self::StartedOver
            | Self::Store(_)
            | Self::Blob(_)
            | Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Seconds after which it is worth trying again.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(limits::whole_seconds(*retry_after)),
            Self::Store(StoreError::QuotaExceeded(exceeded)) => {
                let left = exceeded.resets_at - Utc::now();
                Some(left.num_seconds().max(0).unsigned_abs() + 1)
            }
            Self::TooManyStreamsOfKey { .. } | Self::TooManyWaitingOfKey { .. } => Some(5),
            Self::IdempotencyBusy => Some(1),
            _ => match self.status() {
                StatusCode::TOO_MANY_REQUESTS => Some(30),
                StatusCode::SERVICE_UNAVAILABLE => Some(2),
                _ => None,
            },
        }
    }

    fn problem(&self) -> (&'static str, &'static str, String) {
        match self {
            Self::Unauthorized => ("unauthorized", "No valid API key", "Send a valid key in the header `Authorization: Bearer <key>`; in development it is lectern-dev.".into()),
            Self::Forbidden(detail) => ("forbidden", "This key may not do that", detail.clone()),
            Self::ForeignPage => ("foreign_origin", "Pages of this origin may not come here", "Name the `Origin` in LECTERN_CORS_ORIGINS, or ask from outside of a browser.".into()),
            Self::Suspended => ("tenant_suspended", "Suspended", "This tenant is suspended; its data stay. Ask whoever operates this server to resume it.".into()),
            Self::NotFound(what) => ("not_found", "Not found", format!("There is no such {what}, or it is not yours. Check the id.")),
            Self::NoSuchRoute => ("no_such_route", "Not found", "There is nothing at this address. The API begins at /api/v1.".into()),
            Self::PageNotBuilt => ("page_not_built", "The page is not built", "Lectern runs, and the API is at /api/v1, but the files of its page aren't where LECTERN_WEB_DIR says. Build them with `make web`, or set LECTERN_WEB_DIR to the folder that has them.".into()),
            Self::NoSuchMethod => ("method_not_allowed", "Method not allowed", "This address takes other methods: see the header `Allow`.".into()),
            Self::Parameter { detail, .. } => ("invalid_request", "Invalid request", detail.clone()),
            Self::NoSuchModel => ("model_not_found", "No such model", "GET /v1/models lists them: `lectern` answers from the default collection, `lectern/<collection>` from another, `lectern-embedding` embeds.".into()),
            Self::StartedOver => ("started_over", "The answer started over", "What was shown of it can't be taken back. Ask again.".into()),
            Self::Invalid(detail) => ("invalid_request", "Invalid request", detail.clone()),
            Self::TooLarge { bytes_max } => ("too_large", "Upload too large", format!("This server takes files of up to {bytes_max} bytes. Split the file, or raise LECTERN_UPLOAD_BYTES_MAX (of a zip: LECTERN_IMPORT_BYTES_MAX).")),
            Self::UnsupportedType => ("unsupported_type", "Unsupported type of file", format!("By its content this is no file that can be read. Supported types: {}. Convert the file and upload it again.", MediaType::list())),
            Self::NotAZip => ("unsupported_type", "Unsupported type of file", "By its content this is not a zip. Pack the files into one, or upload them one by one with POST /api/v1/documents.".into()),
            Self::BodyTooLarge => (
                "too_large",
                "Request too large",
                "The body of this request is larger than LECTERN_BODY_BYTES_MAX (under /v1: LECTERN_OPENAI_BODY_BYTES_MAX). Shorten it.".into(),
            ),
            Self::TookTooLong => (
                "took_too_long",
                "The request took too long",
                "Try again in a few seconds.".into(),
            ),
            Self::Store(StoreError::QueueFull) => (
                "queue_full",
                "Too much is waiting",
                "So much of yours is waiting that no more is taken. Try again when some of it is done.".into(),
            ),
            Self::Store(StoreError::ConversationFull) => (
                "conversation_full",
                "The conversation is full",
                "It has as many questions as LECTERN_CONVERSATION_TURNS_MAX allows, or was deleted just now. Begin another one with POST /api/v1/conversations.".into(),
            ),
            Self::RateLimited { limit, retry_after } => ("rate_limited", "Too many requests", format!("The limit `{limit}` is used up. Try again in {} s, as the header `Retry-After` says.", limits::whole_seconds(*retry_after))),
            Self::TooManyStreamsOfKey { max } => ("rate_limited", "Too many open streams", format!("This key has {max} event streams open, as many as it may. Close some, and try again.")),
            Self::TooManyWaitingOfKey { max } => ("rate_limited", "Too many requests at a time", format!("This key has {max} requests that wait for a worker, as many as it may. Wait for some of them, and try again.")),
            Self::LimitUnavailable(limit) => ("limit_unavailable", "Requests can't be counted", format!("The limit `{limit}` can't be counted just now, and lets nobody through then. Try again in a few seconds.")),
            Self::Overloaded => ("overloaded", "Too much to do", "The server has as many requests as it can hold. Try again in a few seconds.".into()),
            Self::EncodedBody => ("unsupported_encoding", "Encoded bodies are not taken", "Send the body as it is, without the header `Content-Encoding`.".into()),
            Self::ChangedMeanwhile => ("changed_meanwhile", "It has changed", "It is not as the tag in `If-Match` says any more. Read it again, and change what is there now.".into()),
            Self::IdempotencyBusy => ("idempotency_busy", "The same request is being answered", "A request with this `Idempotency-Key` is being answered. Send it again in a few seconds to get its answer.".into()),
            Self::IdempotencyOther => ("idempotency_mismatch", "The key is that of another request", "This `Idempotency-Key` came with another request before. Send a new one with each new request, and the same one only with the same request.".into()),
            Self::Store(StoreError::QuotaExceeded(exceeded)) => ("quota_exceeded", "The quota is used up", format!("You may use {} {} per {}, and this is more than is left. There is more from {}. GET /api/v1/usage shows what is used.", exceeded.allowed, exceeded.quota, exceeded.period, exceeded.resets_at.format("%Y-%m-%d %H:%M UTC"))),
            Self::EmptyFile => ("empty_file", "Empty file", Failure::EmptyFile.message().into()),
            Self::UploadTooSlow => ("upload_too_slow", "Upload stalled", "No bytes came for too long, or they came too slowly. Check the connection and send it again.".into()),
            Self::Conflict(state) => ("conflict", "Not possible now", format!("The document is {state}, so this can't be done. Look at its state first.")),
            Self::Taken(detail) => ("conflict", "Not possible now", detail.clone()),
            Self::NothingToRetry => ("nothing_to_retry", "Nothing to try again", "What this job was about is gone, is being worked on by a newer job, or nobody waits for it any more. Dismiss it.".into()),
            Self::TooManyStreams => ("too_many_streams", "Too many open streams", "Try again in a few seconds.".into()),
            Self::NoWorker => ("no_worker", "No worker has answered in time", "Check that a worker runs (GET /api/v1/health) and try again.".into()),
            Self::Failed(failure) => (failure.code(), "The question failed", failure.message().into()),
            Self::Blob(BlobError::Missing) => ("file_missing", "File missing", Failure::FileMissing.message().into()),
            Self::Events(_) => ("events_unavailable", "Events unavailable", "Redis can't be reached. Try again in a few seconds.".into()),
            Self::Store(_) if self.status() == StatusCode::SERVICE_UNAVAILABLE => ("store_unavailable", "Database unavailable", "The database can't be reached. Try again in a few seconds.".into()),
            Self::Store(_) | Self::Blob(_) | Self::Panicked => ("internal", "Something went wrong on our side", "Try again; if it stays so, look into the API's log for this request id.".into()),
        }
    }
}

/// What a refusal says, for doors that say it in another shape.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: String,
    pub(crate) parameter: Option<&'static str>,
}

impl ApiError {
    /// Whether it is the server's fault rather than the request's.
    pub(crate) fn is_ours(&self) -> bool {
        self.status().is_server_error()
    }

    /// Logs and counts it, once, where it is told.
    pub(crate) fn note(&self) {
        if self.is_ours() {
            error!(error = self as &dyn std::error::Error, "request failed");
        }
        if let Self::Store(StoreError::QuotaExceeded(exceeded)) = self {
            let labels = [
                ("quota", exceeded.quota.clone()),
                ("period", exceeded.period.clone()),
            ];
            ::metrics::counter!(metrics::QUOTA_EXCEEDED, &labels).increment(1);
        }
    }

    pub(crate) fn refusal(&self) -> Refusal {
        let (code, title, detail) = self.problem();
        let parameter = match self {
            Self::Parameter { name, .. } => Some(*name),
            Self::NoSuchModel => Some("model"),
            _ => None,
        };
        Refusal {
            code,
            title,
            detail,
            parameter,
        }
    }
}

/// One of each kind of refusal, for the reference.
pub(crate) fn kinds() -> Vec<(StatusCode, Refusal)> {
    let limit = Name::KeyRequests;
    let exceeded = quotas::Exceeded {
        quota: "documents".into(),
        period: "day".into(),
        allowed: 1000,
        resets_at: DateTime::UNIX_EPOCH + Duration::from_secs(20_454 * 86_400),
    };
    let kinds = [
        ApiError::Unauthorized,
        ApiError::Forbidden("This needs a key with the scope `write`. GET /api/v1/me says what yours may do; a key with the scope `admin` makes others with POST /api/v1/keys.".into()),
        ApiError::Suspended,
        ApiError::NotFound("document"),
        ApiError::NoSuchModel,
        ApiError::Blob(BlobError::Missing),
        ApiError::Invalid("The parameter `limit` goes from 1 to 200.".into()),
        ApiError::EmptyFile,
        ApiError::BodyTooLarge,
        ApiError::UnsupportedType,
        ApiError::EncodedBody,
        ApiError::UploadTooSlow,
        ApiError::Taken("There is a collection of that name already. Use it, or choose another name.".into()),
        ApiError::NothingToRetry,
        ApiError::Store(StoreError::ConversationFull),
        ApiError::IdempotencyBusy,
        ApiError::ChangedMeanwhile,
        ApiError::IdempotencyOther,
        ApiError::RateLimited { limit, retry_after: Duration::from_secs(7) },
        ApiError::Store(StoreError::QueueFull),
        ApiError::Store(StoreError::QuotaExceeded(exceeded)),
        ApiError::Panicked,
        ApiError::Failed(Failure::GeneratorUnavailable),
        ApiError::Overloaded,
        ApiError::TookTooLong,
        ApiError::LimitUnavailable(limit),
        ApiError::TooManyStreams,
        ApiError::NoWorker,
        ApiError::Events(AttachError::Unavailable),
        ApiError::Store(StoreError::Database(sqlx::Error::PoolTimedOut)),
    ];
    let kind = |kind: ApiError| (kind.status(), kind.refusal());
    kinds.into_iter().map(kind).collect()
}

fn is_unreachable(cause: &sqlx::Error) -> bool {
    matches!(
        cause,
        sqlx::Error::PoolTimedOut
            | sqlx::Error::Io(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::Tls(_)
    )
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.note();
        let status = self.status();
        let retry_after = self.retry_after();
        let refusal = self.refusal();
        let Refusal {
            code,
            title,
            detail,
            ..
        } = refusal.clone();
        let mut response = (
            status,
            Json(Problem {
                status: status.as_u16(),
                code,
                title,
                detail,
            }),
        )
            .into_response();
        response.extensions_mut().insert(refusal);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::BodyTooLarge;
        }
        if has_paused(&rejection) {
            return Self::UploadTooSlow;
        }
        Self::Invalid(format!(
            "{}. Send a JSON object with `Content-Type: application/json`.",
            rejection.body_text()
        ))
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::BodyTooLarge;
        }
        if has_paused(&rejection) {
            return Self::UploadTooSlow;
        }
        Self::Invalid(format!(
            "{}. Send the request again.",
            rejection.body_text()
        ))
    }
}

impl From<MultipartError> for ApiError {
    fn from(error: MultipartError) -> Self {
        if has_paused(&error) {
            return Self::UploadTooSlow;
        }
        Self::Invalid(format!("{}. Upload the file again.", error.body_text()))
    }
}

/// Whether the body didn't come since nothing came for too long, or too little.
fn has_paused(rejection: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(rejection), |cause| cause.source())
        .any(|cause| cause.is::<TimeoutError>() || cause.is::<TooSlow>())
}

impl From<PathRejection> for ApiError {
    fn from(_: PathRejection) -> Self {
        Self::NotFound("thing: the id in the address is not a UUID")
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::Invalid(format!(
            "{}. Check the parameters after the `?`.",
            rejection.body_text()
        ))
    }
}

pub(crate) async fn no_such_route() -> ApiError {
    ApiError::NoSuchRoute
}

pub(crate) async fn no_such_method() -> ApiError {
    ApiError::NoSuchMethod
}

/// The default panic hook has printed where.
pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    ApiError::Panicked.into_response()
}
