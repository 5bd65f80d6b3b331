//! From a question to its best passages.

use std::time::Instant;

use lectern_shared::{
    ids::{CollectionId, TenantId},
    store::{
        questions::ForAnswer,
        search::{self, Fusion, Passage, Query, Vectors},
    },
};
use serde_json::Value;

use crate::{
    context::Context,
    error::JobError,
    lexical::{
        Language,
        search::{self as lexical, Matches},
    },
};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) collection: CollectionId,
    pub(crate) text: &'a str,
    /// Only documents whose metadata contain this JSON object.
    pub(crate) filter: Option<&'a Value>,
    pub(crate) passages_max: u32,
    pub(crate) parts: Parts,
}

/// The parts of the search that are used: all, but when they are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) words: bool,
    pub(crate) vectors: bool,
}

impl Parts {
    const ALL: Self = Self {
        words: true,
        vectors: true,
    };
}

impl<'a> From<&'a ForAnswer> for Ask<'a> {
    fn from(question: &'a ForAnswer) -> Self {
        Self {
            tenant: question.tenant,
            collection: question.collection,
            text: &question.text,
            filter: question.filter.as_ref(),
            passages_max: u32::from(question.passages_max.cast_unsigned()),
            parts: Parts::ALL,
        }
    }
}

pub(crate) struct Retrieved {
    /// Best first.
    pub(crate) passages: Vec<Passage>,
    /// The question's vector, of length 1.
    pub(crate) embedding: Vec<f32>,
    /// What the question is written in, as far as that can be told.
    pub(crate) language: Option<Language>,
    pub(crate) embed_ms: f64,
    /// Of the words' search, most of it while the model embeds the question.
    pub(crate) words_ms: f64,
    pub(crate) search_ms: f64,
}

pub(crate) async fn retrieve(context: &Context, ask: &Ask<'_>) -> Result<Retrieved, JobError> {
    let settings = &context.settings.search;
    let began = Instant::now();
    let by_words = async {
        let query = lexical::Query {
            tenant: ask.tenant,
            collection: ask.collection,
            text: ask.text,
            filter: ask.filter,
            parameters: settings.bm25(),
            exact_weight: settings.exact_word_weight,
            limit: settings.candidates as usize,
        };
        let found = lexical::search(&context.pool, query).await?;
        Ok::<_, JobError>((found, since(began)))
    };
    let by_vectors = async {
        let embedding = context.embedder.embed_question(ask.text).await?;
        Ok((embedding, since(began)))
    };
    let ((found, words_ms), (embedding, embed_ms)) = tokio::try_join!(by_words, by_vectors)?;

    let searching = Instant::now();
    let query = Query {
        tenant: ask.tenant,
        collection: ask.collection,
        embedding: &embedding,
        matches: if ask.parts.words { &found.matches } else { &[] },
        filter: ask.filter,
        vectors: if ask.parts.vectors {
            vectors(context, &found)
        } else {
            Vectors::Off
        },
        fusion: match ask.parts {
            Parts { words: false, .. } => Fusion { vector_weight: 1.0 },
            Parts { vectors: false, .. } => Fusion { vector_weight: 0.0 },
            _ => settings.fusion(),
        },
        passages_max: ask.passages_max,
    };
    let passages = search::passages(&context.pool, &query).await?;
    Ok(Retrieved {
        passages,
        language: found.language,
        embed_ms,
        words_ms,
        search_ms: since(searching),
        embedding,
    })
}

/// Few vectors are compared one by one, which is exact, and quick where a filter leaves hardly any: an HNSW index would
/// walk through thousands that don't count.
fn vectors(context: &Context, found: &Matches) -> Vectors {
    let settings = &context.settings.search;
    let candidates = settings.candidates;
    if found.searched <= i64::from(settings.exact_chunks_max) {
        Vectors::Exact { candidates }
    } else {
        Vectors::Approximate {
            candidates,
            ef_search: settings.hnsw_ef_search,
            scan_max: settings.hnsw_scan_max,
        }
    }
}

fn since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}
