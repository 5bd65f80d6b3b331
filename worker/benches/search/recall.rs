//! How many of the truly nearest passages the HNSW index finds, with and without a filter, and how long both ways take.

use std::{collections::HashSet, time::Instant};

use lectern_shared::{
    ids::{CollectionId, DEFAULT_TENANT},
    store::search::{self, Fusion, Query, Vectors},
};
use lectern_worker::{config::SearchSettings, models::Embedder};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{corpus::COLLECTION, percentiles::Percentiles};

const NEAREST: u32 = 10;

/// A filter, and the passages that it leaves.
struct Filter {
    name: String,
    metadata: Option<Value>,
    passages: i64,
}

pub(crate) async fn measure(
    pool: &PgPool,
    settings: &SearchSettings,
    model: &mut dyn Embedder,
    questions: &[String],
) {
    let collection: uuid::Uuid = sqlx::query_scalar("select id from collections where name = $1")
        .bind(COLLECTION)
        .fetch_one(pool)
        .await
        .unwrap();
    let vectors: Vec<Vec<f32>> = questions
        .iter()
        .map(|question| model.embed(question).unwrap())
        .collect();
    println!(
        "| filter | passages | recall@{NEAREST} | least | HNSW p50 | p95 | exact p50 | p95 | taken |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---|");
    for filter in filters(pool).await {
        let mut found = Vec::new();
        let mut times = [Percentiles::default(), Percentiles::default()];
        for vector in &vectors {
            let ways = [
                Vectors::Approximate {
                    candidates: settings.candidates,
                    ef_search: settings.hnsw_ef_search,
                    scan_max: settings.hnsw_scan_max,
                },
                Vectors::Exact {
                    candidates: settings.candidates,
                },
            ];
            let mut sets = Vec::new();
            for (way, times) in ways.into_iter().zip(&mut times) {
                let query = Query {
                    tenant: DEFAULT_TENANT,
                    collection: CollectionId(collection),
                    embedding: vector,
                    matches: &[],
                    filter: filter.metadata.as_ref(),
                    vectors: way,
                    fusion: Fusion {
                        vector_weight: 1.0,
                        similarity_least: -1.0,
                    },
                    passages_max: NEAREST,
                };
                let began = Instant::now();
                let passages = search::passages(pool, &query).await.unwrap();
                times.add(began.elapsed());
                sets.push(
                    passages
                        .iter()
                        .map(|passage| passage.chunk)
                        .collect::<HashSet<_>>(),
                );
            }
            #[expect(clippy::cast_precision_loss, reason = "ten at the most")]
            found.push(sets[0].intersection(&sets[1]).count() as f64 / sets[1].len() as f64);
        }
        #[expect(clippy::cast_precision_loss, reason = "hundreds")]
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        let least = found.iter().copied().fold(1.0, f64::min);
        let taken = if filter.passages <= i64::from(settings.exact_chunks_max) {
            "exact"
        } else {
            "HNSW"
        };
        println!(
            "| {} | {} | {mean:.4} | {least:.1} | {:.1} ms | {:.1} | {:.1} ms | {:.1} | {taken} |",
            filter.name,
            filter.passages,
            times[0].at(0.5),
            times[0].at(0.95),
            times[1].at(0.5),
            times[1].at(0.95),
        );
    }
    println!();
}

/// None, each source, and one document.
async fn filters(pool: &PgPool) -> Vec<Filter> {
    let sources: Vec<(Option<String>, i64)> = sqlx::query_as(
        "select document.metadata ->> 'source', count(*)
         from documents document
         join chunks chunk on chunk.document_id = document.id and chunk.version = document.version
         group by rollup (1)
         order by 2 desc",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    sources
        .into_iter()
        .map(|(source, passages)| Filter {
            metadata: source.as_ref().map(|source| json!({ "source": source })),
            name: source.unwrap_or_else(|| "none".into()),
            passages,
        })
        .collect()
}
