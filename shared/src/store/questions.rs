//! Questions, their answers and the sources that these cite.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool, types::Json};

use super::{
    Result, StoreError,
    cache::{self, NewEntry},
    chunks::Span,
    conversations::{self, Turn},
    faqs,
    jobs::{self, Claimed, Enqueued, Limits, NewJob},
    quotas::{self, Quota},
    reach::{Asker, Reach},
    transaction,
    unanswered::{self, NewUnanswered},
};
use crate::{
    events::payload::FaqUsed,
    ids::{CollectionId, ConversationId, DocumentId, QuestionId, TenantId},
    jobs::Kind,
};

/// What is wanted of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Answer,
    /// Passages without an answer.
    Search,
}

#[derive(Clone, Debug)]
pub struct NewQuestion<'a> {
    pub id: QuestionId,
    pub tenant: TenantId,
    pub collection: CollectionId,
    pub mode: Mode,
    pub text: &'a str,
    pub passages_max: i16,
    /// Goes on although nobody reads.
    pub background: bool,
    /// Only documents whose metadata contain this JSON object are looked into.
    pub filter: Option<&'a Value>,
    /// The conversation that it is the next turn of.
    pub conversation: Option<NextTurn>,
    pub asker: Option<&'a Asker>,
    /// The turns before it, oldest first, of a conversation that its client keeps.
    pub history: Option<&'a [Turn]>,
}

#[derive(Clone, Copy, Debug)]
pub struct NextTurn {
    pub conversation: ConversationId,
    pub turns_max: u32,
}

/// Writes the question and the job to answer it, in one transaction.
///
/// # Errors
/// When the database fails, or the conversation is full.
pub async fn create(
    pool: &PgPool,
    question: &NewQuestion<'_>,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Enqueued> {
    let (mode, kind) = match question.mode {
        Mode::Answer => ("answer", Kind::Answer),
        Mode::Search => ("search", Kind::Search),
    };
    let mut tx = transaction(pool).await?;
    let mut turn = None;
    if let Some(NextTurn {
        conversation,
        turns_max,
    }) = question.conversation
    {
        turn = conversations::take_turn(&mut tx, question.tenant, conversation, turns_max).await?;
        if turn.is_none() {
            return Err(StoreError::ConversationFull);
        }
    }
    sqlx::query!(
        "insert into questions (id, tenant_id, collection_id, mode, text, passages_max, background, filter,
             conversation_id, turn, asked_with, visitor_sha256, history)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        question.id.0,
        question.tenant.0,
        question.collection.0,
        mode,
        question.text,
        question.passages_max,
        question.background,
        question.filter,
        question.conversation.map(|next| next.conversation.0),
        turn,
        question.asker.map(|asker| asker.key.0),
        question.asker.and_then(|asker| asker.visitor.as_deref()),
        question.history.map(Json) as _,
    )
    .execute(&mut *tx)
    .await?;
    let job = NewJob {
        tenant: question.tenant,
        kind,
        subject: question.id.0,
        request_id,
    };
    let enqueued = jobs::enqueue(&mut tx, &job, limits).await?;
    if question.mode == Mode::Answer {
        let amounts = [(Quota::Questions, 1)];
        quotas::take(&mut tx, question.tenant, &amounts, &limits.quotas).await?;
    }
    tx.commit().await?;
    Ok(enqueued)
}

/// What a worker needs to answer.
#[derive(Clone, Debug)]
pub struct ForAnswer {
    pub id: QuestionId,
    pub tenant: TenantId,
    pub collection: CollectionId,
    pub text: String,
    pub passages_max: i16,
    pub filter: Option<Value>,
    /// Its place in its conversation, from 1.
    pub turn: Option<i32>,
    /// The turns before it, of a conversation that its client keeps.
    pub history: Option<Json<Vec<Turn>>>,
}

impl ForAnswer {
    /// Whether something was asked before it that it may refer to.
    #[must_use]
    pub fn has_turns_before(&self) -> bool {
        self.turn.is_some_and(|turn| turn > 1)
            || self.history.as_ref().is_some_and(|turns| !turns.is_empty())
    }
}

/// Marks the question as being worked on. `None`: it is gone, or over.
///
/// # Errors
/// When the database fails.
pub async fn begin(pool: &PgPool, job: &Claimed) -> Result<Option<ForAnswer>> {
    Ok(sqlx::query_as!(
        ForAnswer,
        r#"update questions set state = 'running'
           where id = $1 and state in ('queued', 'running')
           returning id as "id: QuestionId", tenant_id as "tenant: TenantId",
               collection_id as "collection: CollectionId", text, passages_max, filter, turn,
               history as "history: Json<Vec<Turn>>""#,
        job.subject
    )
    .fetch_optional(pool)
    .await?)
}

/// A source of an answer: a retrieved chunk, as it was when it was cited.
#[derive(Clone, Debug)]
pub struct NewSource {
    pub document: DocumentId,
    pub version: i32,
    pub page_first: i32,
    pub page_last: i32,
    pub spans: Vec<Span>,
    pub heading: Option<String>,
    pub place: Option<String>,
    pub text: String,
    pub score: f32,
    pub cited: bool,
}

#[derive(Clone, Debug)]
pub struct NewAnswer<'a> {
    pub text: &'a str,
    pub generator: &'a str,
    pub usage: Value,
    pub timings: Value,
    pub confidence: Option<f32>,
    /// Of the question, as ISO 639-1.
    pub language: Option<&'a str>,
    /// The documents don't answer; the sources are the nearest passages.
    pub abstained: bool,
    pub faq: Option<&'a FaqUsed>,
    /// What the confidence was made of.
    pub signals: Option<Value>,
    /// What produced it.
    pub settings: &'a Value,
    /// What readers are told beside it: a code.
    pub notice: Option<&'a str>,
    /// Tokens that a generator's server took for it.
    pub tokens: i64,
    /// For it to be given again.
    pub cache: Option<NewEntry<'a>>,
    /// For the list of questions that weren't answered.
    pub unanswered: Option<NewUnanswered<'a>>,
}

/// Stores an answer with its sources, numbered from 1, and ends the job, in one transaction. False: the lease is lost
/// and nothing was written. Sources whose document was deleted meanwhile are left out.
///
/// # Errors
/// When the database fails.
pub async fn complete(
    pool: &PgPool,
    job: &Claimed,
    answer: Option<&NewAnswer<'_>>,
    sources: &[NewSource],
) -> Result<bool> {
    let mut tx = transaction(pool).await?;
    if !jobs::finish(&mut tx, job.id, job.attempt).await? {
        return Ok(false);
    }
    let question = sqlx::query!(
        "update questions set state = 'answered', failure = null, history = null, finished_at = now() where id = $1",
        job.subject
    )
    .execute(&mut *tx)
    .await?;
    if question.rows_affected() == 0 {
        tx.commit().await?;
        return Ok(true);
    }
    if let Some(answer) = answer {
        sqlx::query!(
            "insert into answers (question_id, tenant_id, text, generator, usage, timings, confidence, language,
                 abstained, faq, signals, settings, notice)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            job.subject,
            job.tenant.0,
            answer.text,
            answer.generator,
            answer.usage,
            answer.timings,
            answer.confidence,
            answer.language,
            answer.abstained,
            answer.faq.map(Json) as _,
            answer.signals,
            answer.settings,
            answer.notice,
        )
        .execute(&mut *tx)
        .await?;
        if let Some(faq) = answer.faq {
            faqs::hit(&mut tx, faq.id).await?;
        }
    }
    for (ordinal, source) in (1_i16..).zip(sources) {
        sqlx::query!(
            "insert into sources (question_id, ordinal, tenant_id, document_id, version, page_first, page_last, spans,
                 heading, place, text, score, cited)
             select $1, $2, $3, document.id, $5, $6, $7, $8, $9, $10, $11, $12, $13
             from documents document where document.id = $4",
            job.subject,
            ordinal,
            job.tenant.0,
            source.document.0,
            source.version,
            source.page_first,
            source.page_last,
            Json(&source.spans) as _,
            source.heading,
            source.place,
            source.text,
            source.score,
            source.cited,
        )
        .execute(&mut *tx)
        .await?;
    }
    // What was deleted or replaced while the answer was written could not mark it yet. What is about to be waits for
    // this transaction, and then does.
    hold_documents(&mut tx, QuestionId(job.subject)).await?;
    sqlx::query!(
        "update answers set outdated = true
         where question_id = $1 and $2 > (
             select count(*) from sources source
             join documents document on document.id = source.document_id and document.version = source.version
             where source.question_id = $1
         )",
        job.subject,
        i64::try_from(sources.len()).unwrap_or(i64::MAX),
    )
    .execute(&mut *tx)
    .await?;
    if let Some(entry) = answer.and_then(|answer| answer.cache.as_ref()) {
        cache::keep(&mut tx, job.subject, entry).await?;
    }
    if let Some(asked) = answer.and_then(|answer| answer.unanswered.as_ref()) {
        unanswered::file(&mut tx, job.subject, asked).await?;
    }
    if let Some(answer) = answer.filter(|answer| answer.tokens > 0) {
        quotas::note(&mut tx, job.tenant, Quota::Tokens, answer.tokens).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Keeps the documents that an answer was made from as they are until the transaction ends.
pub(super) async fn hold_documents(tx: &mut PgConnection, question: QuestionId) -> Result<()> {
    sqlx::query_scalar!(
        "select true from documents
         where id in (select document_id from sources where question_id = $1)
         order by id
         for share",
        question.0
    )
    .fetch_all(tx)
    .await?;
    Ok(())
}

/// A question as the API shows it.
#[derive(Clone, Debug)]
pub struct Question {
    pub id: QuestionId,
    pub collection: String,
    pub text: String,
    pub state: String,
    pub background: bool,
    pub failure: Option<String>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub answer: Option<String>,
    pub generator: Option<String>,
    pub usage: Option<Value>,
    pub timings: Option<Value>,
    pub confidence: Option<f32>,
    /// What it is written in, as ISO 639-1.
    pub language: Option<String>,
    pub cached: Option<bool>,
    pub outdated: Option<bool>,
    pub abstained: Option<bool>,
    pub notice: Option<String>,
    pub faq: Option<Json<FaqUsed>>,
    pub filter: Option<Value>,
    pub conversation: Option<ConversationId>,
    pub turn: Option<i32>,
    pub standalone_question: Option<String>,
    /// `up` or `down`, if somebody has rated it.
    pub rating: Option<String>,
    /// What its answer was made from, in order; none while it isn't answered.
    pub sources: Json<Vec<Source>>,
}

/// A question with its answer and its sources, in one statement: most that are asked for have none yet, and a second one
/// would be another round trip for each.
///
/// # Errors
/// When the database fails.
pub async fn find(pool: &PgPool, reach: &Reach, id: QuestionId) -> Result<Option<Question>> {
    Ok(sqlx::query_as!(
        Question,
        r#"select question.id as "id: QuestionId", collection.name as collection, question.text, state, background,
               failure, question.created_at, finished_at, answer.text as "answer?", generator as "generator?",
               usage as "usage?", timings as "timings?", confidence, language, cached as "cached?",
               outdated as "outdated?", abstained as "abstained?", notice, faq as "faq?: Json<FaqUsed>", filter,
               conversation_id as "conversation: ConversationId", turn, standalone_question, rating as "rating?",
               -- Looked for only in the one case.
               coalesce(case when state = 'answered' then (
                   select json_agg(
                       json_build_object(
                           'ordinal', ordinal, 'document', document_id, 'document_name', document.name,
                           'document_title', document.title, 'page_first', page_first, 'page_last', page_last,
                           'spans', spans, 'heading', heading, 'place', place, 'text', source.text, 'score', score,
                           'cited', cited
                       ) order by ordinal
                   )
                   from sources source
                   join documents document on document.id = source.document_id
                   where source.question_id = question.id and source.tenant_id = question.tenant_id
               ) end, '[]') as "sources!: Json<Vec<Source>>"
           from questions question
           join collections collection on collection.id = question.collection_id
           left join answers answer on answer.question_id = question.id
           left join feedback on feedback.question_id = question.id
           where question.id = $1 and question.tenant_id = $2 and mode = 'answer'
             and ($3::uuid[] is null or question.collection_id = any($3))
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

/// A source as the API shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Source {
    pub ordinal: i16,
    pub document: DocumentId,
    pub document_name: String,
    pub document_title: Option<String>,
    pub page_first: i32,
    pub page_last: i32,
    pub spans: Json<Vec<Span>>,
    pub heading: Option<String>,
    pub place: Option<String>,
    pub text: String,
    pub score: f32,
    pub cited: bool,
}

/// The sources of an answer by themselves, in order.
///
/// # Errors
/// When the database fails.
pub async fn sources(pool: &PgPool, tenant: TenantId, id: QuestionId) -> Result<Vec<Source>> {
    Ok(sqlx::query_as!(
        Source,
        r#"select ordinal, document_id as "document: DocumentId", document.name as document_name,
               document.title as document_title, page_first, page_last, spans as "spans: Json<Vec<Span>>", heading,
               place, text, score, cited
           from sources source
           join documents document on document.id = source.document_id
           where question_id = $1 and source.tenant_id = $2
           order by ordinal"#,
        id.0,
        tenant.0
    )
    .fetch_all(pool)
    .await?)
}
