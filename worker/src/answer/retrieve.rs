//! From a question to its best passages.

use std::time::Instant;

use lectern_shared::store::{
    questions::ForAnswer,
    search::{self, Passage, Query},
};

use crate::{context::Context, error::JobError};

pub(crate) struct Retrieved {
    /// Best first.
    pub(crate) passages: Vec<Passage>,
    /// The question's vector, of length 1.
    pub(crate) embedding: Vec<f32>,
    pub(crate) embed_ms: f64,
    pub(crate) search_ms: f64,
}

pub(crate) async fn retrieve(
    context: &Context,
    question: &ForAnswer,
) -> Result<Retrieved, JobError> {
    let began = Instant::now();
    let embedding = context.embedder.embed_question(&question.text).await?;
    let embedded = Instant::now();
    let query = Query {
        tenant: question.tenant,
        collection: question.collection,
        text: &question.text,
        embedding: &embedding,
        passages_max: u32::from(question.passages_max.cast_unsigned()),
        filter: question.filter.as_ref(),
    };
    let passages = search::passages(&context.pool, &query).await?;
    Ok(Retrieved {
        passages,
        embed_ms: embedded.duration_since(began).as_secs_f64() * 1000.0,
        search_ms: embedded.elapsed().as_secs_f64() * 1000.0,
        embedding,
    })
}
