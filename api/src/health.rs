//! Is it alive, is it ready, and what does it consist of. Metrics, too.
//!
//! Anybody may ask, without a key and as often as they like, also when there is too much to do. So what is told was
//! found out once a second at the most, however many ask.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use chrono::{DateTime, Utc};
use lectern_shared::{
    metrics,
    store::{self, workers},
};
use serde::Serialize;
use tokio::sync::OnceCell;
use utoipa::ToSchema;

use crate::{error::ApiError, state::AppState};

#[derive(Serialize, ToSchema)]
#[schema(as = HealthReport)]
pub(crate) struct Report {
    /// `ready` or `not_ready`.
    status: &'static str,
    version: &'static str,
    postgres: Check,
    redis: Check,
    workers: Check,
    /// What the vectors are made with.
    model: Option<String>,
    /// The model that they are being made with anew, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    reindex: Option<Reindex>,
}

#[derive(Clone, Serialize, ToSchema)]
struct Reindex {
    model: String,
    passages_done: i64,
    passages_total: i64,
    since: DateTime<Utc>,
}

#[derive(Clone, Serialize, ToSchema)]
#[schema(as = HealthCheck)]
struct Check {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pgvector: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alive: Option<i64>,
}

impl Check {
    const DOWN: Self = Self {
        ok: false,
        version: None,
        pgvector: None,
        alive: None,
    };
}

/// How old what is told may be.
const AGE_MAX: Duration = Duration::from_secs(1);

/// What was found out last.
#[derive(Default)]
pub(crate) struct Known {
    postgres: Remembered<Check>,
    redis: Remembered<Check>,
    workers: Remembered<Check>,
    model: Remembered<Option<String>>,
    reindex: Remembered<Option<Reindex>>,
}

struct Remembered<T>(Mutex<Arc<OnceCell<(Instant, T)>>>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Remembered<T> {
    /// What was found out, unless it is too old. Of those who ask meanwhile one finds it out, and the others wait for that.
    async fn or(&self, find: impl Future<Output = T>) -> T {
        let cell = {
            let mut cell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if cell.get().is_some_and(|(at, _)| at.elapsed() >= AGE_MAX) {
                *cell = Arc::default();
            }
            cell.clone()
        };
        let find = async {
            let found = find.await;
            (Instant::now(), found)
        };
        let (_, found) = cell.get_or_init(|| find).await;
        found.clone()
    }
}

/// The process runs: nothing else is asked.
#[utoipa::path(
    get, path = "/api/v1/health/live", tag = "Operations", operation_id = "isLive",
    summary = "Whether the process runs",
    description = "",
    responses(
        (status = 200, description = "It runs", body = String, content_type = "text/plain"),
    ),
)]
pub(crate) async fn live() -> &'static str {
    "live\n"
}

/// Requests can be served: the database and Redis answer. Workers may be away; jobs wait for them.
#[utoipa::path(
    get, path = "/api/v1/health/ready", tag = "Operations", operation_id = "isReady",
    summary = "Whether requests can be served",
    description = "",
    responses(
        (status = 200, description = "PostgreSQL and Redis answer", body = String, content_type = "text/plain"),
        (status = 503, description = "One of them does not", body = String, content_type = "text/plain"),
    ),
)]
pub(crate) async fn ready(State(state): State<AppState>) -> (StatusCode, &'static str) {
    let known = &state.health;
    let (postgres, redis) = tokio::join!(
        known.postgres.or(postgres(&state)),
        known.redis.or(redis(&state))
    );
    if postgres.ok && redis.ok {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

/// Everything with its state and version. 200 when questions can be answered, that is, with a worker alive.
#[utoipa::path(
    get, path = "/api/v1/health", tag = "Operations", operation_id = "getHealth",
    summary = "Show whether everything is up",
    description = "",
    responses(
        (status = 200, description = "Questions can be answered", body = Report),
        (status = 503, description = "Something is missing: a worker, PostgreSQL or Redis", body = Report),
    ),
)]
pub(crate) async fn report(State(state): State<AppState>) -> (StatusCode, Json<Report>) {
    let known = &state.health;
    let (postgres, redis, workers, model, reindex) = tokio::join!(
        known.postgres.or(postgres(&state)),
        known.redis.or(redis(&state)),
        known.workers.or(workers(&state)),
        known.model.or(model(&state)),
        known.reindex.or(reindex(&state))
    );
    let ready = postgres.ok && redis.ok && workers.ok;
    let (code, status) = if ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    let report = Report {
        status,
        version: env!("CARGO_PKG_VERSION"),
        postgres,
        redis,
        workers,
        model,
        reindex,
    };
    (code, Json(report))
}

/// A dependency that takes longer counts as down.
const PATIENCE: Duration = Duration::from_secs(2);

async fn postgres(state: &AppState) -> Check {
    match tokio::time::timeout(PATIENCE, store::versions(&state.pool)).await {
        Ok(Ok(versions)) => Check {
            ok: true,
            version: Some(versions.postgres),
            pgvector: Some(versions.pgvector),
            alive: None,
        },
        _ => Check::DOWN,
    }
}

async fn redis(state: &AppState) -> Check {
    let mut connection = state.redis.clone();
    let mut command = redis::cmd("INFO");
    let info = command.arg("server");
    match tokio::time::timeout(PATIENCE, info.query_async::<String>(&mut connection)).await {
        Ok(Ok(info)) => {
            let field = |name: &str| {
                info.lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(ToOwned::to_owned)
            };
            let version = field("valkey_version:").or_else(|| field("redis_version:"));
            Check {
                ok: true,
                version,
                ..Check::DOWN
            }
        }
        _ => Check::DOWN,
    }
}

async fn workers(state: &AppState) -> Check {
    match tokio::time::timeout(
        PATIENCE,
        workers::alive(&state.pool, Duration::from_secs(10)),
    )
    .await
    {
        Ok(Ok(alive)) => Check {
            ok: alive > 0,
            alive: Some(alive),
            ..Check::DOWN
        },
        _ => Check::DOWN,
    }
}

async fn model(state: &AppState) -> Option<String> {
    let current = tokio::time::timeout(PATIENCE, store::models::current(&state.pool)).await;
    Some(current.ok()?.ok()??.to_string())
}

async fn reindex(state: &AppState) -> Option<Reindex> {
    let progress = tokio::time::timeout(PATIENCE, store::reindex::progress(&state.pool)).await;
    let progress = progress.ok()?.ok()??;
    Some(Reindex {
        model: progress.model.to_string(),
        passages_done: progress.done,
        passages_total: progress.total,
        since: progress.since,
    })
}

#[utoipa::path(
    get, path = "/metrics", tag = "Operations", operation_id = "getMetrics",
    summary = "Metrics, for Prometheus",
    description = "",
    responses(
        (status = 200, description = "In its text format", body = String, content_type = "text/plain"),
    ),
)]
pub(crate) async fn metrics(State(state): State<AppState>) -> Result<impl IntoResponse, ApiError> {
    let prometheus = state.prometheus.as_ref().ok_or(ApiError::NoSuchRoute)?;
    metrics::collect_process();
    ::metrics::gauge!(metrics::DATABASE_CONNECTIONS, "state" => "open").set(state.pool.size());
    ::metrics::gauge!(metrics::DATABASE_CONNECTIONS, "state" => "idle")
        .set(u32::try_from(state.pool.num_idle()).unwrap_or(u32::MAX));
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        prometheus.render(),
    ))
}
