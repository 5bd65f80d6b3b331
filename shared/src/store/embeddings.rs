//! Texts whose vectors somebody waits for. The vectors themselves go through events alone: nobody wants them twice.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use super::{
    Result,
    jobs::{self, Claimed, Enqueued, Limits, NewJob},
    transaction,
};
use crate::{ids::TenantId, jobs::Kind};

#[derive(Clone, Debug)]
pub struct NewEmbedding<'a> {
    pub id: Uuid,
    pub tenant: TenantId,
    pub texts: &'a [String],
    /// As questions are embedded; else as passages are.
    pub as_questions: bool,
}

/// Writes the texts and the job to embed them, in one transaction.
///
/// # Errors
/// When the tenant's queue is full or the database fails.
pub async fn create(
    pool: &PgPool,
    embedding: &NewEmbedding<'_>,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Enqueued> {
    let mut tx = transaction(pool).await?;
    sqlx::query!(
        "insert into embeddings (id, tenant_id, texts, as_questions) values ($1, $2, $3, $4)",
        embedding.id,
        embedding.tenant.0,
        embedding.texts,
        embedding.as_questions
    )
    .execute(&mut *tx)
    .await?;
    let job = NewJob {
        tenant: embedding.tenant,
        kind: Kind::Embed,
        subject: embedding.id,
        request_id,
    };
    let enqueued = jobs::enqueue(&mut tx, &job, limits).await?;
    tx.commit().await?;
    Ok(enqueued)
}

/// What a worker needs to embed.
#[derive(Clone, Debug)]
pub struct ForEmbedding {
    pub texts: Vec<String>,
    pub as_questions: bool,
}

/// `None`: nobody waits for them any more.
///
/// # Errors
/// When the database fails.
pub async fn find(pool: &PgPool, job: &Claimed) -> Result<Option<ForEmbedding>> {
    Ok(sqlx::query_as!(
        ForEmbedding,
        "select texts, as_questions from embeddings where id = $1",
        job.subject
    )
    .fetch_optional(pool)
    .await?)
}

/// Ends the job and forgets the texts, in one transaction. False: the lease is lost.
///
/// # Errors
/// When the database fails.
pub async fn complete(pool: &PgPool, job: &Claimed) -> Result<bool> {
    let mut tx = transaction(pool).await?;
    if !jobs::finish(&mut tx, job.id, job.attempt).await? {
        return Ok(false);
    }
    sqlx::query!("delete from embeddings where id = $1", job.subject)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}

/// Forgets texts that nobody waits for any more.
///
/// # Errors
/// When the database fails.
pub async fn drop_texts(pool: &PgPool, tenant: TenantId, id: Uuid) -> Result<()> {
    sqlx::query!(
        "delete from embeddings where id = $1 and tenant_id = $2",
        id,
        tenant.0
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Forgets texts that are older than `age`: their jobs have failed.
pub(super) async fn forget(pool: &PgPool, age: Duration) -> Result<u64> {
    let forgotten = sqlx::query!(
        "delete from embeddings where id in (
             select id from embeddings where created_at < now() - $1::interval limit 1000
         )",
        jobs::interval(age)
    )
    .execute(pool)
    .await?;
    Ok(forgotten.rows_affected())
}
