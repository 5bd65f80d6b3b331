//! The same through the product's own search: documents and chunks as an ingest writes them, in a database of their own.

use std::{collections::BTreeMap, time::Duration};

use lectern_shared::{
    ids::{CollectionId, DEFAULT_TENANT},
    store::{
        chunks::{self, NewChunk},
        collections,
        documents::{self, Completion},
        jobs,
        models::{self, ModelId, ModelIdentity},
        search::{self, Query},
        versions::{self, Added, Facts, NewFile},
    },
    testing::Place,
};
use lectern_worker::ingest::chunk::Chunk;

use crate::{
    scores::{DEPTH, Ranked, Scores},
    set::TestSet,
};

pub(crate) async fn search(
    set: &TestSet,
    questions: &[Vec<f32>],
    chunks: &[(&str, Chunk)],
    embedded: &[Vec<f32>],
    identity: &ModelIdentity,
) -> Scores {
    let place = Place::new().await.unwrap();
    let model = models::adopt(&place.pool, identity).await.unwrap();
    let collection = collections::create(
        &place.pool,
        DEFAULT_TENANT,
        "squad-pdf",
        &collections::CollectionSettings::default(),
    )
    .await
    .unwrap()
    .unwrap()
    .id;
    let mut files: BTreeMap<&str, Vec<NewChunk>> = BTreeMap::new();
    for ((file, chunk), vector) in chunks.iter().zip(embedded) {
        let rows = files.entry(file).or_default();
        rows.push(row(rows.len(), chunk, vector));
    }
    for (file, rows) in files {
        store(&place, collection, model, file, rows).await;
    }
    let mut scores = Scores::default();
    for (question, vector) in set.questions.iter().zip(questions) {
        let query = Query {
            tenant: DEFAULT_TENANT,
            collection,
            text: &question.text,
            filter: None,
            embedding: vector,
            passages_max: u32::try_from(DEPTH).unwrap(),
        };
        let found = search::passages(&place.pool, &query).await.unwrap();
        let ranked: Vec<_> = found
            .iter()
            .map(|passage| Ranked {
                file: &passage.document_name,
                page_first: passage.page_first.cast_unsigned(),
                page_last: passage.page_last.cast_unsigned(),
                text: &passage.text,
                tokens: tokens(chunks, &passage.document_name, &passage.text),
            })
            .collect();
        scores.add(question, &ranked);
    }
    scores
}

fn tokens(chunks: &[(&str, Chunk)], file: &str, text: &str) -> usize {
    let same = |(name, chunk): &&(&str, Chunk)| *name == file && chunk.text == text;
    chunks
        .iter()
        .find(same)
        .map_or(0, |(_, chunk)| chunk.tokens)
}

fn row(ordinal: usize, chunk: &Chunk, vector: &[f32]) -> NewChunk {
    NewChunk {
        ordinal: i32::try_from(ordinal).unwrap(),
        page_first: chunk.page_first().cast_signed(),
        page_last: chunk.page_last().cast_signed(),
        spans: chunk.spans.clone(),
        heading: chunk.heading.clone(),
        place: chunk.place.clone(),
        text: chunk.text.clone(),
        tokens: i32::try_from(chunk.tokens).unwrap(),
        embedded_sha256: [0; 32],
        embedding: vector.to_vec(),
    }
}

async fn store(
    place: &Place,
    collection: CollectionId,
    model: ModelId,
    file: &str,
    rows: Vec<NewChunk>,
) {
    let pool = &place.pool;
    let upload = NewFile {
        tenant: DEFAULT_TENANT,
        media_type: "application/pdf",
        bytes: 1,
        sha256: file.as_bytes(),
        blob_key: file,
    };
    let target = versions::Place {
        collection,
        name: file,
        force: false,
    };
    let limits = (&place.settings).into();
    let added = versions::add(pool, &target, &upload, &Facts::default(), None, &limits).await;
    let Added::Made(made) = added.unwrap() else {
        panic!("{file} twice")
    };
    let job = jobs::claim(pool, made.job.id, "eval", Duration::from_secs(3600))
        .await
        .unwrap()
        .unwrap();
    let document = documents::begin_ingest(pool, &job).await.unwrap().unwrap();
    let completion = Completion {
        title: None,
        pages: 1,
        chunks: i32::try_from(rows.len()).unwrap(),
        notes: &[],
        request_index: false,
    };
    assert!(
        chunks::insert(pool, &job, &document, model, rows)
            .await
            .unwrap()
    );
    documents::complete_ingest(pool, &job, &document, &completion, &limits)
        .await
        .unwrap()
        .unwrap();
}
