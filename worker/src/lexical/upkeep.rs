//! The job that keeps a collection's lexicon complete and its segments few.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use lectern_shared::{
    ids::CollectionId,
    store::{
        StoreError,
        jobs::Claimed,
        lexicon::{self, Merge, Mergeable},
    },
};
use sqlx::PgPool;
use tracing::{debug, info};

use super::{
    Language,
    postings::{self, Renumbering},
};
use crate::{context::Context, error::JobError};

/// Segments of about one size that are merged into one. Lucene's tiered policy merges ten.
const MERGED: usize = 8;

/// Segments up to this many chunks are of one size, those up to eight times as many of the next, and so on.
const SMALLEST: i32 = 128;

/// A segment is rewritten when this share of it is gone …
const GONE_SHARE: f64 = 0.2;

/// … or anything at all, and it is this old: words of deleted documents don't stay for long.
const GONE_AFTER: Duration = Duration::from_secs(3600);

/// Postings that are read of each segment at a time.
const ROWS: i64 = 2_000;

/// Has documents that an earlier release left without words looked after.
pub(crate) async fn request_missing(context: &Context) -> Result<(), StoreError> {
    for job in lexicon::request_missing(&context.pool, &context.limits).await? {
        context.wake(job).await;
    }
    Ok(())
}

/// Has the words of documents that are gone for long leave.
pub(crate) async fn request_stale(context: &Context) -> Result<(), StoreError> {
    for job in lexicon::request_stale(&context.pool, GONE_AFTER, &context.limits).await? {
        context.wake(job).await;
    }
    Ok(())
}

pub(crate) async fn keep(context: &Context, job: &Claimed) -> Result<(), JobError> {
    let collection = CollectionId(job.subject);
    let pool = &context.pool;
    lexicon::drop_abandoned(pool, collection).await?;
    loop {
        let missing = lexicon::missing(pool, collection).await?;
        if missing.is_empty() {
            break;
        }
        let usual = usual_language(pool, collection).await?;
        for document in missing {
            let texts = lexicon::texts(pool, document).await?;
            let (segment, language) =
                tokio::task::spawn_blocking(move || postings::index(&texts, usual))
                    .await
                    .map_err(JobError::transient)?;
            let language = language.map(Language::code);
            lexicon::catch_up(pool, document, language, &segment).await?;
            debug!(document.id = %document.document, "words of a document indexed");
        }
    }
    while let Some(group) = next_group(&lexicon::mergeable(pool, collection).await?) {
        let chunks: i32 = group.iter().map(|segment| segment.chunks).sum();
        let merged = merge(context, &group).await?;
        info!(segments = group.len(), chunks, merged, "lexicon merged");
    }
    Ok(())
}

/// What most of a collection's chunks are written in.
pub(crate) async fn usual_language(
    pool: &PgPool,
    collection: CollectionId,
) -> Result<Option<Language>, StoreError> {
    let code = lexicon::usual_language(pool, collection).await?;
    Ok(code.and_then(|code| Language::from_code(&code)))
}

/// Segments that should become one, if there are any.
fn next_group(segments: &[Mergeable]) -> Option<Vec<Mergeable>> {
    let mut tiers: BTreeMap<u32, Vec<&Mergeable>> = BTreeMap::new();
    for segment in segments {
        tiers.entry(tier(segment.chunks)).or_default().push(segment);
    }
    if let Some(group) = tiers.into_values().find(|group| group.len() >= MERGED) {
        return Some(group.into_iter().cloned().collect());
    }
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let is_stale = |segment: &&Mergeable| {
        segment.gone > 0
            && (segment.gone as f64 >= GONE_SHARE * f64::from(segment.chunks)
                || segment.age_seconds > GONE_AFTER.as_secs_f64())
    };
    segments
        .iter()
        .find(is_stale)
        .map(|segment| vec![segment.clone()])
}

fn tier(chunks: i32) -> u32 {
    let mut tier = 0;
    let mut size = i64::from(SMALLEST);
    while i64::from(chunks) > size {
        size *= 8;
        tier += 1;
    }
    tier
}

/// False: another one was first.
async fn merge(context: &Context, group: &[Mergeable]) -> Result<bool, JobError> {
    let pool = &context.pool;
    let ids: Vec<i64> = group.iter().map(|segment| segment.id).collect();
    let Some(merge) = Merge::begin(pool, &ids).await? else {
        return Ok(false);
    };
    let renumbering = Renumbering::new(merge.sources());
    let mut after: Option<String> = None;
    loop {
        let rows = merge.read(pool, after.as_deref(), ROWS).await?;
        if rows.is_empty() {
            break;
        }
        // Of a segment with more to come, what lies behind its last term isn't known yet.
        let mut last_of: BTreeMap<i64, (i64, &str)> = BTreeMap::new();
        for row in &rows {
            let (count, last) = last_of.entry(row.segment).or_insert((0, ""));
            *count += 1;
            *last = (*last).max(row.term.as_str());
        }
        let complete_to = last_of
            .values()
            .filter(|(count, _)| *count == ROWS)
            .map(|(_, last)| (*last).to_owned())
            .min();
        let mut terms: BTreeMap<String, BTreeMap<i64, Vec<u8>>> = BTreeMap::new();
        for row in rows {
            if complete_to.as_ref().is_none_or(|last| row.term <= *last) {
                terms
                    .entry(row.term)
                    .or_default()
                    .insert(row.segment, row.entries);
            }
        }
        let merged: Vec<(String, Vec<u8>)> = terms
            .into_iter()
            .map(|(term, parts)| (term, renumbering.merged(&parts)))
            .filter(|(_, entries)| !entries.is_empty())
            .collect();
        merge.write(pool, &merged).await?;
        match complete_to {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    let languages: BTreeSet<String> = group
        .iter()
        .flat_map(|segment| segment.languages.iter().cloned())
        .collect();
    let languages: Vec<String> = languages.into_iter().collect();
    Ok(merge.finish(pool, &languages).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(id: i64, chunks: i32, gone: i64, age_seconds: f64) -> Mergeable {
        Mergeable {
            id,
            chunks,
            languages: Vec::new(),
            gone,
            age_seconds,
        }
    }

    #[test]
    fn many_small_segments_become_one_and_a_large_one_stays() {
        let mut segments: Vec<Mergeable> = (0..8).map(|id| segment(id, 40, 0, 0.0)).collect();
        segments.push(segment(8, 100_000, 0, 1e6));
        let ids: Vec<i64> = next_group(&segments)
            .unwrap()
            .iter()
            .map(|segment| segment.id)
            .collect();
        assert_eq!(ids, (0..8).collect::<Vec<_>>());
        assert!(next_group(&segments[1..]).is_none());
    }

    #[test]
    fn a_segment_is_rewritten_when_much_of_it_is_gone_or_some_of_it_for_long() {
        assert!(next_group(&[segment(1, 100, 30, 0.0)]).is_some());
        assert!(next_group(&[segment(1, 100, 1, 0.0)]).is_none());
        assert!(next_group(&[segment(1, 100, 1, 7200.0)]).is_some());
        assert!(next_group(&[segment(1, 100, 0, 7200.0)]).is_none());
    }
}
