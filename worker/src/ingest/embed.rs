//! The last stage of an ingest before the end: passages get their vectors and are written, window by window.

use std::{borrow::Cow, collections::HashMap};

use lectern_shared::{
    metrics,
    store::{
        chunks::{self, NewChunk, TextHash},
        documents::ForIngest,
        jobs::Claimed,
        token_vectors,
    },
};
use sha2::{Digest, Sha256};

use super::chunk::Chunk;
use crate::{context::Context, error::JobError, models::TokenSigns, report::Report};

/// Chunks that are embedded and written together: enough to keep the model's threads busy while others are written,
/// few enough to hold.
const WINDOW: usize = 64;

pub(super) async fn embed_and_store(
    context: &Context,
    job: &Claimed,
    document: &ForIngest,
    chunks: &[Chunk],
    report: &mut Report,
) -> Result<(), JobError> {
    let total = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
    let mut done = 0_u32;
    report.progress(0, total).await;
    let mut windows = chunks.chunks(WINDOW);
    let mut embedded = embed(context, document, windows.next().unwrap_or_default()).await?;
    while !embedded.is_empty() {
        let count = u32::try_from(embedded.len()).unwrap_or(u32::MAX);
        let rows = (done..).zip(embedded).map(|(ordinal, row)| NewChunk {
            ordinal: ordinal.cast_signed(),
            ..row
        });
        let write = chunks::insert(&context.pool, job, document, context.model, rows.collect());
        // The model works on the next window while this one is written.
        let (written, next) = tokio::join!(
            write,
            embed(context, document, windows.next().unwrap_or_default())
        );
        if !written? {
            return Err(JobError::LeaseLost);
        }
        embedded = next?;
        done += count;
        report.progress(done, total).await;
    }
    ::metrics::counter!(metrics::CHUNKS).increment(total.into());
    Ok(())
}

/// The chunks with their vectors. Text that has a vector already, in an earlier version of the document for instance,
/// gets that one; equal texts are embedded once.
async fn embed(
    context: &Context,
    document: &ForIngest,
    chunks: &[Chunk],
) -> Result<Vec<NewChunk>, JobError> {
    if chunks.is_empty() {
        return Ok(Vec::new());
    }
    let texts: Vec<Cow<'_, str>> = chunks.iter().map(Chunk::embedded).collect();
    let hashes: Vec<TextHash> = texts
        .iter()
        .map(|text| Sha256::digest(text.as_bytes()).into())
        .collect();
    let known = chunks::vectors_of(&context.pool, document.tenant, context.model, &hashes).await?;
    let with_tokens = context
        .settings
        .rerank
        .keeps_token_vectors(&context.settings.embedding);
    let mut tokens = HashMap::new();
    if with_tokens {
        tokens =
            token_vectors::of_texts(&context.pool, document.tenant, context.model, &hashes).await?;
    }
    // Without its tokens' vectors a text is embedded once more, so that reading a document anew brings them.
    let mut vectors: HashMap<TextHash, Vec<f32>> = known
        .into_iter()
        .filter(|(hash, _)| !with_tokens || tokens.contains_key(hash))
        .collect();
    let mut missing: HashMap<TextHash, String> = HashMap::new();
    for (hash, text) in hashes.iter().zip(texts) {
        if !vectors.contains_key(hash) {
            missing.insert(*hash, text.into_owned());
        }
    }
    let reused = chunks.len() - missing.len();
    ::metrics::counter!(metrics::EMBEDDING_REUSED).increment(reused as u64);
    let (missing, texts): (Vec<TextHash>, Vec<String>) = missing.into_iter().unzip();
    if with_tokens {
        let embedded = context.embedder.embed_passages_tokens(texts).await?;
        for (hash, embedded) in missing.into_iter().zip(embedded) {
            vectors.insert(hash, embedded.vector);
            let signs = embedded.tokens.map(TokenSigns::into_bytes);
            tokens.extend(signs.map(|signs| (hash, signs)));
        }
    } else {
        let embedded = context.embedder.embed_passages(texts).await?;
        vectors.extend(missing.into_iter().zip(embedded));
    }
    let rows = hashes
        .into_iter()
        .zip(chunks)
        .map(|(hash, chunk)| NewChunk {
            token_vectors: tokens.get(&hash).cloned(),
            ..row(chunk, hash, vectors[&hash].clone())
        });
    Ok(rows.collect())
}

fn row(chunk: &Chunk, embedded_sha256: TextHash, embedding: Vec<f32>) -> NewChunk {
    NewChunk {
        ordinal: 0,
        page_first: chunk.page_first().cast_signed(),
        page_last: chunk.page_last().cast_signed(),
        spans: chunk.spans.clone(),
        heading: chunk.heading.clone(),
        place: chunk.place.clone(),
        embedded_sha256,
        text: chunk.text.clone(),
        tokens: i32::try_from(chunk.tokens).unwrap_or(i32::MAX),
        embedding,
        token_vectors: None,
    }
}
