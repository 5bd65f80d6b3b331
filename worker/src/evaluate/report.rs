//! The table, and the same as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::scores::{Means, Scores, Times, percentile};
use crate::config::Variant;

/// A row.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measured {
    collection: String,
    search: &'static str,
    model: String,
    questions: f64,
    #[serde(flatten)]
    means: Means,
    /// In milliseconds, of the median and of the slowest twentieth.
    embed_ms: [f64; 2],
    words_ms: [f64; 2],
    search_ms: [f64; 2],
    rerank_ms: [f64; 2],
    total_ms: [f64; 2],
}

impl Measured {
    pub(super) fn new(
        collection: &str,
        variant: Variant,
        model: &str,
        scores: &Scores,
        times: &Times,
    ) -> Self {
        let both = |numbers: &[f64]| [percentile(numbers, 0.5), percentile(numbers, 0.95)];
        Self {
            collection: collection.to_owned(),
            search: variant.name(),
            model: model.to_owned(),
            questions: scores.questions,
            means: scores.means(),
            embed_ms: both(&times.embed),
            words_ms: both(&times.words),
            search_ms: both(&times.search),
            rerank_ms: both(&times.rerank),
            total_ms: both(&times.total),
        }
    }
}

/// In Markdown.
pub(super) fn table(rows: &[Measured]) -> String {
    let mut table = "| collection | search | questions | nDCG@10 | recall@5 | recall@20 | MRR@10 | embed | words | \
                     search | rerank | total, p50 / p95 ms |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let ms = |[median, slow]: [f64; 2]| format!("{median:.1} / {slow:.1}");
        let Means {
            ndcg_10,
            recall_5,
            recall_20,
            mrr_10,
        } = row.means;
        let _ = writeln!(
            table,
            "| {} | {} | {} | {ndcg_10:.4} | {recall_5:.4} | {recall_20:.4} | {mrr_10:.4} | {} | {} | {} | {} | {} |",
            row.collection,
            row.search,
            row.questions,
            ms(row.embed_ms),
            ms(row.words_ms),
            ms(row.search_ms),
            ms(row.rerank_ms),
            ms(row.total_ms),
        );
    }
    table
}
