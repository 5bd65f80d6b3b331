//! Pages of documents as text, for who reads them in order.

use std::ops::RangeInclusive;

use sqlx::PgPool;

use super::{Result, reach::Reach};
use crate::ids::DocumentId;

/// A page of the version that searches see.
#[derive(Clone, Debug)]
pub struct Page {
    /// From 1
    pub number: i32,
    /// What to call it if not by its number: "Slide 3".
    pub label: Option<String>,
    pub text: String,
    /// The text goes on.
    pub cut: bool,
}

/// Those of the wanted pages that have no more than so many characters together: from the first on, which is cut if it
/// has more by itself.
///
/// # Errors
/// When the database fails.
pub async fn read(
    pool: &PgPool,
    reach: &Reach,
    document: DocumentId,
    wanted: RangeInclusive<i32>,
    chars_max: u32,
) -> Result<Vec<Page>> {
    Ok(sqlx::query_as!(
        Page,
        r#"select number, label, left(text, $6) as "text!", chars > $6 as "cut!"
           from (
               select page.number, page.label, page.text, length(page.text) as chars,
                   sum(length(page.text)) over (order by page.number) as chars_so_far
               from documents document
               join pages page on page.document_id = document.id and page.version = document.version
               where document.id = $1 and document.tenant_id = $2
                 and ($3::uuid[] is null or document.collection_id = any($3))
                 and page.number between $4 and $5
           ) page
           where chars_so_far <= $6 or chars_so_far = chars
           order by number"#,
        document.0,
        reach.tenant.0,
        reach.collections(),
        wanted.start(),
        wanted.end(),
        i32::try_from(chars_max).unwrap_or(i32::MAX),
    )
    .fetch_all(pool)
    .await?)
}
