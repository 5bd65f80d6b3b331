//! What the table of routes in `routes.rs` is made of, and how it becomes a router.
//!
//! A row can't be written without saying what it needs, and its key is looked at before anything else of a request.

use std::collections::HashSet;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    handler::Handler,
    http::Method,
    middleware::{self, Next},
    response::Response,
    routing::{MethodFilter, MethodRouter, on},
};

use crate::{
    auth::{self, Need},
    error::{self, ApiError, Result},
    state::AppState,
    widgets,
};

/// How long a request may take, and how much it may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// `LECTERN_REQUEST_TIMEOUT_SECONDS` and `LECTERN_BODY_BYTES_MAX`.
    Quick,
    /// As long as there is something to say.
    Streaming,
    /// As much as the handler counts.
    Upload,
}

/// A row of the table.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    pace: Pace,
    handler: MethodRouter<AppState>,
}

impl Route {
    /// The answer is a stream, or a file.
    pub(crate) fn streaming(self) -> Self {
        let pace = Pace::Streaming;
        Self { pace, ..self }
    }

    /// The handler counts the bytes of the body itself.
    pub(crate) fn upload(self) -> Self {
        let pace = Pace::Upload;
        Self { pace, ..self }
    }
}

macro_rules! method {
    ($name:ident, $method:ident) => {
        pub(crate) fn $name<H, T>(path: &'static str, need: Need, handler: H) -> Route
        where
            H: Handler<T, AppState>,
            T: 'static,
        {
            Route {
                method: Method::$method,
                path,
                need,
                pace: Pace::Quick,
                handler: on(MethodFilter::$method, handler),
            }
        }
    };
}

method!(get, GET);
method!(post, POST);
method!(put, PUT);
method!(patch, PATCH);
method!(delete, DELETE);

/// Routes to which web pages of other origins come, and the others.
pub(crate) fn router(state: &AppState, table: Vec<Route>) -> Router<AppState> {
    let for_widgets: HashSet<_> = table
        .iter()
        .filter(|route| route.need.is_for_widgets())
        .map(|route| route.path)
        .collect();
    let (shared, own): (Vec<_>, Vec<_>) = table
        .into_iter()
        .partition(|route| for_widgets.contains(route.path));
    let methods = shared.iter().map(|route| route.method.clone()).collect();
    rows(state, shared)
        .layer(widgets::cross_origin(state, methods))
        .merge(rows(state, own))
}

fn rows(state: &AppState, table: Vec<Route>) -> Router<AppState> {
    let body_bytes_max = state.settings.body_bytes_max;
    let router = table.into_iter().fold(Router::new(), |router, route| {
        let body_limit = match route.pace {
            Pace::Quick | Pace::Streaming => DefaultBodyLimit::max(body_bytes_max),
            Pace::Upload => DefaultBodyLimit::disable(),
        };
        let admit = middleware::from_fn_with_state((state.clone(), route.need), auth::admit);
        let mut handler = route.handler.layer(body_limit).layer(admit);
        if route.pace == Pace::Quick {
            handler = handler.layer(middleware::from_fn_with_state(state.clone(), limit_time));
        }
        router.route(route.path, handler)
    });
    // Before the layer that answers preflights, which come with a method that no row has.
    router.method_not_allowed_fallback(error::no_such_method)
}

async fn limit_time(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response> {
    tokio::time::timeout(state.settings.request_timeout(), next.run(request))
        .await
        .map_err(|_| ApiError::TookTooLong)
}
