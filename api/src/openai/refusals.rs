//! Refusals in the shape that OpenAI's clients read: `{"error": {"message", "type", "param", "code"}}`.

use axum::{
    Json,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::error::Refusal;

/// Puts our refusals into their shape; whatever else there is passes.
pub(crate) async fn in_their_shape(response: Response) -> Response {
    let Some(refusal) = response.extensions().get::<Refusal>() else {
        return response;
    };
    let body = body(refusal, response.status().as_u16());
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    (parts, Json(body)).into_response()
}

/// What clients tell errors apart by.
pub(crate) fn body(refusal: &Refusal, status: u16) -> Value {
    let (kind, code) = match status {
        401 => ("authentication_error", "invalid_api_key"),
        403 => ("permission_error", refusal.code),
        429 => ("rate_limit_error", "rate_limit_exceeded"),
        500.. => ("server_error", refusal.code),
        _ => ("invalid_request_error", refusal.code),
    };
    json!({"error": {
        "message": format!("{}. {}", refusal.title, refusal.detail),
        "type": kind,
        "param": refusal.parameter,
        "code": code,
    }})
}
