//! What the table of routes in `routes.rs` is made of, and how it becomes a router.
//!
//! A row can't be written without saying what it needs, and its key is looked at before anything else of a request.

use std::{collections::HashSet, convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    handler::Handler,
    http::Method,
    middleware::{self, Next},
    response::Response,
    routing::{MethodFilter, MethodRouter, on},
};

use tower::util::option_layer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::{
    auth::{self, Need},
    cors,
    error::{self, ApiError, Result},
    idempotency,
    limits::Class,
    openai, paced,
    state::AppState,
};

/// How long a request may take, and how much it may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// `LECTERN_REQUEST_TIMEOUT_SECONDS` and `LECTERN_BODY_BYTES_MAX`.
    Quick,
    /// The same, but for the answer, which goes on as long as there is something to say.
    Streaming,
    /// The same, and as long as a worker may take besides.
    Waiting,
    /// As much as the handler counts, and as long as it isn't too slow.
    Upload,
}

/// A row of the table.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    pace: Pace,
    pub(crate) is_openai: bool,
    handler: MethodRouter<AppState>,
}

impl Route {
    /// The answer is a stream, or a file.
    pub(crate) fn streaming(self) -> Self {
        let pace = Pace::Streaming;
        Self { pace, ..self }
    }

    /// The answer is a worker's, which is waited for.
    pub(crate) fn waiting(self) -> Self {
        let pace = Pace::Waiting;
        Self { pace, ..self }
    }

    /// The handler counts the bytes of the body itself.
    pub(crate) fn upload(self) -> Self {
        let pace = Pace::Upload;
        Self { pace, ..self }
    }

    pub(crate) fn is_upload(&self) -> bool {
        self.pace == Pace::Upload
    }

    /// Neither limited nor ever shed.
    pub(crate) fn is_exempt(&self) -> bool {
        Class::of(&self.method, Some(self.path)) == Class::Exempt
    }

    /// Refusals have the shape of OpenAI's, and bodies hold conversations.
    pub(crate) fn openai(self) -> Self {
        let is_openai = true;
        Self { is_openai, ..self }
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
                is_openai: false,
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
    let for_shared = cors::named_or_of_widgets(state, methods(&shared));
    let for_own = cors::named(state, methods(&own));
    rows(state, shared)
        .layer(for_shared)
        .merge(rows(state, own).layer(option_layer(for_own)))
}

fn methods(table: &[Route]) -> Vec<Method> {
    let methods: HashSet<_> = table.iter().map(|route| route.method.clone()).collect();
    methods.into_iter().collect()
}

fn rows(state: &AppState, table: Vec<Route>) -> Router<AppState> {
    let router = table.into_iter().fold(Router::new(), |router, route| {
        let body_bytes_max = if route.is_openai {
            state.settings.openai_body_bytes_max
        } else {
            state.settings.body_bytes_max
        };
        let handler = match route.pace {
            // Before the handler, and behind what limits the body that it reads.
            Pace::Quick | Pace::Streaming | Pace::Waiting => route
                .handler
                .layer::<_, Infallible>(middleware::from_fn_with_state(
                    state.clone(),
                    idempotency::apply,
                ))
                .layer::<_, Infallible>(RequestBodyTimeoutLayer::new(
                    state.settings.upload_pause_max(),
                ))
                .layer(DefaultBodyLimit::max(body_bytes_max)),
            Pace::Upload => route
                .handler
                .layer::<_, Infallible>(middleware::from_fn_with_state(state.clone(), paced::hold))
                .layer(DefaultBodyLimit::disable()),
        };
        let admit = middleware::from_fn_with_state((state.clone(), route.need), auth::admit);
        let mut handler = handler.layer(admit);
        // Of a stream until the head of the response: it may itself take as long as it likes.
        if route.pace != Pace::Upload {
            let time = time(state, route.pace);
            handler = handler.layer(middleware::from_fn_with_state(time, limit_time));
        }
        if route.is_openai {
            handler = handler.layer(middleware::map_response(openai::in_their_shape));
        }
        router.route(route.path, handler)
    });
    // Before the layer that answers preflights, which come with a method that no row has.
    router.method_not_allowed_fallback(error::no_such_method)
}

fn time(state: &AppState, pace: Pace) -> Duration {
    let settings = &state.settings;
    let quick = settings.request_timeout();
    if pace == Pace::Waiting {
        // Handlers end the waiting themselves, and say what it was for.
        quick + settings.answer_timeout().max(settings.embedding_timeout())
    } else {
        quick
    }
}

async fn limit_time(
    State(time): State<Duration>,
    request: Request,
    next: Next,
) -> Result<Response> {
    tokio::time::timeout(time, next.run(request))
        .await
        .map_err(|_| ApiError::TookTooLong)
}
