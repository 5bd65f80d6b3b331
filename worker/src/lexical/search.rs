//! From a question to the chunks that its words stand in.

use lectern_shared::store::{
    StoreError,
    lexicon::{Match, Snapshot},
};
use serde_json::Value;
use sqlx::PgPool;

use super::{
    Language, analysis,
    bm25::{Corpus, Parameters},
};
use lectern_shared::ids::{CollectionId, TenantId};

/// Languages whose stemmers a question goes through, at the most. Few collections have more.
const LANGUAGES_MAX: usize = 8;

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) collection: CollectionId,
    pub(crate) text: &'a str,
    /// Only documents whose metadata contain this JSON object.
    pub(crate) filter: Option<&'a Value>,
    pub(crate) parameters: Parameters,
    /// How much a word counts that stands there as it was asked for, beside its stem.
    pub(crate) exact_weight: f32,
    pub(crate) limit: usize,
}

/// What the words of a question have found.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// Best first.
    pub(crate) matches: Vec<Match>,
    /// Chunks that could have been found: those of documents that the filter lets through.
    pub(crate) searched: i64,
    /// What the question is written in, as far as that can be told.
    pub(crate) language: Option<Language>,
}

/// # Errors
/// When the database fails.
pub(crate) async fn search(pool: &PgPool, query: Query<'_>) -> Result<Matches, StoreError> {
    let mut snapshot = Snapshot::open(pool, query.tenant, query.collection).await?;
    let languages = languages(&snapshot);
    let language = Language::of_question(query.text, &languages);
    let wanted = analysis::wanted(query.text, language, &languages, query.exact_weight);
    let terms: Vec<String> = wanted.iter().map(|wanted| wanted.term.clone()).collect();

    let hidden = snapshot.hidden().await?;
    let among = match query.filter {
        Some(filter) => Some(snapshot.matching(filter).await?),
        None => None,
    };
    let postings = snapshot.postings(&terms).await?;
    let corpus = Corpus {
        segments: snapshot.segments(),
        hidden: &hidden,
        among: among.as_deref(),
    };
    let searched = among.as_ref().map_or_else(
        || corpus.chunks(),
        |among| among.iter().map(|stretch| i64::from(stretch.chunks)).sum(),
    );
    let found: Vec<(i64, i32, f32)> = corpus
        .best(&wanted, &postings, query.parameters, query.limit)
        .into_iter()
        .map(|found| (found.segment, found.chunk.cast_signed(), found.score))
        .collect();
    Ok(Matches {
        matches: snapshot.matches(&found).await?,
        searched,
        language,
    })
}

/// The languages of the collection, those of most chunks first.
fn languages(snapshot: &Snapshot) -> Vec<Language> {
    let mut sizes: Vec<(Language, i64)> = Vec::new();
    for segment in snapshot.segments() {
        for language in segment
            .languages
            .iter()
            .filter_map(|code| Language::from_code(code))
        {
            let chunks = i64::from(segment.chunks);
            match sizes.iter_mut().find(|(known, _)| *known == language) {
                Some((_, size)) => *size += chunks,
                None => sizes.push((language, chunks)),
            }
        }
    }
    sizes.sort_by_key(|(language, size)| (-size, *language));
    sizes.truncate(LANGUAGES_MAX);
    sizes.into_iter().map(|(language, _)| language).collect()
}
