//! More requests than the process can hold are refused at once, so that those that it has are still answered.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::header,
    middleware::Next,
    response::Response,
};
use lectern_shared::metrics;
use tokio::sync::Semaphore;

use crate::{
    config::HttpSettings,
    error::{ApiError, Result},
    limits::{Class, class_of, waits_for_worker},
    state::AppState,
};

/// Marks requests of connections beyond the most.
#[derive(Clone, Copy)]
pub(crate) struct Crowded;

/// Places for requests that are being answered.
#[derive(Clone)]
pub(crate) struct Places {
    requests: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
}

impl Places {
    pub(crate) fn new(settings: &HttpSettings) -> Self {
        let places = |max: usize| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self {
            requests: places(settings.requests_max),
            waiting: places(settings.waiting_max),
            uploads: places(settings.uploads_max),
        }
    }
}

/// Lets a request through if there is a place for it until the head of its response is there.
pub(crate) async fn shed(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response> {
    let route = request.extensions().get::<MatchedPath>();
    let (places, what) = match class_of(&request) {
        Class::Exempt => return Ok(next.run(request).await),
        Class::Upload => (&state.places.uploads, "uploads"),
        // What may take minutes leaves the places of what takes a moment alone.
        _ if route.is_some_and(|route| waits_for_worker(route.as_str())) => {
            (&state.places.waiting, "waiting")
        }
        Class::Request | Class::Ask => (&state.places.requests, "requests"),
    };
    if request.extensions().get::<Crowded>().is_some() {
        return Err(overloaded("connections"));
    }
    let Ok(_place) = places.try_acquire() else {
        return Err(overloaded(what));
    };
    Ok(next.run(request).await)
}

fn overloaded(what: &'static str) -> ApiError {
    ::metrics::counter!(metrics::REQUESTS_SHED, "what" => what).increment(1);
    ApiError::Overloaded
}

/// Bodies come as they are: unpacking what strangers have packed is not done by accident.
pub(crate) async fn refuse_encoded(request: Request, next: Next) -> Result<Response> {
    let encodings = request.headers().get_all(header::CONTENT_ENCODING);
    let identity = |value: &[u8]| value.eq_ignore_ascii_case(b"identity");
    if encodings.iter().any(|value| !identity(value.as_bytes())) {
        return Err(ApiError::EncodedBody);
    }
    Ok(next.run(request).await)
}
