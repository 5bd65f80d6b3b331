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
    models::{Embedded, TokenSigns},
    rerank::{self, Question, Reranked},
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
    /// The reranker, diversity and joining, as far as they are switched on.
    pub(crate) rerank: bool,
}

impl Parts {
    const ALL: Self = Self {
        words: true,
        vectors: true,
        rerank: true,
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
    pub(crate) rerank_ms: f64,
    /// Of each passage's text.
    pub(crate) tokens: Vec<usize>,
    /// Late interaction's scores of the passages that were compared, from -1 to 1, in no order.
    pub(crate) nearness: Vec<f32>,
}

/// A question as the model has it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Of length 1.
    pub(crate) embedding: Vec<f32>,
    /// For a reranker that compares tokens.
    pub(crate) tokens: Option<TokenSigns>,
    pub(crate) embed_ms: f64,
}

/// Embeds a question.
pub(crate) async fn embed(context: &Context, text: &str) -> Result<Asked, JobError> {
    let began = Instant::now();
    let (embedding, tokens) = if context.reranking.compares_tokens() {
        let Embedded { vector, tokens } = context.embedder.embed_question_tokens(text).await?;
        (vector, tokens)
    } else {
        (context.embedder.embed_question(text).await?, None)
    };
    Ok(Asked {
        embedding,
        tokens,
        embed_ms: since(began),
    })
}

/// `known` is the question as the model has it, where that was made already.
pub(crate) async fn retrieve(
    context: &Context,
    ask: &Ask<'_>,
    known: Option<&Asked>,
) -> Result<Retrieved, JobError> {
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
        match known {
            Some(known) => Ok(known.clone()),
            None => embed(context, ask.text).await,
        }
    };
    let ((found, words_ms), asked) = tokio::try_join!(by_words, by_vectors)?;
    let Asked {
        embedding,
        tokens,
        embed_ms,
    } = asked;

    let searching = Instant::now();
    let passages_max = ask.passages_max as usize;
    let candidates = if ask.parts.rerank {
        context.reranking.candidates(passages_max)
    } else {
        passages_max
    };
    let query = Query {
        tenant: ask.tenant,
        collection: ask.collection,
        embedding: &embedding,
        matches: if ask.parts.words { &found.matches } else { &[] },
        filter: ask.filter,
        vectors: if ask.parts.vectors {
            vectors(context, &found).await?
        } else {
            Vectors::Off
        },
        fusion: fusion(context, ask.parts),
        passages_max: u32::try_from(candidates).unwrap_or(u32::MAX),
    };
    let passages = search::passages(&context.pool, &query).await?;
    context.must_be_active().await?;
    let search_ms = since(searching);
    let reranked = if ask.parts.rerank {
        let asked = Question {
            text: ask.text.to_owned(),
            tokens,
        };
        rerank::rerank(context, asked, passages, passages_max).await?
    } else {
        Reranked::unchanged(passages)
    };
    Ok(Retrieved {
        passages: reranked.passages,
        language: found.language,
        embed_ms,
        words_ms,
        search_ms,
        rerank_ms: reranked.rerank_ms,
        tokens: reranked.tokens,
        nearness: reranked.nearness,
        embedding,
    })
}

fn fusion(context: &Context, parts: Parts) -> Fusion {
    #[expect(clippy::cast_possible_truncation, reason = "a cosine")]
    Fusion {
        vector_weight: match parts {
            Parts { words: false, .. } => 1.0,
            Parts { vectors: false, .. } => 0.0,
            _ => context.settings.search.vector_weight,
        },
        similarity_least: context.embedder.cosine(-1.0) as f32,
    }
}

/// Few vectors are compared one by one, which is exact, and quick where a filter leaves hardly any: an HNSW index would
/// walk through thousands that don't count. The same goes for more of them among so many others that the walk would end
/// before it has met enough.
async fn vectors(context: &Context, found: &Matches) -> Result<Vectors, JobError> {
    let settings = &context.settings.search;
    let candidates = settings.candidates;
    let exact = Vectors::Exact { candidates };
    if found.searched <= i64::from(settings.exact_chunks_max) {
        return Ok(exact);
    }
    let all = search::chunks_estimate(&context.pool).await?;
    if is_walk_too_short(settings.hnsw_scan_max, candidates, found.searched, all) {
        return Ok(exact);
    }
    Ok(Vectors::Approximate {
        candidates,
        ef_search: settings.hnsw_ef_search,
        scan_max: settings.hnsw_scan_max,
    })
}

/// Whether `scan_max` of `all` vectors hold fewer than `candidates` of those that are searched, if these stand anywhere
/// among the others. (They stand closer together, so that a walk meets more.)
fn is_walk_too_short(scan_max: u32, candidates: u32, searched: i64, all: i64) -> bool {
    let met = i128::from(scan_max) * i128::from(searched);
    met < i128::from(candidates) * i128::from(all.max(searched))
}

fn since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_a_million_is_not_walked_for_a_collection_of_a_few_thousand() {
        assert!(is_walk_too_short(20_000, 200, 6_000, 1_000_000));
        assert!(!is_walk_too_short(20_000, 200, 12_000, 1_000_000));
        assert!(!is_walk_too_short(20_000, 200, 250_000, 250_000));
        // Not counted yet.
        assert!(!is_walk_too_short(20_000, 200, 6_000, 0));
    }
}
