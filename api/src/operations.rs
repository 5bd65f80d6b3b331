//! `GET /api/v1/operations`: what is going on, for the operations page and whoever wants it without Prometheus.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use lectern_shared::{
    ids::{DocumentId, JobId},
    jobs::Queue,
    store::{
        models,
        operations::{self, AliveWorker, DocumentCount, Hour, Minute, QueueState, RunningJob},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::Caller, error::Result, state::AppState};

#[derive(Serialize, ToSchema)]
pub(crate) struct Operations {
    version: &'static str,
    /// What the vectors are made with.
    model: Option<String>,
    /// Where the dashboards are, if the settings say so.
    grafana: Option<String>,
    queues: Vec<QueueView>,
    running: Vec<RunningView>,
    workers: Vec<WorkerView>,
    documents: Vec<DocumentsView>,
    /// Of the last 24 hours, the oldest first.
    answers: Vec<HourView>,
}

const MINUTES: usize = 60;
const HOURS: usize = 24;

/// Jobs of the caller's tenant in a queue.
#[derive(Serialize, ToSchema)]
#[schema(as = QueueState)]
struct QueueView {
    queue: String,
    waiting: i64,
    /// Waiting for their next attempt.
    later: i64,
    running: i64,
    dead: i64,
    oldest_seconds: Option<f64>,
    /// Ended well in each minute of the last hour, the oldest first.
    done: Vec<i64>,
    /// Ended badly, likewise.
    failed: Vec<i64>,
}

impl QueueView {
    fn new(queue: QueueState, minutes: &[Minute]) -> Self {
        let own = || minutes.iter().filter(|minute| minute.queue == queue.queue);
        Self {
            done: row(
                MINUTES,
                own().map(|minute| (minute.minutes_ago, minute.done)),
            ),
            failed: row(
                MINUTES,
                own().map(|minute| (minute.minutes_ago, minute.failed)),
            ),
            queue: queue.queue,
            waiting: queue.waiting,
            later: queue.later,
            running: queue.running,
            dead: queue.dead,
            oldest_seconds: queue.oldest_seconds,
        }
    }
}

/// Counts by how long ago they were, as a row of all, the oldest first.
fn row(length: usize, counts: impl Iterator<Item = (i32, i64)>) -> Vec<i64> {
    let mut row = vec![0; length];
    for (ago, count) in counts {
        let place = usize::try_from(ago)
            .ok()
            .and_then(|ago| length.checked_sub(ago + 1));
        if let Some(place) = place {
            row[place] = count;
        }
    }
    row
}

#[derive(Serialize, ToSchema)]
#[schema(as = RunningJob)]
struct RunningView {
    id: JobId,
    kind: String,
    worker: Option<String>,
    document: Option<DocumentId>,
    document_name: Option<String>,
    stage: Option<String>,
    done: Option<i32>,
    total: Option<i32>,
    attempt: i32,
    started_at: Option<DateTime<Utc>>,
}

impl From<RunningJob> for RunningView {
    fn from(job: RunningJob) -> Self {
        Self {
            id: job.id,
            kind: job.kind,
            worker: job.worker,
            document: job.document,
            document_name: job.document_name,
            stage: job.stage,
            done: job.done,
            total: job.total,
            attempt: job.attempt,
            started_at: job.started_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Worker)]
struct WorkerView {
    name: String,
    version: String,
    model: String,
    started_at: DateTime<Utc>,
}

impl From<AliveWorker> for WorkerView {
    fn from(worker: AliveWorker) -> Self {
        Self {
            name: worker.name,
            version: worker.version,
            model: worker.model,
            started_at: worker.started_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = DocumentCount)]
struct DocumentsView {
    state: String,
    count: i64,
    pages: i64,
    chunks: i64,
}

impl From<DocumentCount> for DocumentsView {
    fn from(count: DocumentCount) -> Self {
        Self {
            state: count.state,
            count: count.count,
            pages: count.pages,
            chunks: count.chunks,
        }
    }
}

#[derive(Clone, Default, Serialize, ToSchema)]
#[schema(as = HourOfAnswers)]
struct HourView {
    generated: i64,
    cached: i64,
    faq: i64,
    /// The documents didn't answer.
    abstained: i64,
    failed: i64,
}

impl From<&Hour> for HourView {
    fn from(hour: &Hour) -> Self {
        Self {
            generated: hour.generated,
            cached: hour.cached,
            faq: hour.faq,
            abstained: hour.abstained,
            failed: hour.failed,
        }
    }
}

/// Of the jobs that run; a tenant has as many places as workers offer.
const RUNNING_MAX: u32 = 100;

#[utoipa::path(
    get, path = "/api/v1/operations", tag = "Operations", operation_id = "getOperations",
    summary = "Show what is going on",
    description = "",
    responses(
        (status = 200, description = "Queues, jobs, workers, documents and answers of the tenant", body = Operations),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Operations>> {
    let (pool, tenant) = (&state.pool, caller.tenant);
    let names = Queue::ALL.map(|queue| queue.as_str().to_owned());
    let (queues, minutes, running, workers, documents, hours, model) = tokio::try_join!(
        operations::queues(pool, tenant, &names),
        operations::minutes(pool, tenant),
        operations::running(pool, tenant, RUNNING_MAX),
        operations::workers(pool),
        operations::documents(pool, tenant),
        operations::hours(pool, tenant),
        models::current(pool),
    )?;
    let mut answers = vec![HourView::default(); HOURS];
    for hour in &hours {
        let place = usize::try_from(hour.hours_ago).ok();
        if let Some(place) = place.and_then(|ago| HOURS.checked_sub(ago + 1)) {
            answers[place] = hour.into();
        }
    }
    Ok(Json(Operations {
        version: env!("CARGO_PKG_VERSION"),
        model: model.map(|model| model.to_string()),
        grafana: Some(state.settings.grafana_url.clone()).filter(|url| !url.is_empty()),
        queues: queues
            .into_iter()
            .map(|queue| QueueView::new(queue, &minutes))
            .collect(),
        running: running.into_iter().map(Into::into).collect(),
        workers: workers.into_iter().map(Into::into).collect(),
        documents: documents.into_iter().map(Into::into).collect(),
        answers,
    }))
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn a_row_ends_with_what_is_newest_and_leaves_out_what_is_too_old() {
        assert_eq!(
            row(3, [(0, 7), (2, 5), (3, 9), (-1, 9)].into_iter()),
            [5, 0, 7]
        );
    }
}
