//! What is going on, for a tenant's own people: queues, what runs and where, answers and ratings of the last day.
//!
//! Jobs, documents and answers are the tenant's alone. Workers are everybody's, so of them no more than the name shows.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::Result;
use crate::ids::{DocumentId, JobId, TenantId};

/// A queue as it is now.
#[derive(Clone, Debug)]
pub struct QueueState {
    pub queue: String,
    /// Due and not taken yet.
    pub waiting: i64,
    /// Waiting for their next attempt.
    pub later: i64,
    pub running: i64,
    pub dead: i64,
    /// Of the oldest that waits, since it is due.
    pub oldest_seconds: Option<f64>,
}

/// # Errors
/// When the database fails.
pub async fn queues(pool: &PgPool, tenant: TenantId, queues: &[String]) -> Result<Vec<QueueState>> {
    Ok(sqlx::query_as!(
        QueueState,
        r#"select queue as "queue!", coalesce(waiting, 0) as "waiting!", coalesce(later, 0) as "later!",
               (select count(*) from jobs
                where jobs.queue = names.queue and tenant_id = $1 and state = 'running') as "running!",
               (select count(*) from jobs
                where jobs.queue = names.queue and tenant_id = $1 and state = 'dead') as "dead!",
               oldest_seconds
           from unnest($2::text[]) as names (queue)
           left join lateral (
               select count(*) filter (where run_at <= now()) as waiting,
                   count(*) filter (where run_at > now()) as later,
                   extract(epoch from now() - min(run_at) filter (where run_at <= now()))::float8 as oldest_seconds
               from jobs
               where jobs.queue = names.queue and tenant_id = $1 and state = 'queued'
           ) queued on true"#,
        tenant.0,
        queues,
    )
    .fetch_all(pool)
    .await?)
}

/// Jobs of a queue that ended within one minute.
#[derive(Clone, Debug)]
pub struct Minute {
    pub queue: String,
    /// 0 is the minute that ends now.
    pub minutes_ago: i32,
    pub done: i64,
    pub failed: i64,
}

/// The last hour, minute by minute; minutes in which nothing ended are left out.
///
/// # Errors
/// When the database fails.
pub async fn minutes(pool: &PgPool, tenant: TenantId) -> Result<Vec<Minute>> {
    Ok(sqlx::query_as!(
        Minute,
        r#"select queue, floor(extract(epoch from now() - finished_at) / 60)::integer as "minutes_ago!",
               count(*) filter (where state = 'done') as "done!", count(*) filter (where state = 'failed') as "failed!"
           from jobs
           where tenant_id = $1 and state in ('done', 'failed', 'cancelled')
             and finished_at > now() - interval '1 hour' and finished_at <= now()
           group by 1, 2"#,
        tenant.0,
    )
    .fetch_all(pool)
    .await?)
}

/// A job that a worker holds.
#[derive(Clone, Debug)]
pub struct RunningJob {
    pub id: JobId,
    pub kind: String,
    pub worker: Option<String>,
    pub document: Option<DocumentId>,
    pub document_name: Option<String>,
    pub stage: Option<String>,
    pub done: Option<i32>,
    pub total: Option<i32>,
    pub attempt: i32,
    pub started_at: Option<DateTime<Utc>>,
}

/// The longest running first, no more than `limit`.
///
/// # Errors
/// When the database fails.
pub async fn running(pool: &PgPool, tenant: TenantId, limit: u32) -> Result<Vec<RunningJob>> {
    Ok(sqlx::query_as!(
        RunningJob,
        r#"select jobs.id as "id: JobId", jobs.kind, jobs.lease_owner as worker, documents.id as "document?: DocumentId",
               documents.name as "document_name?", jobs.stage, jobs.progress_done as done, jobs.progress_total as total,
               jobs.attempt - jobs.attempts_before as "attempt!", jobs.started_at
           from jobs
           left join documents on documents.id = jobs.subject and documents.tenant_id = $1
           where jobs.tenant_id = $1 and jobs.state = 'running'
           order by jobs.started_at
           limit $2"#,
        tenant.0,
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?)
}

/// A worker that has reported lately.
#[derive(Clone, Debug)]
pub struct AliveWorker {
    pub name: String,
    pub version: String,
    pub model: String,
    pub started_at: DateTime<Utc>,
}

/// # Errors
/// When the database fails.
pub async fn workers(pool: &PgPool) -> Result<Vec<AliveWorker>> {
    Ok(sqlx::query_as!(
        AliveWorker,
        "select name, version, model, started_at
         from workers
         where seen_at > now() - interval '15 seconds'
         order by started_at, name",
    )
    .fetch_all(pool)
    .await?)
}

/// Questions that were asked within one hour, by what became of them.
#[derive(Clone, Debug)]
pub struct Hour {
    /// 0 is the hour that ends now.
    pub hours_ago: i32,
    pub generated: i64,
    pub cached: i64,
    pub faq: i64,
    pub abstained: i64,
    pub failed: i64,
}

/// The last day, hour by hour; hours in which nobody asked are left out.
///
/// # Errors
/// When the database fails.
pub async fn hours(pool: &PgPool, tenant: TenantId) -> Result<Vec<Hour>> {
    // Ids are UUIDv7 and so in order of time, which the index on them knows.
    let since = Utc::now() - chrono::TimeDelta::hours(24);
    let first = u128::try_from(since.timestamp_millis()).unwrap_or_default() << 80;
    Ok(sqlx::query_as!(
        Hour,
        r#"select floor(extract(epoch from now() - questions.created_at) / 3600)::integer as "hours_ago!",
               count(*) filter (where questions.state = 'answered' and faq is null and not cached and not abstained)
                   as "generated!",
               count(*) filter (where cached) as "cached!",
               count(*) filter (where faq is not null) as "faq!",
               count(*) filter (where abstained and not cached) as "abstained!",
               count(*) filter (where questions.state = 'failed') as "failed!"
           from questions
           left join answers on answers.question_id = questions.id
           where questions.tenant_id = $1 and questions.id >= $2 and mode = 'answer'
             and questions.created_at > now() - interval '24 hours' and questions.created_at <= now()
           group by 1"#,
        tenant.0,
        Uuid::from_u128(first),
    )
    .fetch_all(pool)
    .await?)
}

/// How many documents are in a state, and what they are made of.
#[derive(Clone, Debug)]
pub struct DocumentCount {
    pub state: String,
    pub count: i64,
    pub pages: i64,
    pub chunks: i64,
}

/// # Errors
/// When the database fails.
pub async fn documents(pool: &PgPool, tenant: TenantId) -> Result<Vec<DocumentCount>> {
    Ok(sqlx::query_as!(
        DocumentCount,
        r#"select state, count(*) as "count!", coalesce(sum(pages), 0) as "pages!",
               coalesce(sum(chunks), 0) as "chunks!"
           from documents
           where tenant_id = $1
           group by state
           order by state"#,
        tenant.0,
    )
    .fetch_all(pool)
    .await?)
}
