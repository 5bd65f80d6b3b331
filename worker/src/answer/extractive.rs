//! The generator that needs no model server: it picks the sentences that answer and joins them, each with its source.

use std::collections::HashSet;

use futures::future::try_join_all;
use lectern_shared::{events::payload::Usage, store::questions::ForAnswer};
use unicode_segmentation::UnicodeSegmentation;

use super::{
    generate::{NOTHING_FOUND, Output},
    retrieve::Retrieved,
};
use crate::{
    context::Context,
    error::JobError,
    ingest::{collapse, sentences},
};

/// Passages whose sentences are looked at.
const PASSAGES: usize = 6;

/// Sentences that are embedded: one batch of the model. It is most of the time to the first token.
const CANDIDATES: usize = 8;

/// Sentences of an answer, at the most.
const SENTENCES_MAX: usize = 3;

/// A sentence that is further from the question than this has nothing to do with it.
const SIMILARITY_MIN: f32 = 0.25;

/// Further sentences must come this close to the best one.
const SHARE_OF_BEST: f32 = 0.75;

/// Two sentences that are closer say the same.
const SAME: f32 = 0.92;

/// A sentence of a passage that may answer.
#[derive(Clone, Debug)]
struct Candidate {
    /// The `n` of `[n]`, from 1.
    source: usize,
    /// Its place within the passage.
    place: usize,
    text: String,
    /// How much of the question's words it has, and how good its passage is.
    promise: f32,
    vector: Vec<f32>,
    similarity: f32,
}

pub(crate) async fn generate(
    context: &Context,
    question: &ForAnswer,
    found: &Retrieved,
    output: &mut Output<'_>,
) -> Result<Usage, JobError> {
    let texts: Vec<&str> = found
        .passages
        .iter()
        .take(PASSAGES)
        .map(|passage| passage.text.as_str())
        .collect();
    let mut candidates = candidates(&question.text, &texts);
    let vectors = try_join_all(
        candidates
            .iter()
            .map(|candidate| context.embedder.embed_question(&candidate.text)),
    )
    .await?;
    for (candidate, vector) in candidates.iter_mut().zip(vectors) {
        candidate.similarity = dot(&vector, &found.embedding);
        candidate.vector = vector;
    }
    let chosen = choose(candidates);
    if chosen.is_empty() {
        output.push(NOTHING_FOUND).await;
    }
    let mut words = 0;
    for (index, sentence) in chosen.iter().enumerate() {
        let cited = format!(
            "{}{} [{}]",
            if index == 0 { "" } else { " " },
            sentence.text,
            sentence.source
        );
        for word in cited.split_inclusive(' ').filter(|word| !word.is_empty()) {
            words += 1;
            output.push(word).await;
        }
    }
    Ok(Usage {
        prompt_tokens: 0,
        answer_tokens: words,
    })
}

/// The most promising sentences of the passages, by the question's words.
fn candidates(question: &str, passages: &[&str]) -> Vec<Candidate> {
    let wanted = stems(question);
    let mut candidates = Vec::new();
    for (index, passage) in passages.iter().enumerate() {
        for (place, range) in sentences(passage).into_iter().enumerate() {
            let text = collapse(&passage[range]);
            if !is_sentence(&text) {
                continue;
            }
            let has = stems(&text);
            #[expect(clippy::cast_precision_loss, reason = "counts of words in a sentence")]
            let overlap = wanted.intersection(&has).count() as f32 / wanted.len().max(1) as f32;
            #[expect(clippy::cast_precision_loss, reason = "a rank below ten")]
            let promise = overlap + 0.3 / (1.0 + index as f32);
            candidates.push(Candidate {
                source: index + 1,
                place,
                text,
                promise,
                vector: Vec::new(),
                similarity: 0.0,
            });
        }
    }
    keep_codes(&wanted, &mut candidates);
    candidates.sort_by(|a, b| b.promise.total_cmp(&a.promise));
    candidates.truncate(CANDIDATES);
    candidates
}

/// Who asks for `ERR-4711` doesn't want to read of `ERR-4712`, however alike the two sentences are: when sentences have
/// a number that the question has, the others are left out.
fn keep_codes(wanted: &HashSet<String>, candidates: &mut Vec<Candidate>) {
    let is_code = |word: &&String| word.chars().count() > 2 && word.chars().any(char::is_numeric);
    let codes: HashSet<String> = wanted.iter().filter(is_code).cloned().collect();
    let has_code = |candidate: &Candidate| !codes.is_disjoint(&stems(&candidate.text));
    if candidates.iter().any(has_code) {
        candidates.retain(has_code);
    }
}

/// Page numbers, lone headings and scraps of tables are no sentences; something as long as a page isn't either.
fn is_sentence(text: &str) -> bool {
    let words = text.unicode_words().count();
    // A heading has no end mark; a long line without one may be an item of a list.
    let words_min = if text.ends_with(['.', '!', '?', ':', ';', '。', '！', '？']) {
        4
    } else {
        9
    };
    (words_min..=80).contains(&words)
        && text.chars().filter(|c| c.is_alphabetic()).count() * 2 > text.chars().count()
}

/// The words that matter, cut to their first five letters: a crude stem that works in most languages.
fn stems(text: &str) -> HashSet<String> {
    text.unicode_words()
        .filter(|word| word.chars().count() > 2 || word.chars().any(char::is_numeric))
        .map(|word| word.to_lowercase().chars().take(5).collect())
        .collect()
}

/// The sentences of the answer: the best, and what is nearly as good and says something else; in reading order, those
/// of the best passage first.
fn choose(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    let score = |candidate: &Candidate| candidate.similarity + 0.25 * candidate.promise;
    candidates.retain(|candidate| candidate.similarity >= SIMILARITY_MIN);
    candidates.sort_by(|a, b| score(b).total_cmp(&score(a)));
    let mut chosen: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        let good = chosen
            .first()
            .is_none_or(|best| score(&candidate) >= SHARE_OF_BEST * score(best));
        let new = chosen
            .iter()
            .all(|other| dot(&other.vector, &candidate.vector) < SAME);
        if good && new && chosen.len() < SENTENCES_MAX {
            chosen.push(candidate);
        }
    }
    let best_source = chosen.first().map(|best| best.source);
    chosen.sort_by_key(|sentence| {
        (
            Some(sentence.source) != best_source,
            sentence.source,
            sentence.place,
        )
    });
    chosen
}

/// Cosine similarity of two vectors of length 1.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(source: usize, place: usize, similarity: f32, vector: [f32; 2]) -> Candidate {
        let text = format!("Sentence {place} of passage {source}.");
        Candidate {
            source,
            place,
            text,
            promise: 0.0,
            vector: vector.to_vec(),
            similarity,
        }
    }

    #[test]
    fn the_sentence_with_the_words_of_the_question_is_the_most_promising() {
        let passages =
            ["Taxis are not paid for. The hotel limit is 120 euros a night. Ask before you book."];
        let found = candidates("What is the limit for a hotel night?", &passages);
        assert_eq!(found[0].text, "The hotel limit is 120 euros a night.");
    }

    #[test]
    fn a_question_about_a_code_is_not_answered_with_another_one() {
        let passages =
            ["ERR-4711 means that the tank is empty. ERR-4712 means that the grinder is blocked."];
        let found = candidates("What does ERR-4711 mean?", &passages);
        assert_eq!(found.len(), 1);
        assert!(found[0].text.starts_with("ERR-4711"));
        let found = candidates("What does ERR-9999 mean?", &passages);
        assert_eq!(
            found.len(),
            2,
            "nothing is left out when nothing has the code"
        );
    }

    #[test]
    fn sentences_that_say_the_same_are_said_once_and_in_reading_order() {
        let chosen = choose(vec![
            candidate(2, 0, 0.8, [0.0, 1.0]),
            candidate(1, 4, 0.9, [1.0, 0.0]),
            candidate(3, 0, 0.85, [1.0, 0.0]),
            candidate(1, 2, 0.75, [0.7, 0.7]),
        ]);
        let places: Vec<_> = chosen
            .iter()
            .map(|sentence| (sentence.source, sentence.place))
            .collect();
        assert_eq!(places, [(1, 2), (1, 4), (2, 0)]);
    }

    #[test]
    fn nothing_is_chosen_when_nothing_is_near() {
        assert!(choose(vec![candidate(1, 0, 0.1, [1.0, 0.0])]).is_empty());
    }

    #[test]
    fn page_numbers_and_headings_are_no_sentences() {
        assert!(!is_sentence("Page 3 of 17"));
        assert!(!is_sentence("12 13 14 15 16 17 18"));
        assert!(is_sentence("The pump must be primed before its first use."));
    }
}
