//! The API as clients of OpenAI's know it: chat completions, embeddings and models, so that programs made for those
//! work with Lectern unchanged. Keys are the same.

pub(crate) mod chat;
mod citations;
pub(crate) mod embeddings;
mod messages;
pub(crate) mod models;
mod refusals;

use axum::{Router, handler::Handler, middleware, routing::any};

pub(crate) use self::{
    chat::complete,
    embeddings::create as embed,
    models::{list as models, show as model},
    refusals::{body as refusal, in_their_shape},
};
use crate::{error, state::AppState};

/// What isn't there is said in the shape that their clients read, too.
pub(crate) fn fallback() -> Router<AppState> {
    let shape = middleware::map_response(in_their_shape);
    Router::new().route("/v1/{*rest}", any(error::no_such_route.layer(shape)))
}
