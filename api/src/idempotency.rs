//! `Idempotency-Key`: a request that makes something, sent again, makes it once and gets the same answer.
//!
//! After `draft-ietf-httpapi-idempotency-key-header`. What succeeded is kept and given again; what was refused or failed
//! has made nothing, gives its key back and is judged anew. Once begun, such a request is done to its end, whether or
//! not its client still listens: the answer is there when it comes back.

use axum::{
    body::{self, Body, Bytes},
    extract::{FromRequest, FromRequestParts, MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use lectern_shared::{
    events::EventId,
    ids::{ApiKeyId, TenantId},
    metrics,
    store::idempotency::{self, Answer, Claim, Named, Terms},
};
use sha2::{Digest, Sha256};
use tracing::{Instrument, warn};
use uuid::Uuid;

use crate::{
    auth::Caller,
    error::{ApiError, Result},
    limits::Seat,
    questions,
    state::AppState,
    streams,
};

/// Routes whose POSTs make something, if only an attempt. Uploads are not among them: their handlers ask for [`Word`], since what makes two
/// of them the same is known when the file is there.
const ROUTES: [&str; 10] = [
    "/api/v1/questions",
    "/api/v1/collections",
    "/api/v1/collections/{name}/faqs",
    "/api/v1/conversations",
    "/api/v1/unanswered/{id}/faq",
    "/api/v1/webhooks",
    "/api/v1/documents/retry",
    RETRY,
    "/api/v1/documents/{id}/reingest",
    "/api/v1/jobs/{id}/retry",
];

/// Its body may be a password, of which not even a hash is kept: a retry is the same whatever the password.
const RETRY: &str = "/api/v1/documents/{id}/retry";

/// The same of uploads.
const UPLOADS: [&str; 2] = ["/api/v1/documents", "/api/v1/imports"];

/// Whether such requests may be named by their clients.
pub(crate) fn is_taken(method: &Method, route: &str) -> bool {
    method == Method::POST && (ROUTES.contains(&route) || UPLOADS.contains(&route))
}

/// What is kept in place of a response that is a stream.
#[derive(Clone)]
pub(crate) struct InPlace(pub(crate) Vec<u8>);

/// How a client names its request, if it does.
pub(crate) struct Word(Option<(TenantId, ApiKeyId, String)>);

const CHARS_MAX: usize = 255;

impl FromRequestParts<AppState> for Word {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(Self(None));
        };
        let word = value.to_str().unwrap_or_default().trim_matches('"');
        if word.is_empty() || word.len() > CHARS_MAX {
            return Err(ApiError::Invalid(format!(
                "The header `Idempotency-Key` is 1 to {CHARS_MAX} ASCII characters. Send a random one, such as a UUID, \
                 for each thing that you make."
            )));
        }
        let word = word.to_owned();
        let caller = Caller::from_request_parts(parts, state).await?;
        Ok(Self(Some((caller.tenant, caller.key, word))))
    }
}

/// For requests whose body is JSON.
pub(crate) async fn apply(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response> {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map(MatchedPath::as_str).unwrap_or_default();
    let applies = request.method() == Method::POST
        && ROUTES.contains(&route)
        && request.headers().contains_key("idempotency-key");
    let is_secret = route == RETRY;
    if !applies {
        return Ok(next.run(request).await);
    }
    let (mut parts, body) = request.into_parts();
    let word = Word::from_request_parts(&mut parts, &state).await?;
    let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), &state).await?;
    let said = if is_secret { &[] } else { &bytes[..] };
    let request_sha256 = fingerprint([parts.uri.to_string().as_bytes(), said]);
    let request = Request::from_parts(parts.clone(), Body::from(bytes));
    let work = async move { next.run(request).await };
    match once(&state, word, request_sha256, work).await? {
        Outcome::Done(response) => Ok(response),
        Outcome::Again(answer) => again(&state, parts, answer).await,
    }
}

/// Each part with its length before it, so that no two lists of parts are the same bytes.
pub(crate) fn fingerprint<const N: usize>(parts: [&[u8]; N]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().to_vec()
}

pub(crate) enum Outcome {
    Done(Response),
    /// It was done before.
    Again(Answer),
}

/// Does the work, unless the same request has been answered already.
pub(crate) async fn once(
    state: &AppState,
    Word(word): Word,
    request_sha256: Vec<u8>,
    work: impl Future<Output = Response> + Send + 'static,
) -> Result<Outcome> {
    let Some((tenant, api_key, key)) = word else {
        return Ok(Outcome::Done(work.await));
    };
    let named = Named {
        tenant,
        api_key,
        key,
        request_sha256,
    };
    let settings = &state.settings;
    let terms = Terms {
        busy_seconds: settings.request_timeout_seconds.saturating_mul(2),
        kept_seconds: settings.http.idempotency_seconds,
    };
    let count = |outcome: &'static str| {
        ::metrics::counter!(metrics::IDEMPOTENT_REQUESTS, "outcome" => outcome).increment(1);
    };
    let turn = match idempotency::claim(&state.pool, &named, terms).await? {
        Claim::Mine(turn) => turn,
        Claim::Answered(answer) => {
            count("replayed");
            return Ok(Outcome::Again(answer));
        }
        Claim::Busy => {
            count("busy");
            return Err(ApiError::IdempotencyBusy);
        }
        Claim::Other => {
            count("other");
            return Err(ApiError::IdempotencyOther);
        }
    };
    count("first");
    // On a task of its own: a client that leaves in the middle drops this future, but not what it has begun.
    let task = tokio::spawn(finish(state.clone(), named, turn, work).in_current_span());
    let response = task.await.map_err(|_| ApiError::Panicked)?;
    Ok(Outcome::Done(response))
}

async fn finish(
    state: AppState,
    named: Named,
    turn: Uuid,
    work: impl Future<Output = Response> + Send + 'static,
) -> Response {
    // A panic leaves the key busy for its time.
    let response = work.await;
    if !response.status().is_success() {
        if let Err(error) = idempotency::release(&state.pool, &named, turn).await {
            warn!(%error, "an idempotency key stays busy for its time");
        }
        return response;
    }
    let (parts, body) = response.into_parts();
    let (kept, body) = match parts.extensions.get::<InPlace>() {
        Some(InPlace(bytes)) => (bytes.clone(), body),
        // What makes something answers with a few fields of JSON.
        None => match body::to_bytes(body, usize::MAX).await {
            Ok(bytes) => (bytes.to_vec(), Body::from(bytes)),
            Err(_) => return ApiError::Panicked.into_response(),
        },
    };
    let location = parts.headers.get(header::LOCATION);
    let answer = Answer {
        // A stream's place is taken by what is answered without one.
        status: if parts.extensions.get::<InPlace>().is_some() {
            202
        } else {
            parts.status.as_u16().cast_signed()
        },
        location: location
            .and_then(|location| location.to_str().ok())
            .map(ToOwned::to_owned),
        body: kept,
    };
    if let Err(error) = idempotency::settle(&state.pool, &named, turn, &answer).await {
        warn!(%error, "an answer is not kept: the same request would be done again");
    }
    Response::from_parts(parts, body)
}

/// The answer that was kept; to a question whose client wants a stream, the stream from its beginning.
async fn again(state: &AppState, mut parts: Parts, answer: Answer) -> Result<Response> {
    if questions::wants_stream(&parts.headers)
        && let Some(location) = &answer.location
        && let Some(id) = location.strip_prefix("/api/v1/questions/")
        && let Ok(id) = id.parse()
    {
        let caller = Caller::from_request_parts(&mut parts, state).await?;
        let seat = Seat::from_request_parts(&mut parts, state).await?;
        let stream = streams::of_question(state.clone(), caller, id, EventId::default(), seat);
        let mut response = stream.await?;
        response.headers_mut().extend(replayed(&answer));
        return Ok(response);
    }
    Ok(repeat(&answer))
}

/// The answer that was kept, as it was.
pub(crate) fn repeat(answer: &Answer) -> Response {
    let status = u16::try_from(answer.status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body.clone()).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.headers_mut().extend(replayed(answer));
    response
}

fn replayed(answer: &Answer) -> axum::http::HeaderMap {
    let mut headers = axum::http::HeaderMap::new();
    headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    if let Some(location) = answer.location.as_deref().and_then(|raw| raw.parse().ok()) {
        headers.insert(header::LOCATION, location);
    }
    headers
}
