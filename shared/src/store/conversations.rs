//! Conversations: questions in the order in which they were asked, so that a follow-up can be understood.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

use super::{
    Result,
    jobs::{self, Claimed},
    reach::{Asker, Reach},
    transaction,
};
use crate::ids::{CollectionId, ConversationId, QuestionId, TenantId};

/// A conversation as the API shows it.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub id: ConversationId,
    pub collection: String,
    pub turns: i32,
    /// Its first question, if that was not deleted.
    pub question: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// # Errors
/// When the database fails.
pub async fn create(
    pool: &PgPool,
    tenant: TenantId,
    collection: CollectionId,
    asker: &Asker,
) -> Result<ConversationId> {
    let id = ConversationId::unguessable();
    sqlx::query!(
        "insert into conversations (id, tenant_id, collection_id, asked_with, visitor_sha256)
         values ($1, $2, $3, $4, $5)",
        id.0,
        tenant.0,
        collection.0,
        asker.key.0,
        asker.visitor.as_deref(),
    )
    .execute(pool)
    .await?;
    Ok(id)
}

/// The collection that a conversation is about; `None`: there is no such conversation within reach.
///
/// # Errors
/// When the database fails.
pub async fn collection(
    pool: &PgPool,
    reach: &Reach,
    id: ConversationId,
) -> Result<Option<CollectionId>> {
    Ok(sqlx::query_scalar!(
        r#"select collection_id as "collection: CollectionId" from conversations
           where id = $1 and tenant_id = $2
             and ($3::uuid[] is null or collection_id = any($3))
             and ($4::uuid is null or (asked_with = $4 and visitor_sha256 is not distinct from $5))"#,
        id.0,
        reach.tenant.0,
        reach.collections(),
        reach.asked_with(),
        reach.visitor(),
    )
    .fetch_optional(pool)
    .await?)
}

/// The place of a new question, in the transaction that writes it. Whoever asks at the same moment waits for the end of
/// that and gets the next. `None`: it is gone, or has so many turns already.
pub(super) async fn take_turn(
    tx: &mut PgConnection,
    tenant: TenantId,
    id: ConversationId,
    turns_max: u32,
) -> Result<Option<i32>> {
    Ok(sqlx::query_scalar!(
        "update conversations set turns = turns + 1, updated_at = now()
         where id = $1 and tenant_id = $2 and turns < $3
         returning turns",
        id.0,
        tenant.0,
        i32::try_from(turns_max).unwrap_or(i32::MAX),
    )
    .fetch_optional(tx)
    .await?)
}

/// A page of the conversations within reach, newest first, after one of them.
///
/// # Errors
/// When the database fails.
pub async fn list(
    pool: &PgPool,
    reach: &Reach,
    after: Option<ConversationId>,
    limit: u32,
) -> Result<Vec<Conversation>> {
    Ok(sqlx::query_as!(
        Conversation,
        r#"select conversation.id as "id: ConversationId", collection.name as collection, turns,
               question.text as "question?", conversation.created_at, updated_at
           from conversations conversation
           join collections collection on collection.id = conversation.collection_id
           left join questions question on question.conversation_id = conversation.id and question.turn = 1
           where conversation.tenant_id = $1 and ($2::uuid is null or conversation.id < $2)
             and ($4::uuid[] is null or conversation.collection_id = any($4))
             and ($5::uuid is null or (conversation.asked_with = $5 and conversation.visitor_sha256 is not distinct from $6))
           order by conversation.id desc
           limit $3"#,
        reach.tenant.0,
        after.map(|id| id.0),
        i64::from(limit),
        reach.collections(),
        reach.asked_with(),
        reach.visitor(),
    )
    .fetch_all(pool)
    .await?)
}

/// # Errors
/// When the database fails.
pub async fn find(
    pool: &PgPool,
    reach: &Reach,
    id: ConversationId,
) -> Result<Option<Conversation>> {
    Ok(sqlx::query_as!(
        Conversation,
        r#"select conversation.id as "id: ConversationId", collection.name as collection, turns,
               question.text as "question?", conversation.created_at, updated_at
           from conversations conversation
           join collections collection on collection.id = conversation.collection_id
           left join questions question on question.conversation_id = conversation.id and question.turn = 1
           where conversation.id = $1 and conversation.tenant_id = $2
             and ($3::uuid[] is null or conversation.collection_id = any($3))
             and ($4::uuid is null or (conversation.asked_with = $4 and conversation.visitor_sha256 is not distinct from $5))"#,
        id.0,
        reach.tenant.0,
        reach.collections(),
        reach.asked_with(),
        reach.visitor(),
    )
    .fetch_optional(pool)
    .await?)
}

/// A question of a conversation, with its answer.
#[derive(Clone, Debug)]
pub struct Asked {
    pub id: QuestionId,
    pub turn: i32,
    pub text: String,
    pub standalone_question: Option<String>,
    pub state: String,
    pub failure: Option<String>,
    pub answer: Option<String>,
    pub outdated: Option<bool>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// All questions of a conversation, in their order.
///
/// # Errors
/// When the database fails.
pub async fn questions(pool: &PgPool, tenant: TenantId, id: ConversationId) -> Result<Vec<Asked>> {
    Ok(sqlx::query_as!(
        Asked,
        r#"select question.id as "id: QuestionId", turn as "turn!", question.text, standalone_question, state, failure,
               answer.text as "answer?", outdated as "outdated?", question.created_at, finished_at
           from questions question
           left join answers answer on answer.question_id = question.id
           where conversation_id = $1 and question.tenant_id = $2
           order by turn"#,
        id.0,
        tenant.0
    )
    .fetch_all(pool)
    .await?)
}

/// Deletes a conversation with its questions and answers. `None`: there is none. Else the questions that were not
/// answered yet, whose jobs are to be cancelled.
///
/// # Errors
/// When the database fails.
pub async fn delete(
    pool: &PgPool,
    reach: &Reach,
    id: ConversationId,
) -> Result<Option<Vec<QuestionId>>> {
    let mut tx = transaction(pool).await?;
    // Nobody may take a turn in it meanwhile.
    let found = sqlx::query_scalar!(
        r#"select true as "found!" from conversations
           where id = $1 and tenant_id = $2
             and ($3::uuid[] is null or collection_id = any($3))
             and ($4::uuid is null or (asked_with = $4 and visitor_sha256 is not distinct from $5))
           for update"#,
        id.0,
        reach.tenant.0,
        reach.collections(),
        reach.asked_with(),
        reach.visitor(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    if found.is_none() {
        return Ok(None);
    }
    let unfinished = sqlx::query_scalar!(
        r#"select id as "id: QuestionId" from questions
           where conversation_id = $1 and state in ('queued', 'running')"#,
        id.0
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!("delete from conversations where id = $1", id.0)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Some(unfinished))
}

/// An earlier turn, for who has to understand a later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    pub text: String,
    pub standalone_question: Option<String>,
    pub answer: Option<String>,
}

impl Turn {
    /// What was asked, as it is understood without the turns before.
    #[must_use]
    pub fn standalone(&self) -> &str {
        self.standalone_question.as_deref().unwrap_or(&self.text)
    }
}

/// The turns before a question, oldest first, at most so many. Those that are still being answered have no answer.
///
/// # Errors
/// When the database fails.
pub async fn history(pool: &PgPool, question: QuestionId, turns_max: u32) -> Result<Vec<Turn>> {
    let mut turns = sqlx::query_as!(
        Turn,
        r#"select earlier.text, earlier.standalone_question, answer.text as "answer?"
           from questions question
           join questions earlier
             on earlier.conversation_id = question.conversation_id and earlier.turn < question.turn
           left join answers answer on answer.question_id = earlier.id
           where question.id = $1 and earlier.state in ('queued', 'running', 'answered')
           order by earlier.turn desc
           limit $2"#,
        question.0,
        i64::from(turns_max),
    )
    .fetch_all(pool)
    .await?;
    turns.reverse();
    Ok(turns)
}

/// Writes down what a follow-up was taken for. False: the lease is lost.
///
/// # Errors
/// When the database fails.
pub async fn note_standalone(pool: &PgPool, job: &Claimed, question: &str) -> Result<bool> {
    let mut tx = transaction(pool).await?;
    if !jobs::hold(&mut tx, job.id, job.attempt).await? {
        return Ok(false);
    }
    sqlx::query!(
        "update questions set standalone_question = $2 where id = $1",
        job.subject,
        question
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(true)
}
