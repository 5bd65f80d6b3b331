//! The job that makes vectors of texts for whoever asks the API for them.

use base64::{Engine, prelude::BASE64_STANDARD};
use lectern_shared::{
    events::{name, payload::Vectors},
    store::{embeddings, jobs::Claimed},
};

use crate::{context::Context, error::JobError, report::Report};

/// Vectors of an event: of 384 dimensions, these are 32 kB.
const BATCH: usize = 16;

pub(crate) async fn embed(
    context: &Context,
    job: &Claimed,
    report: &mut Report,
) -> Result<(), JobError> {
    let Some(wanted) = embeddings::find(&context.pool, job).await? else {
        return Ok(());
    };
    if job.attempt > 1 {
        report.emit(name::RESET, &serde_json::Map::new()).await;
    }
    for texts in wanted.texts.chunks(BATCH) {
        let mut tokens = 0;
        for text in texts {
            tokens += context.tokens.count(text)?;
        }
        let vectors = if wanted.as_questions {
            // One after the other: they overtake all passages, and others' questions are to come in between.
            let mut vectors = Vec::with_capacity(texts.len());
            for text in texts {
                vectors.push(context.embedder.embed_question(text).await?);
            }
            vectors
        } else {
            context.embedder.embed_passages(texts.to_vec()).await?
        };
        let batch = Vectors {
            vectors: vectors.iter().map(|vector| encode(vector)).collect(),
            tokens,
        };
        report.emit(name::VECTORS, &batch).await;
    }
    if !embeddings::complete(&context.pool, job).await? {
        return Err(JobError::LeaseLost);
    }
    report.emit(name::DONE, &serde_json::Map::new()).await;
    Ok(())
}

/// 32-bit floats, little-endian: what OpenAI's clients decode.
fn encode(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    BASE64_STANDARD.encode(bytes)
}
