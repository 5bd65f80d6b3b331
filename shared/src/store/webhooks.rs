//! Webhooks, and what they are told: written in the transaction that makes it true, delivered by a job.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Result,
    jobs::{self, Claimed},
    transaction,
};
use crate::{
    failure::FailureReport,
    ids::{DeliveryId, DocumentId, JobId, TenantId, WebhookId},
    jobs::Kind,
    webhooks::{Body, BodyData, Event},
};

/// How often a delivery is tried before it becomes a dead letter. With the worker's steps, which grow fourfold from
/// 5 s on, the last attempt is about seven hours after the first: a receiver may be down for a night's repair.
const ATTEMPTS_MAX: i32 = 8;

/// A webhook as the API shows it.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub id: WebhookId,
    pub url: String,
    pub events: Vec<String>,
    pub created_at: DateTime<Utc>,
}

/// Makes a webhook; `None`: the tenant has as many as it may have.
///
/// # Errors
/// When the database fails.
pub async fn create(
    pool: &PgPool,
    tenant: TenantId,
    url: &str,
    events: &[Event],
    secret: &[u8],
    webhooks_max: u32,
) -> Result<Option<Webhook>> {
    let events: Vec<String> = events
        .iter()
        .map(|event| event.as_str().to_owned())
        .collect();
    let mut tx = transaction(pool).await?;
    // Two at once would otherwise both find room.
    sqlx::query!("select id from tenants where id = $1 for update", tenant.0)
        .fetch_optional(&mut *tx)
        .await?;
    let webhook = sqlx::query_as!(
        Webhook,
        r#"insert into webhooks (id, tenant_id, url, events, secret)
           select $1, $2, $3, $4, $5
           where (select count(*) from webhooks where tenant_id = $2) < $6
           returning id as "id: WebhookId", url, events, created_at"#,
        WebhookId::fresh().0,
        tenant.0,
        url,
        &events,
        secret,
        i64::from(webhooks_max),
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(webhook)
}

/// All of the tenant's webhooks, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list(pool: &PgPool, tenant: TenantId) -> Result<Vec<Webhook>> {
    Ok(sqlx::query_as!(
        Webhook,
        r#"select id as "id: WebhookId", url, events, created_at from webhooks where tenant_id = $1 order by id"#,
        tenant.0
    )
    .fetch_all(pool)
    .await?)
}

/// Deletes a webhook, with what it was still to be told. False: there is no such webhook.
///
/// # Errors
/// When the database fails.
pub async fn delete(pool: &PgPool, tenant: TenantId, id: WebhookId) -> Result<bool> {
    let mut tx = transaction(pool).await?;
    // Jobs before what they are about, as everywhere.
    sqlx::query!(
        "update jobs set state = 'cancelled', finished_at = now()
         where kind = 'webhook' and state in ('queued', 'dead') and tenant_id = $2
           and subject in (select id from webhook_deliveries where webhook_id = $1)",
        id.0,
        tenant.0
    )
    .execute(&mut *tx)
    .await?;
    let deleted = sqlx::query!(
        "delete from webhooks where id = $1 and tenant_id = $2",
        id.0,
        tenant.0
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(deleted.rows_affected() == 1)
}

/// What a webhook was told, or is to be.
#[derive(Clone, Debug)]
pub struct Told {
    pub id: DeliveryId,
    pub event: String,
    pub document: DocumentId,
    /// Of its job; `None`: so long ago that the job is forgotten.
    pub job_state: Option<String>,
    pub attempts: Option<i32>,
    pub failure: Option<String>,
    pub status: Option<i16>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// The newest of what a webhook was told, older than `before`. `None`: there is no such webhook.
///
/// # Errors
/// When the database fails.
pub async fn told(
    pool: &PgPool,
    tenant: TenantId,
    webhook: WebhookId,
    before: Option<DeliveryId>,
    limit: u32,
) -> Result<Option<Vec<Told>>> {
    let exists = sqlx::query_scalar!(
        r#"select exists (select from webhooks where id = $1 and tenant_id = $2) as "exists!""#,
        webhook.0,
        tenant.0
    )
    .fetch_one(pool)
    .await?;
    if !exists {
        return Ok(None);
    }
    let told = sqlx::query_as!(
        Told,
        r#"select delivery.id as "id: DeliveryId", event, document_id as "document: DocumentId", job.state as "job_state?",
               job.attempt - job.attempts_before as attempts, job.failure as "failure?", status, delivered_at,
               delivery.created_at
           from webhook_deliveries delivery
           left join jobs job on job.subject = delivery.id
           where webhook_id = $1 and delivery.tenant_id = $2 and ($3::uuid is null or delivery.id < $3)
           order by delivery.id desc
           limit $4"#,
        webhook.0,
        tenant.0,
        before.map(|id| id.0),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    Ok(Some(told))
}

/// Writes down, in the caller's transaction, what the tenant's webhooks are to be told of a document as it now is.
/// The sweep sends the wake-ups, within about a second: nobody waits before a screen.
pub(super) async fn announce(tx: &mut PgConnection, document: Uuid, event: Event) -> Result<()> {
    let webhooks = sqlx::query!(
        r#"select webhook.id, webhook.tenant_id, document.name, collection.name as collection, document.state,
               document.version, document.failure
           from documents document
           join collections collection on collection.id = document.collection_id
           join webhooks webhook on webhook.tenant_id = document.tenant_id and $2 = any(webhook.events)
           where document.id = $1"#,
        document,
        event.as_str()
    )
    .fetch_all(&mut *tx)
    .await?;
    for webhook in webhooks {
        let id = DeliveryId::fresh();
        let body = Body {
            event,
            timestamp: Utc::now(),
            data: BodyData {
                id: DocumentId(document),
                name: webhook.name,
                collection: webhook.collection,
                state: webhook.state,
                version: webhook.version,
                failure: webhook.failure.as_deref().map(FailureReport::from_code),
            },
        };
        sqlx::query!(
            "with delivery as (
                 insert into webhook_deliveries (id, tenant_id, webhook_id, document_id, event, body)
                 values ($1, $2, $3, $4, $5, $6)
             )
             insert into jobs (id, tenant_id, kind, queue, subject, max_attempts)
             values ($7, $2, $8, $9, $1, $10)",
            id.0,
            webhook.tenant_id,
            webhook.id,
            document,
            event.as_str(),
            body.to_json(),
            JobId::fresh().0,
            Kind::Webhook.as_str(),
            Kind::Webhook.queue().as_str(),
            ATTEMPTS_MAX,
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// What is to be sent, where to, and what signs it.
#[derive(Clone)]
pub struct Delivery {
    pub id: DeliveryId,
    pub url: String,
    pub secret: Vec<u8>,
    pub body: String,
}

/// What a job is to deliver. `None`: that was done already, or the webhook or the document is gone.
///
/// # Errors
/// When the database fails.
pub async fn to_deliver(pool: &PgPool, job: &Claimed) -> Result<Option<Delivery>> {
    Ok(sqlx::query_as!(
        Delivery,
        r#"select delivery.id as "id: DeliveryId", url, secret, body
           from webhook_deliveries delivery
           join webhooks webhook on webhook.id = delivery.webhook_id
           where delivery.id = $1 and delivered_at is null"#,
        job.subject
    )
    .fetch_optional(pool)
    .await?)
}

/// Notes what the receiver has answered, and ends the job if it took the delivery. False when the lease is lost.
///
/// # Errors
/// When the database fails.
pub async fn note_answer(
    pool: &PgPool,
    job: &Claimed,
    status: Option<u16>,
    taken: bool,
) -> Result<bool> {
    let mut tx = transaction(pool).await?;
    let held = if taken {
        jobs::finish(&mut tx, job.id, job.attempt).await?
    } else {
        jobs::hold(&mut tx, job.id, job.attempt).await?
    };
    if held {
        sqlx::query!(
            "update webhook_deliveries set status = $2, delivered_at = case when $3 then now() end where id = $1",
            job.subject,
            status.map(u16::cast_signed),
            taken
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
    }
    Ok(held)
}

/// Forgets deliveries whose jobs are forgotten. Returns how many.
pub(super) async fn forget(pool: &PgPool, age: sqlx::postgres::types::PgInterval) -> Result<u64> {
    let forgotten = sqlx::query!(
        "delete from webhook_deliveries where id in (
             select id from webhook_deliveries delivery
             where created_at < now() - $1::interval and not exists (select from jobs where subject = delivery.id)
             limit 1000
         )",
        age
    )
    .execute(pool)
    .await?;
    Ok(forgotten.rows_affected())
}
