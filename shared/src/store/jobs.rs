//! The ledger of the work. Every state change carries its precondition and says whether it won;
//! every write of a running job carries its attempt, so that a worker that lost its lease changes nothing.

use std::time::Duration;

use sqlx::{PgConnection, PgPool, postgres::types::PgInterval};
use uuid::Uuid;

use super::{Result, StoreError, transaction};
use crate::{
    config::Quotas,
    failure::Failure,
    ids::{JobId, TenantId},
    jobs::{Kind, Queue},
    webhooks::Event,
};

/// What an enqueue needs to know besides the job.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Wake-ups under way per queue, at the most.
    pub dispatch_max: u32,
    /// The same per queue and tenant.
    pub dispatch_tenant_max: u32,
    /// Jobs that wait per queue and tenant, at the most.
    pub queue_tenant_max: u32,
    pub attempts_max: u32,
    /// What tenants may use that have no quotas of their own.
    pub quotas: Quotas,
}

impl From<&crate::config::StoreSettings> for Limits {
    fn from(settings: &crate::config::StoreSettings) -> Self {
        Self {
            dispatch_max: settings.dispatch_max,
            dispatch_tenant_max: settings.dispatch_tenant_max,
            queue_tenant_max: settings.queue_tenant_max,
            attempts_max: settings.job_attempts_max,
            quotas: settings.quotas,
        }
    }
}

/// A job that is to be written together with its subject.
#[derive(Clone, Debug)]
pub struct NewJob<'a> {
    pub tenant: TenantId,
    pub kind: Kind,
    pub subject: Uuid,
    pub request_id: Option<&'a str>,
}

/// A job in the ledger; when `wake` is set, its wake-up is to be sent once the transaction is committed.
#[derive(Clone, Copy, Debug)]
pub struct Enqueued {
    pub id: JobId,
    pub queue: Queue,
    pub wake: bool,
}

/// Writes a job in the caller's transaction.
///
/// # Errors
/// [`StoreError::QueueFull`] when the tenant has too many waiting already (what deletes is always taken); or when the
/// database fails.
pub async fn enqueue(tx: &mut PgConnection, job: &NewJob<'_>, limits: &Limits) -> Result<Enqueued> {
    let id = JobId::fresh();
    let queue = job.kind.queue();
    if queue != Queue::Maintenance {
        let waiting = sqlx::query_scalar!(
            r#"select count(*) as "count!" from (
                   select from jobs where queue = $1 and tenant_id = $2 and state = 'queued' limit $3
               ) waiting"#,
            queue.as_str(),
            job.tenant.0,
            i64::from(limits.queue_tenant_max),
        )
        .fetch_one(&mut *tx)
        .await?;
        if waiting >= i64::from(limits.queue_tenant_max) {
            return Err(StoreError::QueueFull);
        }
    }
    let wake = sqlx::query_scalar!(
        r#"with under_way as materialized (
               select tenant_id from jobs
               where queue = $1 and state = 'queued' and dispatched_at is not null
               limit $2
           )
           insert into jobs (id, tenant_id, kind, queue, subject, attempt, attempts_before, max_attempts, request_id,
               dispatched_at)
           select $3, $4, $5, $1, $6, spent.attempts, spent.attempts, spent.attempts + $7, $8,
               case when (select count(*) from under_way) < $2
                     and (select count(*) from under_way where tenant_id = $4) < $9
                   then now() end
           -- Attempts count on from earlier jobs of the same subject, one beyond for what the sweep may have said of a
           -- dead one: ids in its event stream begin with the attempt and only ever rise.
           from (select coalesce(max(attempt) + 1, 0) as attempts from jobs where subject = $6) spent
           returning dispatched_at is not null as "wake!""#,
        queue.as_str(),
        i64::from(limits.dispatch_max),
        id.0,
        job.tenant.0,
        job.kind.as_str(),
        job.subject,
        limits.attempts_max.cast_signed(),
        job.request_id,
        i64::from(limits.dispatch_tenant_max),
    )
    .fetch_one(tx)
    .await?;
    Ok(Enqueued { id, queue, wake })
}

/// Takes back that a wake-up was sent, so that the next sweep sends it.
///
/// # Errors
/// When the database fails.
pub async fn mark_undispatched(pool: &PgPool, jobs: &[JobId]) -> Result<()> {
    let jobs: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    sqlx::query!(
        "update jobs set dispatched_at = null where id = any($1) and state = 'queued'",
        &jobs
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A job that this worker holds.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub id: JobId,
    pub tenant: TenantId,
    pub kind: Kind,
    pub subject: Uuid,
    pub attempt: i32,
    /// Attempts at this job, without those of earlier jobs of its subject and those that were handed back.
    pub tries: i32,
    pub is_last_attempt: bool,
    pub cancel_requested: bool,
    pub request_id: Option<String>,
    /// From being due to being claimed.
    pub waited: Duration,
}

/// Takes a job under a lease of this worker: one that is queued and due, or whose lease has run out.
/// `None`: there is nothing to do, somebody else has it or it is finished.
///
/// # Errors
/// When the database fails, or the row is from a newer release.
pub async fn claim(
    pool: &PgPool,
    id: JobId,
    owner: &str,
    lease: Duration,
) -> Result<Option<Claimed>> {
    sqlx::query_as!(
        ClaimedRow,
        r#"update jobs
           set state = 'running', attempt = attempt + 1, lease_owner = $2, lease_until = now() + $3,
               started_at = now(), stage = null, progress_done = null, progress_total = null, rate = null
           where id = $1 and attempt < max_attempts
             and (state = 'queued' and run_at <= now() or state = 'running' and lease_until < now())
           returning id as "id: JobId", tenant_id as "tenant: TenantId", kind, subject, attempt, attempts_before,
               max_attempts, cancel_requested, request_id, extract(epoch from now() - run_at)::float8 as "waited!""#,
        id.0,
        owner,
        interval(lease),
    )
    .fetch_optional(pool)
    .await?
    .map(Claimed::try_from)
    .transpose()
}

/// Takes the job of a queue whose turn it is, of those that a wake-up was sent for.
///
/// It is one of the tenant with the fewest jobs running; if several have as few, of the one that was served the
/// longest ago; and of its jobs the oldest.
///
/// A wake-up means: there is one job more to take. As each takes one, none is left over.
///
/// # Errors
/// When the database fails, or the row is from a newer release.
pub async fn claim_in_turn(
    pool: &PgPool,
    queue: Queue,
    owner: &str,
    lease: Duration,
) -> Result<Option<Claimed>> {
    sqlx::query_as!(
        ClaimedRow,
        r#"with busy as materialized (
               select tenant_id, count(*) as running
               from jobs where queue = $1 and state = 'running'
               group by tenant_id
           ), served as materialized (
               select tenant_id, (
                   select started_at from jobs earlier
                   where earlier.queue = $1 and earlier.tenant_id = waiting.tenant_id and started_at is not null
                   order by started_at desc
                   limit 1
               ) as last_at
               from (
                   select distinct tenant_id from jobs
                   where queue = $1 and state = 'queued' and dispatched_at is not null
               ) waiting
           ), next as (
               select job.id
               from jobs job
               left join busy using (tenant_id)
               left join served using (tenant_id)
               where job.queue = $1 and job.state = 'queued' and job.dispatched_at is not null
                 and job.run_at <= now() and job.attempt < job.max_attempts
               order by coalesce(busy.running, 0), served.last_at nulls first, job.run_at, job.id
               limit 1
               for update of job skip locked
           )
           update jobs
           set state = 'running', attempt = attempt + 1, lease_owner = $2, lease_until = now() + $3,
               started_at = now(), stage = null, progress_done = null, progress_total = null, rate = null
           from next
           where jobs.id = next.id
           returning jobs.id as "id: JobId", tenant_id as "tenant: TenantId", kind, subject, attempt, attempts_before,
               max_attempts, cancel_requested, request_id, extract(epoch from now() - run_at)::float8 as "waited!""#,
        queue.as_str(),
        owner,
        interval(lease),
    )
    .fetch_optional(pool)
    .await?
    .map(Claimed::try_from)
    .transpose()
}

struct ClaimedRow {
    id: JobId,
    tenant: TenantId,
    kind: String,
    subject: Uuid,
    attempt: i32,
    attempts_before: i32,
    max_attempts: i32,
    cancel_requested: bool,
    request_id: Option<String>,
    waited: f64,
}

impl TryFrom<ClaimedRow> for Claimed {
    type Error = StoreError;

    fn try_from(row: ClaimedRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            tenant: row.tenant,
            kind: row
                .kind
                .parse()
                .map_err(|error: crate::jobs::UnknownKind| {
                    StoreError::Unreadable(error.to_string())
                })?,
            subject: row.subject,
            attempt: row.attempt,
            tries: row.attempt - row.attempts_before,
            is_last_attempt: row.attempt >= row.max_attempts,
            cancel_requested: row.cancel_requested,
            request_id: row.request_id,
            waited: Duration::try_from_secs_f64(row.waited).unwrap_or_default(),
        })
    }
}

/// What a renewal has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    Held,
    /// Held, and somebody wants the job cancelled.
    CancelRequested,
    /// This attempt has done it.
    Done,
    /// Somebody else has the job, or it is gone.
    Lost,
}

/// Keeps a job for another `lease`.
///
/// A renewal that comes while the transaction runs that ends the job waits for it, and finds the job done, perhaps before
/// the holder hears so.
///
/// # Errors
/// When the database fails.
pub async fn renew(pool: &PgPool, id: JobId, attempt: i32, lease: Duration) -> Result<Lease> {
    let cancel_requested = sqlx::query_scalar!(
        "update jobs set lease_until = now() + $3
         where id = $1 and attempt = $2 and state = 'running'
         returning cancel_requested",
        id.0,
        attempt,
        interval(lease),
    )
    .fetch_optional(pool)
    .await?;
    Ok(match cancel_requested {
        Some(true) => Lease::CancelRequested,
        Some(false) => Lease::Held,
        None if is_done(pool, id, attempt).await? => Lease::Done,
        None => Lease::Lost,
    })
}

/// Whether this attempt has done the job: nobody else writes that under its number.
async fn is_done(pool: &PgPool, id: JobId, attempt: i32) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from jobs where id = $1 and attempt = $2 and state = 'done') as "done!""#,
        id.0,
        attempt,
    )
    .fetch_one(pool)
    .await?)
}

/// How far the stage of a job is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    pub done: i32,
    pub total: i32,
    /// Units per second; `None`: it is too early to say.
    pub rate: Option<f32>,
}

/// Notes how far a job is.
///
/// # Errors
/// When the database fails.
pub async fn note_progress(
    pool: &PgPool,
    id: JobId,
    attempt: i32,
    stage: &str,
    progress: Option<Progress>,
) -> Result<()> {
    sqlx::query!(
        "update jobs set stage = $3, progress_done = $4, progress_total = $5, rate = $6, progress_at = now()
         where id = $1 and attempt = $2 and state = 'running'",
        id.0,
        attempt,
        stage,
        progress.map(|progress| progress.done),
        progress.map(|progress| progress.total),
        progress.and_then(|progress| progress.rate),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Locks the job for the rest of the transaction if this attempt still holds it.
///
/// A worker that lost its lease gets false and must write nothing; one that gets true can't lose it before the
/// transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn hold(tx: &mut PgConnection, id: JobId, attempt: i32) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select true as "held!" from jobs where id = $1 and attempt = $2 and state = 'running' for update"#,
        id.0,
        attempt
    )
    .fetch_optional(tx)
    .await?
    .is_some())
}

/// Ends a job well, in the transaction that makes its result visible. False when the lease is lost.
///
/// # Errors
/// When the database fails.
pub async fn finish(tx: &mut PgConnection, id: JobId, attempt: i32) -> Result<bool> {
    close(tx, id, attempt, "done", None, None).await
}

async fn close(
    tx: &mut PgConnection,
    id: JobId,
    attempt: i32,
    state: &str,
    failure: Option<Failure>,
    error: Option<&str>,
) -> Result<bool> {
    let closed = sqlx::query!(
        "update jobs
         set state = $3, failure = $4, error = $5, finished_at = now(), lease_owner = null, lease_until = null
         where id = $1 and attempt = $2 and state = 'running'",
        id.0,
        attempt,
        state,
        failure.map(Failure::code),
        error,
    )
    .execute(tx)
    .await?;
    Ok(closed.rows_affected() == 1)
}

/// How a job ends that did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// For a reason that trying again doesn't change.
    Failed(Failure),
    /// It was tried as often as allowed: a dead letter, with what users are told.
    Dead(Failure),
    Cancelled,
}

impl End {
    /// The reason that users see.
    #[must_use]
    pub fn failure(self) -> Failure {
        match self {
            Self::Failed(failure) | Self::Dead(failure) => failure,
            Self::Cancelled => Failure::Cancelled,
        }
    }

    fn job_state(self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Dead(_) => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    fn subject_state(self) -> &'static str {
        match self {
            Self::Failed(_) | Self::Dead(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Ends a running job and its document or question. `error` is the cause, for operators. False when the lease is
/// lost.
///
/// # Errors
/// When the database fails.
pub async fn end(pool: &PgPool, job: &Claimed, end: End, error: Option<&str>) -> Result<bool> {
    let mut tx = transaction(pool).await?;
    let failure = Some(end.failure());
    let won = close(
        &mut tx,
        job.id,
        job.attempt,
        end.job_state(),
        failure,
        error,
    )
    .await?;
    if won {
        end_subject(&mut tx, job.kind, job.subject, end).await?;
        tx.commit().await?;
    }
    Ok(won)
}

async fn end_subject(tx: &mut PgConnection, kind: Kind, subject: Uuid, end: End) -> Result<()> {
    let (state, failure) = (end.subject_state(), end.failure().code());
    match kind {
        Kind::Ingest => {
            // The version that searches see stays; of the one that was being made nothing does.
            super::documents::drop_unfinished(tx, subject).await?;
            sqlx::query!(
                "update documents set state = $2, failure = $3, updated_at = now() where id = $1",
                subject,
                state,
                failure
            )
            .execute(&mut *tx)
            .await?;
            // Whoever cancels knows.
            if end != End::Cancelled {
                super::webhooks::announce(tx, subject, Event::DocumentFailed).await?;
            }
        }
        Kind::Answer | Kind::Search => {
            sqlx::query!(
                "update questions set state = $2, failure = $3, finished_at = now()
                 where id = $1 and state in ('queued', 'running')",
                subject,
                state,
                failure
            )
            .execute(tx)
            .await?;
        }
        Kind::Import => super::imports::end(tx, subject, state, end).await?,
        Kind::Index | Kind::Purge | Kind::Webhook | Kind::Lexicon | Kind::Faq | Kind::Embed => {}
    }
    Ok(())
}

/// Puts a running job back to be tried again after `delay`. False when the lease is lost.
///
/// # Errors
/// When the database fails.
pub async fn retry_later(
    pool: &PgPool,
    job: &Claimed,
    delay: Duration,
    error: &str,
) -> Result<bool> {
    let requeued = sqlx::query!(
        "update jobs
         set state = 'queued', run_at = now() + $3, dispatched_at = null, lease_owner = null, lease_until = null,
             error = $4
         where id = $1 and attempt = $2 and state = 'running'",
        job.id.0,
        job.attempt,
        interval(delay),
        error,
    )
    .execute(pool)
    .await?;
    Ok(requeued.rows_affected() == 1)
}

/// Gives a running job back untouched, as at shutdown: it doesn't count as tried, yet the attempt stays spent,
/// since events with its number are out.
///
/// # Errors
/// When the database fails.
pub async fn hand_back(pool: &PgPool, job: &Claimed) -> Result<bool> {
    let returned = sqlx::query!(
        "update jobs
         set state = 'queued', run_at = now(), dispatched_at = null, lease_owner = null, lease_until = null,
             max_attempts = max_attempts + 1, attempts_before = attempts_before + 1
         where id = $1 and attempt = $2 and state = 'running'",
        job.id.0,
        job.attempt,
    )
    .execute(pool)
    .await?;
    Ok(returned.rows_affected() == 1)
}

/// Puts a running job back until later without counting it as tried: it waits for what isn't its own fault.
/// False when the lease is lost.
///
/// # Errors
/// When the database fails.
pub async fn postpone(pool: &PgPool, job: &Claimed, delay: Duration) -> Result<bool> {
    let postponed = sqlx::query!(
        "update jobs
         set state = 'queued', run_at = now() + $3, dispatched_at = null, lease_owner = null, lease_until = null,
             max_attempts = max_attempts + 1
         where id = $1 and attempt = $2 and state = 'running'",
        job.id.0,
        job.attempt,
        interval(delay),
    )
    .execute(pool)
    .await?;
    Ok(postponed.rows_affected() == 1)
}

/// What a request to cancel has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// No worker held it, and it is over; with the attempts that were spent on it.
    Done { attempts: u32 },
    /// A worker holds it and has been asked to stop.
    Requested(JobId),
    /// There is nothing under way.
    Nothing,
}

/// Cancels the job of a document or question.
///
/// # Errors
/// When the database fails.
pub async fn cancel(pool: &PgPool, tenant: TenantId, subject: Uuid) -> Result<Cancel> {
    let mut tx = transaction(pool).await?;
    let row = sqlx::query!(
        r#"update jobs
           set cancel_requested = true,
               state = case when state = 'queued' then 'cancelled' else state end,
               finished_at = case when state = 'queued' then now() end
           where tenant_id = $1 and subject = $2 and state in ('queued', 'running') and kind <> 'purge'
           returning id as "id: JobId", kind, state, attempt"#,
        tenant.0,
        subject
    )
    .fetch_optional(&mut *tx)
    .await?;
    let outcome = match row {
        None => Cancel::Nothing,
        Some(row) if row.state == "running" => Cancel::Requested(row.id),
        Some(row) => {
            if let Ok(kind) = row.kind.parse() {
                end_subject(&mut tx, kind, subject, End::Cancelled).await?;
            }
            Cancel::Done {
                attempts: row.attempt.cast_unsigned(),
            }
        }
    };
    tx.commit().await?;
    Ok(outcome)
}

/// Where the job of a document or question stands.
#[derive(Clone, Debug)]
pub struct Standing {
    pub state: String,
    pub attempt: i32,
    pub stage: Option<String>,
    pub progress_done: Option<i32>,
    pub progress_total: Option<i32>,
    /// Jobs of the same queue that are due before it.
    pub ahead: i64,
}

/// The newest job of a document or question.
///
/// # Errors
/// When the database fails.
pub async fn standing(pool: &PgPool, tenant: TenantId, subject: Uuid) -> Result<Option<Standing>> {
    Ok(sqlx::query_as!(
        Standing,
        r#"select state, attempt, stage, progress_done, progress_total,
               case when job.state = 'queued' then (
                   select count(*) from jobs before
                   where before.queue = job.queue and before.state = 'queued'
                     and (before.run_at, before.id) < (job.run_at, job.id)
               ) else 0 end as "ahead!"
           from jobs job
           where tenant_id = $1 and subject = $2 and kind <> 'purge'
           order by id desc
           limit 1"#,
        tenant.0,
        subject
    )
    .fetch_optional(pool)
    .await?)
}

/// A job that the sweep gave up for dead, whose watchers want to know.
#[derive(Clone, Debug)]
pub struct Buried {
    pub id: JobId,
    pub kind: Kind,
    pub subject: Uuid,
    pub attempt: i32,
}

/// Deals with leases that have run out: back to the queue, or to the dead letters when it was the last attempt.
/// Any number of replicas may do this at once.
///
/// # Errors
/// When the database fails.
pub async fn recover_expired(pool: &PgPool) -> Result<(u64, Vec<Buried>)> {
    let mut tx = transaction(pool).await?;
    let requeued = sqlx::query!(
        "update jobs
         set state = 'queued', run_at = now(), dispatched_at = null, lease_owner = null, lease_until = null
         where id in (
             select id from jobs
             where state = 'running' and lease_until < now() and attempt < max_attempts
             limit 100
             for update skip locked
         )"
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    let rows = sqlx::query!(
        r#"update jobs
           set state = 'dead', failure = $1, finished_at = now(), lease_owner = null, lease_until = null,
               error = coalesce(error, 'the worker died during each attempt')
           where id in (
               select id from jobs
               where state = 'running' and lease_until < now() and attempt >= max_attempts
               limit 100
               for update skip locked
           )
           returning id as "id: JobId", kind, subject, attempt"#,
        Failure::Internal.code()
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut buried = Vec::with_capacity(rows.len());
    for row in rows {
        let Ok(kind) = row.kind.parse() else { continue };
        end_subject(&mut tx, kind, row.subject, End::Dead(Failure::Internal)).await?;
        buried.push(Buried {
            id: row.id,
            kind,
            subject: row.subject,
            attempt: row.attempt,
        });
    }
    tx.commit().await?;
    Ok((requeued, buried))
}

/// Jobs whose wake-up is to be sent now, marked as dispatched: due ones without a wake-up, and those whose wake-up
/// seems lost. Tenants take turns. Any number of replicas may do this at once.
///
/// # Errors
/// When the database fails.
pub async fn due_for_dispatch(pool: &PgPool, queue: Queue, limits: &Limits) -> Result<Vec<JobId>> {
    Ok(sqlx::query_scalar!(
        r#"with waiting as materialized (
               select id, tenant_id, run_at,
                   dispatched_at is not null and dispatched_at >= now() - $2::interval as under_way
               from jobs
               where queue = $1 and state = 'queued' and run_at <= now()
           ), in_turn as (
               select id, run_at,
                   row_number() over (partition by tenant_id order by under_way desc, run_at, id) as turn,
                   under_way
               from waiting
           ), chosen as (
               select id from in_turn
               where not under_way and turn <= $4
               order by turn, run_at
               limit greatest(0, $3 - (select count(*) from waiting where under_way))
           )
           update jobs set dispatched_at = now()
           where id in (
               select id from jobs
               where id in (select id from chosen) and state = 'queued'
                   -- Another sweep may have sent it since this statement's snapshot: only what stands in the row
                   -- itself is looked at again once the row is locked, not what was chosen by it.
                   and (dispatched_at is null or dispatched_at < now() - $2::interval)
               for update skip locked
           )
           returning id as "id: JobId""#,
        queue.as_str(),
        interval(queue.wake_up_lost_after()),
        i64::from(limits.dispatch_max),
        i64::from(limits.dispatch_tenant_max),
    )
    .fetch_all(pool)
    .await?)
}

/// Depth and age of a queue in one state.
#[derive(Clone, Debug)]
pub struct Depth {
    pub queue: String,
    pub state: String,
    pub jobs: i64,
    /// Age of the oldest, in seconds: since it was due, or since it began.
    pub oldest_seconds: f64,
}

/// How much waits, runs and lies dead.
///
/// # Errors
/// When the database fails.
pub async fn depths(pool: &PgPool) -> Result<Vec<Depth>> {
    Ok(sqlx::query_as!(
        Depth,
        r#"select queue, state, count(*) as "jobs!",
               greatest(0, extract(epoch from now() - min(
                   case state when 'queued' then run_at when 'running' then started_at else finished_at end
               )))::float8 as "oldest_seconds!"
           from jobs
           where state in ('queued', 'running', 'dead')
           group by queue, state"#
    )
    .fetch_all(pool)
    .await?)
}

/// Forgets finished jobs and searches that are older than `age`. Dead letters stay until somebody looks at them.
///
/// # Errors
/// When the database fails.
pub async fn forget_finished(pool: &PgPool, age: Duration) -> Result<u64> {
    let embeddings = super::embeddings::forget(pool, age).await?;
    let age = interval(age);
    let jobs = sqlx::query!(
        "delete from jobs where id in (
             select id from jobs
             where state in ('done', 'failed', 'cancelled') and finished_at < now() - $1::interval
             limit 1000
         )",
        age.clone()
    )
    .execute(pool)
    .await?;
    let searches = sqlx::query!(
        "delete from questions where id in (
             select id from questions where mode = 'search' and created_at < now() - $1::interval limit 1000
         )",
        age.clone()
    )
    .execute(pool)
    .await?;
    let deliveries = super::webhooks::forget(pool, age).await?;
    Ok(jobs.rows_affected() + searches.rows_affected() + embeddings + deliveries)
}

pub(super) fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}
