//! How far the work on documents is, and how long it may still take: for what waits, as tenants take turns.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::Result;
use crate::ids::{DocumentId, TenantId};

/// What is under way for a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    pub document: DocumentId,
    /// `queued`, `retrying` (waits for its next attempt), or the stage that runs.
    pub stage: String,
    pub done: Option<i32>,
    pub total: Option<i32>,
    /// Units per second.
    pub rate: Option<f32>,
    /// Of the document while it waits; of the stage while it runs.
    pub estimated_end: Option<DateTime<Utc>>,
    /// From 1; 0 before the first.
    pub attempt: i32,
    pub attempts_max: i32,
    /// Jobs that come before it.
    pub ahead: Option<i64>,
    /// When it is tried again.
    pub retry_at: Option<DateTime<Utc>>,
}

/// A worker that was not seen for so long gives no hope.
const ALIVE_SECONDS: f64 = 15.0;

/// What is under way for these documents, in one query; nothing for those that are at rest.
///
/// `ahead` counts as [`super::jobs::claim_in_turn`] takes jobs if all are alike: before the tenant's n-th come its
/// own n - 1 and as many of each other tenant. The estimate for what waits goes by how long the last hundred ingests
/// of the last hour took, and by how many run at a time.
///
/// # Errors
/// When the database fails.
pub async fn of(pool: &PgPool, tenant: TenantId, documents: &[DocumentId]) -> Result<Vec<Work>> {
    let documents: Vec<Uuid> = documents.iter().map(|document| document.0).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"with job as materialized (
               select distinct on (subject) *
               from jobs
               where subject = any($2) and tenant_id = $1 and kind = 'ingest' and state in ('queued', 'running')
               order by subject, id desc
           ), waiting as materialized (
               select tenant_id, count(*) as jobs
               from jobs
               where queue = 'ingest' and state = 'queued' and run_at <= now()
                 and exists (select from job where state = 'queued')
               group by tenant_id
           ), own as materialized (
               select id, row_number() over (order by run_at, id) as turn
               from jobs
               where queue = 'ingest' and tenant_id = $1 and state = 'queued' and run_at <= now()
                 and exists (select from job where state = 'queued')
           ), pace as materialized (
               select avg(seconds)::float8 as seconds
               from (
                   select extract(epoch from finished_at - started_at) as seconds
                   from jobs
                   where state = 'done' and kind = 'ingest' and finished_at > now() - interval '1 hour'
                   order by finished_at desc
                   limit 100
               ) recent
           ), places as materialized (
               select greatest(
                   (select count(*) from jobs where queue = 'ingest' and state = 'running'),
                   (select count(*) from workers where seen_at > now() - make_interval(secs => $3))
               ) as count
           )
           select job.subject as "document!: DocumentId", job.state as "state!", job.stage, now() as "now!",
               job.progress_done as done, job.progress_total as total, job.rate, job.progress_at,
               job.attempt - job.attempts_before as "attempt!", job.max_attempts - job.attempts_before as "attempts_max!",
               job.run_at as "run_at!",
               own.turn - 1 + coalesce((
                   select sum(least(jobs, own.turn - 1)) from waiting where waiting.tenant_id <> $1
               ), 0)::bigint as ahead,
               pace.seconds as seconds_each, places.count as "places!"
           from job
           cross join pace
           cross join places
           left join own on own.id = job.id"#,
        tenant.0,
        &documents,
        ALIVE_SECONDS,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

struct Row {
    document: DocumentId,
    state: String,
    stage: Option<String>,
    now: DateTime<Utc>,
    done: Option<i32>,
    total: Option<i32>,
    rate: Option<f32>,
    progress_at: Option<DateTime<Utc>>,
    attempt: i32,
    attempts_max: i32,
    run_at: DateTime<Utc>,
    ahead: Option<i64>,
    seconds_each: Option<f64>,
    places: i64,
}

impl From<Row> for Work {
    fn from(row: Row) -> Self {
        let is_queued = row.state == "queued";
        let retry_at = (is_queued && row.run_at > row.now).then_some(row.run_at);
        let stage = match (&row.stage, is_queued, retry_at) {
            (_, true, Some(_)) => "retrying".to_owned(),
            (_, true, None) => "queued".to_owned(),
            (Some(stage), false, _) => stage.clone(),
            (None, false, _) => "starting".to_owned(),
        };
        let estimated_end = if is_queued {
            row.ahead
                .and_then(|ahead| seconds_of_all(ahead, row.places, row.seconds_each?))
                .and_then(|seconds| after(row.now, seconds))
        } else {
            seconds_left(row.done, row.total, row.rate)
                .zip(row.progress_at)
                .and_then(|(seconds, noted_at)| after(noted_at, seconds))
                .map(|end| end.max(row.now))
        };
        Self {
            document: row.document,
            stage,
            // What an attempt that is over had done counts no more.
            done: row.done.filter(|_| !is_queued),
            total: row.total.filter(|_| !is_queued),
            rate: row.rate.filter(|_| !is_queued),
            estimated_end,
            attempt: row.attempt,
            attempts_max: row.attempts_max,
            ahead: row.ahead,
            retry_at,
        }
    }
}

/// How long a stage still takes at its rate.
fn seconds_left(done: Option<i32>, total: Option<i32>, rate: Option<f32>) -> Option<f64> {
    let (done, total, rate) = (done?, total?, f64::from(rate?));
    (rate > 0.0).then(|| f64::from((total - done).max(0)) / rate)
}

/// How long it takes to work off what is ahead and the job itself, so many at a time. `None`: nobody works.
fn seconds_of_all(ahead: i64, places: i64, seconds_each: f64) -> Option<f64> {
    let rounds = ahead.checked_div(places)? + 1;
    Some(f64::from(i32::try_from(rounds).ok()?) * seconds_each)
}

fn after(from: DateTime<Utc>, seconds: f64) -> Option<DateTime<Utc>> {
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and is checked")]
    let milliseconds = (seconds * 1000.0) as i64;
    from.checked_add_signed(TimeDelta::try_milliseconds(milliseconds)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_takes_what_is_left_of_it_at_its_rate() {
        assert_eq!(seconds_left(Some(30), Some(90), Some(2.0)), Some(30.0));
        assert_eq!(seconds_left(Some(90), Some(90), Some(2.0)), Some(0.0));
        assert_eq!(seconds_left(Some(0), Some(90), Some(0.0)), None);
        assert_eq!(seconds_left(Some(0), Some(90), None), None);
    }

    #[test]
    fn what_waits_takes_as_many_rounds_as_places_need() {
        assert_eq!(seconds_of_all(0, 4, 10.0), Some(10.0));
        assert_eq!(seconds_of_all(3, 4, 10.0), Some(10.0));
        assert_eq!(seconds_of_all(4, 4, 10.0), Some(20.0));
        assert_eq!(seconds_of_all(4, 0, 10.0), None, "nobody works");
    }
}
