//! Files that no row names any more: noted in the transaction that takes the last row away, deleted by a job after it.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Result;
use crate::{
    ids::{JobId, TenantId},
    jobs::Kind,
};

/// How often a deletion is tried before it becomes a dead letter: through an hour in which the blob store is away.
const ATTEMPTS_MAX: i32 = 12;

/// Notes files for deletion and writes the job that deletes them.
///
/// Its subject is its own, since events and attempts of a document are none of its business. No wake-up is sent for
/// it: nobody waits, and the sweep finds it within a second.
pub(super) async fn request(
    tx: &mut PgConnection,
    tenant: TenantId,
    blob_keys: &[String],
    request_id: Option<&str>,
) -> Result<()> {
    if blob_keys.is_empty() {
        return Ok(());
    }
    let purge = Uuid::now_v7();
    sqlx::query!(
        "insert into removals (blob_key, purge, tenant_id)
         select key, $2, $3 from unnest($1::text[]) as removed (key)
         on conflict (blob_key) do update set purge = excluded.purge",
        blob_keys,
        purge,
        tenant.0,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into jobs (id, tenant_id, kind, queue, subject, max_attempts, request_id)
         values ($1, $2, $3, $4, $5, $6, $7)",
        JobId::fresh().0,
        tenant.0,
        Kind::Purge.as_str(),
        Kind::Purge.queue().as_str(),
        purge,
        ATTEMPTS_MAX,
        request_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The files that a job is to delete.
///
/// # Errors
/// When the database fails.
pub async fn of(pool: &PgPool, purge: Uuid) -> Result<Vec<String>> {
    Ok(
        sqlx::query_scalar!("select blob_key from removals where purge = $1", purge)
            .fetch_all(pool)
            .await?,
    )
}

/// Forgets a file that is deleted.
///
/// # Errors
/// When the database fails.
pub async fn done(pool: &PgPool, blob_key: &str) -> Result<()> {
    sqlx::query!("delete from removals where blob_key = $1", blob_key)
        .execute(pool)
        .await?;
    Ok(())
}
