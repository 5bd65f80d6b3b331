//! What readers think of answers, kept with what produced these.
//!
//! A row outlives the documents that its answer was made from, so it holds no text of theirs: of each passage it keeps
//! the document's id, its version and pages, the score, and the SHA-256 of the text, by which the same passage is known
//! again as long as it exists.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgPool, types::Json};

use super::{Result, reach::Reach, transaction};
use crate::ids::{CollectionId, DocumentId, FeedbackId, QuestionId, TenantId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Rating {
    Up,
    Down,
}

impl Rating {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    /// The reasons that make sense for it.
    #[must_use]
    pub fn reasons(self) -> &'static [Reason] {
        match self {
            Self::Up => &[
                Reason::Correct,
                Reason::Complete,
                Reason::Clear,
                Reason::Other,
            ],
            Self::Down => &[
                Reason::Wrong,
                Reason::Incomplete,
                Reason::WrongSource,
                Reason::Outdated,
                Reason::Unclear,
                Reason::NotAnswered,
                Reason::Other,
            ],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FeedbackReason))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Correct,
    Complete,
    Clear,
    Wrong,
    Incomplete,
    /// It says what its source doesn't, or cites the wrong one.
    WrongSource,
    Outdated,
    Unclear,
    /// The documents do answer, and Lectern said that they don't.
    NotAnswered,
    Other,
}

impl Reason {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Complete => "complete",
            Self::Clear => "clear",
            Self::Wrong => "wrong",
            Self::Incomplete => "incomplete",
            Self::WrongSource => "wrong_source",
            Self::Outdated => "outdated",
            Self::Unclear => "unclear",
            Self::NotAnswered => "not_answered",
            Self::Other => "other",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct NewFeedback<'a> {
    pub rating: Rating,
    pub reason: Option<Reason>,
    pub comment: Option<&'a str>,
}

/// Feedback as the API shows it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Feedback {
    pub id: FeedbackId,
    pub question: QuestionId,
    /// What was asked.
    pub text: String,
    pub collection: String,
    pub rating: String,
    pub reason: Option<String>,
    pub comment: Option<String>,
    /// `[{"number", "document", "version", "page_first", "page_last", "score", "text_sha256"}]`
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub passages: Value,
    /// What produced the answer.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub settings: Value,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Rates an answer, or changes its rating. What is disliked leaves the cache in the same transaction. False: there is
/// no such answer.
///
/// # Errors
/// When the database fails.
pub async fn rate(
    pool: &PgPool,
    reach: &Reach,
    question: QuestionId,
    feedback: &NewFeedback<'_>,
) -> Result<bool> {
    let mut tx = transaction(pool).await?;
    let rated = sqlx::query!(
        "insert into feedback (question_id, id, tenant_id, collection_id, rating, reason, comment, passages, settings)
         select question.id, $3, question.tenant_id, question.collection_id, $4, $5, $6,
             coalesce((
                 select jsonb_agg(
                     jsonb_build_object(
                         'number', ordinal, 'document', document_id, 'version', version, 'page_first', page_first,
                         'page_last', page_last, 'score', score,
                         'text_sha256', encode(sha256(convert_to(source.text, 'UTF8')), 'hex'))
                     order by ordinal)
                 from sources source where source.question_id = question.id
             ), '[]'),
             answer.settings || jsonb_build_object(
                 'generator', generator, 'passages_max', passages_max, 'filter', filter, 'confidence', confidence,
                 'signals', signals, 'cached', cached, 'abstained', abstained, 'outdated', outdated,
                 'faq', faq -> 'id')
         from questions question
         join answers answer on answer.question_id = question.id
         where question.id = $1 and question.tenant_id = $2 and mode = 'answer'
           and ($7::uuid[] is null or question.collection_id = any($7))
           and ($8::uuid is null or (asked_with = $8 and visitor_sha256 is not distinct from $9))
         on conflict on constraint feedback_pkey do update
         set rating = excluded.rating, reason = excluded.reason, comment = excluded.comment, updated_at = now()",
        question.0,
        reach.tenant.0,
        FeedbackId::fresh().0,
        feedback.rating.as_str(),
        feedback.reason.map(Reason::as_str),
        feedback.comment,
        reach.collections(),
        reach.asked_with(),
        reach.visitor(),
    )
    .execute(&mut *tx)
    .await?;
    if rated.rows_affected() == 0 {
        return Ok(false);
    }
    if feedback.rating == Rating::Down {
        sqlx::query!(
            "delete from answer_cache
             where question_id = $1 or question_id = (select cached_from from answers where question_id = $1)",
            question.0
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Which feedback is listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub collection: Option<CollectionId>,
    pub rating: Option<Rating>,
    pub reason: Option<Reason>,
    pub question: Option<QuestionId>,
}

/// Feedback older than `before`, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(
    pool: &PgPool,
    reach: &Reach,
    filter: &Filter,
    before: Option<FeedbackId>,
    limit: u32,
) -> Result<Vec<Feedback>> {
    Ok(sqlx::query_as!(
        Feedback,
        r#"select feedback.id as "id: FeedbackId", question_id as "question: QuestionId", question.text,
               collection.name as collection, rating, reason, comment, passages, feedback.settings,
               feedback.created_at, feedback.updated_at
           from feedback
           join questions question on question.id = feedback.question_id
           join collections collection on collection.id = feedback.collection_id
           where feedback.tenant_id = $1
             and ($2::uuid is null or feedback.collection_id = $2)
             and ($3::text is null or rating = $3)
             and ($4::text is null or reason = $4)
             and ($5::uuid is null or question_id = $5)
             and ($6::uuid is null or feedback.id < $6)
             and ($8::uuid[] is null or feedback.collection_id = any($8))
             and ($9::uuid is null or (asked_with = $9 and visitor_sha256 is not distinct from $10))
           order by feedback.id desc
           limit $7"#,
        reach.tenant.0,
        filter.collection.map(|id| id.0),
        filter.rating.map(Rating::as_str),
        filter.reason.map(Reason::as_str),
        filter.question.map(|id| id.0),
        before.map(|id| id.0),
        i64::from(limit),
        reach.collections(),
        reach.asked_with(),
        reach.visitor(),
    )
    .fetch_all(pool)
    .await?)
}

/// A question whose answer was liked, with what it was made from: a line of a golden set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Golden {
    pub id: QuestionId,
    /// As it was searched for: a follow-up as what it was taken for.
    pub question: String,
    /// What the documents' metadata had to contain.
    pub filter: Option<Value>,
    pub collection: String,
    /// In the order of the answer's `[n]`; those of documents that are gone are not there.
    pub sources: Vec<GoldenSource>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GoldenSource {
    pub number: i16,
    pub document: DocumentId,
    pub document_name: String,
    pub page_first: i32,
    pub page_last: i32,
    /// Whether the document is still of the version that the answer was made from.
    pub current: bool,
    /// Whether the answer cites it.
    pub cited: bool,
    pub text: String,
}

/// The questions whose answers were liked, of one collection or all of the tenant's, after `after`.
///
/// In order of their ids. FAQs have no sources and are left out, and so is what was liked for not answering.
///
/// # Errors
/// When the database fails.
pub async fn golden(
    pool: &PgPool,
    tenant: TenantId,
    collection: Option<CollectionId>,
    after: Option<QuestionId>,
    limit: u32,
) -> Result<Vec<Golden>> {
    let rows = sqlx::query!(
        r#"select question.id as "id: QuestionId", coalesce(question.standalone_question, question.text) as "text!",
               question.filter, collection.name as collection,
               jsonb_agg(
                   jsonb_build_object(
                       'number', ordinal, 'document', source.document_id, 'document_name', document.name,
                       'page_first', page_first, 'page_last', page_last, 'text', source.text,
                       'current', document.version = source.version,
                       'cited', source.cited)
                   order by ordinal) as "sources!: Json<Vec<GoldenSource>>"
           from feedback
           join questions question on question.id = feedback.question_id
           join collections collection on collection.id = question.collection_id
           join answers answer on answer.question_id = question.id
           join sources source on source.question_id = question.id
           join documents document on document.id = source.document_id
           where feedback.tenant_id = $1 and rating = 'up' and not abstained and faq is null
             and ($2::uuid is null or question.collection_id = $2)
             and ($3::uuid is null or question.id > $3)
           group by question.id, question.tenant_id, collection.name
           order by question.id
           limit $4"#,
        tenant.0,
        collection.map(|id| id.0),
        after.map(|id| id.0),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    let golden = rows.into_iter().map(|row| Golden {
        id: row.id,
        question: row.text,
        filter: row.filter,
        collection: row.collection,
        sources: row.sources.0,
    });
    Ok(golden.collect())
}

/// Feedback on a question, if there is any.
///
/// # Errors
/// When the database fails.
pub async fn of(pool: &PgPool, reach: &Reach, question: QuestionId) -> Result<Option<Feedback>> {
    let filter = Filter {
        question: Some(question),
        ..Filter::default()
    };
    Ok(list(pool, reach, &filter, None, 1).await?.pop())
}
