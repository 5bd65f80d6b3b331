//! A golden set that grows by itself: the questions whose answers readers have rated up, with what these cite.

use anyhow::Result;
use lectern_shared::{
    ids::{CollectionId, DEFAULT_TENANT},
    store::feedback::{self, Golden},
};
use sqlx::PgPool;

use super::set::{Question, Relevant};

/// Ratings that are read at a time.
const ROWS: u32 = 500;

/// # Errors
/// When the database fails.
pub(super) async fn read(pool: &PgPool, collection: CollectionId) -> Result<Vec<Question>> {
    let mut questions = Vec::new();
    let mut after = None;
    loop {
        let rows = feedback::golden(pool, DEFAULT_TENANT, Some(collection), after, ROWS).await?;
        let Some(last) = rows.last() else {
            return Ok(questions);
        };
        after = Some(last.id);
        questions.extend(rows.into_iter().filter_map(question));
    }
}

/// What the answer cites is relevant; if it cites nothing, all that it was made from. Pages of a document that has
/// changed since may say something else. `None`: nothing is left.
fn question(golden: Golden) -> Option<Question> {
    let cites = golden.sources.iter().any(|source| source.cited);
    let relevant = golden
        .sources
        .into_iter()
        .filter(|source| source.current && (source.cited || !cites))
        .map(|source| Relevant {
            document: source.document_name,
            pages: Some((
                source.page_first.cast_unsigned(),
                source.page_last.cast_unsigned(),
            )),
            rows: None,
            grade: 1.0,
        });
    let relevant: Vec<_> = relevant.collect();
    (!relevant.is_empty()).then_some(Question {
        question: golden.question,
        relevant,
        filter: golden.filter,
    })
}
