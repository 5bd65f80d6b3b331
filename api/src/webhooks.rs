//! Webhooks: make, list and delete them, and see what they were told.

use axum::{Json, extract::State, http::StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use chrono::{DateTime, Utc};
use lectern_shared::{
    failure::FailureReport,
    ids::{DeliveryId, DocumentId, WebhookId},
    store::webhooks::{self, Told, Webhook},
    webhooks::Event,
};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::Caller,
    error::{ApiError, Result},
    extract::{self, Path, Query},
    jobs,
    state::AppState,
};

/// A webhook as clients see it. Its secret is shown once, when it is made.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(crate) struct WebhookView {
    id: WebhookId,
    url: String,
    events: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    created_at: DateTime<Utc>,
}

impl WebhookView {
    fn new(webhook: Webhook, secret: Option<String>) -> Self {
        Self {
            id: webhook.id,
            url: webhook.url,
            events: webhook.events,
            secret,
            created_at: webhook.created_at,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewWebhook)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    #[schema(format = "uri", pattern = r"^https://[A-Za-z0-9]")]
    url: String,
    /// All, if none is named.
    #[serde(default = "all_events")]
    #[schema(min_items = 1)]
    events: Vec<Event>,
}

fn all_events() -> Vec<Event> {
    Event::ALL.to_vec()
}

#[utoipa::path(
    post, path = "/api/v1/webhooks", tag = "Webhooks", operation_id = "createWebhook",
    summary = "Make a webhook",
    description = "It is told of documents as Standard Webhooks has it, signed with the secret.",
    request_body(content = Create),
    responses(
        (status = 201, description = "The webhook with its secret, which is shown only now", body = WebhookView),
    ),
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    extract::Json(wanted): extract::Json<Create>,
) -> Result<(StatusCode, Json<WebhookView>)> {
    let url = state
        .store_settings
        .webhook_policy()
        .check(&wanted.url)
        .map_err(|bad| ApiError::Invalid(bad.to_string()))?;
    let mut events = wanted.events;
    events.sort_by_key(|event| event.as_str());
    events.dedup();
    if events.is_empty() {
        return Err(ApiError::Invalid(
            "The field `events` is empty. Name document.ready, document.failed, or leave the field out.".into(),
        ));
    }
    // As many bits as the signature has, which is what Standard Webhooks recommends.
    let mut secret = [0_u8; 32];
    rand::rng().fill_bytes(&mut secret);
    let max = state.settings.webhooks_max;
    let webhook = webhooks::create(
        &state.pool,
        caller.tenant,
        url.as_str(),
        &events,
        &secret,
        max,
    )
    .await?
    .ok_or_else(|| {
        ApiError::Taken(format!(
            "You have {max} webhooks, as many as this server takes. Delete one, or raise LECTERN_WEBHOOKS_MAX."
        ))
    })?;
    info!(webhook.id = %webhook.id, "webhook made");
    let secret = format!("whsec_{}", BASE64.encode(secret));
    Ok((
        StatusCode::CREATED,
        Json(WebhookView::new(webhook, Some(secret))),
    ))
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookList)]
pub(crate) struct List {
    webhooks: Vec<WebhookView>,
}

#[utoipa::path(
    get, path = "/api/v1/webhooks", tag = "Webhooks", operation_id = "listWebhooks",
    summary = "List webhooks",
    description = "",
    responses(
        (status = 200, description = "All of the tenant", body = List),
    ),
)]
pub(crate) async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<List>> {
    let found = webhooks::list(&state.pool, caller.tenant).await?;
    let view = |webhook| WebhookView::new(webhook, None);
    Ok(Json(List {
        webhooks: found.into_iter().map(view).collect(),
    }))
}

const NO_WEBHOOK: ApiError = ApiError::NotFound("webhook");

/// Deletes a webhook. What it was still to be told is told no more.
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{id}", tag = "Webhooks", operation_id = "deleteWebhook",
    summary = "Delete a webhook",
    description = "",
    params(("id" = WebhookId, Path, description = "The webhook")),
    responses(
        (status = 204, description = "It is gone; what it was still to be told is told no more"),
    ),
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<WebhookId>,
) -> Result<StatusCode> {
    if !webhooks::delete(&state.pool, caller.tenant, id).await? {
        return Err(NO_WEBHOOK);
    }
    info!(webhook.id = %id, "webhook deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// What a webhook was told, or is to be.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(crate) struct DeliveryView {
    /// The `webhook-id` that the receiver sees.
    id: DeliveryId,
    event: String,
    document: DocumentId,
    /// `waiting`, `delivered` or `failed`.
    state: &'static str,
    attempts: Option<i32>,
    /// What the receiver has answered last.
    status: Option<i16>,
    failure: Option<FailureReport>,
    created_at: DateTime<Utc>,
    delivered_at: Option<DateTime<Utc>>,
}

impl From<Told> for DeliveryView {
    fn from(told: Told) -> Self {
        let state = match (told.delivered_at, told.job_state.as_deref()) {
            (Some(_), _) => "delivered",
            (None, Some("queued" | "running")) => "waiting",
            (None, _) => "failed",
        };
        Self {
            id: told.id,
            event: told.event,
            document: told.document,
            state,
            attempts: told.attempts,
            status: told.status,
            failure: told.failure.as_deref().map(FailureReport::from_code),
            created_at: told.created_at,
            delivered_at: told.delivered_at,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveriesQuery {
    /// The `next` of the page before.
    before: Option<DeliveryId>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryList)]
pub(crate) struct Deliveries {
    deliveries: Vec<DeliveryView>,
    /// Pass as `before` to get the next page; absent on the last.
    next: Option<DeliveryId>,
}

#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}/deliveries", tag = "Webhooks", operation_id = "listDeliveries",
    summary = "Show what a webhook was told",
    description = "",
    params(("id" = WebhookId, Path, description = "The webhook"), DeliveriesQuery),
    responses(
        (status = 200, description = "A page of deliveries, newest first", body = Deliveries),
    ),
)]
pub(crate) async fn deliveries(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<WebhookId>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Json<Deliveries>> {
    let limit = jobs::limit(query.limit)?;
    let mut found = webhooks::told(&state.pool, caller.tenant, id, query.before, limit + 1)
        .await?
        .ok_or(NO_WEBHOOK)?;
    let has_next = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().map(|told| told.id).filter(|_| has_next);
    Ok(Json(Deliveries {
        deliveries: found.into_iter().map(Into::into).collect(),
        next,
    }))
}
