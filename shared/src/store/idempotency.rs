//! Requests that are answered once, however often they are sent: what becomes of an `Idempotency-Key`.
//!
//! Whoever claims a key has a turn, and only that turn may write the answer down: one that took so long that another
//! request took over changes nothing.

use sqlx::PgPool;
use uuid::Uuid;

use super::Result;
use crate::ids::{ApiKeyId, TenantId};

/// A request as its client names it, and what it is.
#[derive(Clone, Debug)]
pub struct Named {
    pub tenant: TenantId,
    pub api_key: ApiKeyId,
    pub key: String,
    /// SHA-256 of all that makes it another request.
    pub request_sha256: Vec<u8>,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: i16,
    pub location: Option<String>,
    pub body: Vec<u8>,
}

#[derive(Debug)]
pub enum Claim {
    /// It is to be answered, in this turn.
    Mine(Uuid),
    Answered(Answer),
    /// Another turn is at it.
    Busy,
    /// The key is that of another request.
    Other,
}

/// How long a turn may take, and how long its answer is kept.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub busy_seconds: u32,
    pub kept_seconds: u32,
}

/// # Errors
/// When the database fails.
pub async fn claim(pool: &PgPool, request: &Named, terms: Terms) -> Result<Claim> {
    let mine = sqlx::query_scalar!(
        "insert into idempotent_requests as known
             (api_key_id, idempotency_key, request_sha256, turn, busy_until, expires_at, tenant_id)
         values ($1, $2, $3, $4, now() + make_interval(secs => $5), now() + make_interval(secs => $6), $7)
         on conflict on constraint idempotent_requests_pkey do update
         set request_sha256 = excluded.request_sha256, turn = excluded.turn, busy_until = excluded.busy_until,
             expires_at = excluded.expires_at, status = null, location = null, body = null
         where known.expires_at <= now()
             or (known.status is null and known.busy_until <= now() and known.request_sha256 = excluded.request_sha256)
         returning turn",
        request.api_key.0,
        request.key,
        request.request_sha256,
        Uuid::now_v7(),
        f64::from(terms.busy_seconds),
        f64::from(terms.kept_seconds),
        request.tenant.0,
    )
    .fetch_optional(pool)
    .await?;
    if let Some(turn) = mine {
        return Ok(Claim::Mine(turn));
    }
    let known = sqlx::query!(
        r#"select request_sha256 = $3 as "same!", status, location, body
           from idempotent_requests where api_key_id = $1 and idempotency_key = $2"#,
        request.api_key.0,
        request.key,
        request.request_sha256,
    )
    .fetch_optional(pool)
    .await?;
    Ok(match known {
        Some(known) if !known.same => Claim::Other,
        Some(known) => match known.status {
            Some(status) => Claim::Answered(Answer {
                status,
                location: known.location,
                body: known.body.unwrap_or_default(),
            }),
            None => Claim::Busy,
        },
        // Given up between the two statements: the client may try again.
        None => Claim::Busy,
    })
}

/// Writes the answer down. False: the turn was over, and another request is at it or has answered.
///
/// # Errors
/// When the database fails.
pub async fn settle(pool: &PgPool, request: &Named, turn: Uuid, answer: &Answer) -> Result<bool> {
    let settled = sqlx::query!(
        "update idempotent_requests set status = $4, location = $5, body = $6
         where api_key_id = $1 and idempotency_key = $2 and turn = $3 and status is null",
        request.api_key.0,
        request.key,
        turn,
        answer.status,
        answer.location,
        answer.body,
    )
    .execute(pool)
    .await?;
    Ok(settled.rows_affected() == 1)
}

/// Gives a key back whose request made nothing.
///
/// # Errors
/// When the database fails.
pub async fn release(pool: &PgPool, request: &Named, turn: Uuid) -> Result<()> {
    sqlx::query!(
        "delete from idempotent_requests
         where api_key_id = $1 and idempotency_key = $2 and turn = $3 and status is null",
        request.api_key.0,
        request.key,
        turn,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Rows that are swept away in one go, at the most.
const FORGOTTEN_AT_ONCE: i64 = 10_000;

/// Forgets what was kept for long enough. Returns how many were.
///
/// # Errors
/// When the database fails.
pub async fn forget(pool: &PgPool) -> Result<u64> {
    let forgotten = sqlx::query!(
        "delete from idempotent_requests where (api_key_id, idempotency_key) in (
             select api_key_id, idempotency_key from idempotent_requests
             where expires_at <= now()
             limit $1
             for update skip locked
         )",
        FORGOTTEN_AT_ONCE,
    )
    .execute(pool)
    .await?;
    Ok(forgotten.rows_affected())
}
