//! The generator that needs no model server: it picks the sentences that answer and joins them, each with its source.
//!
//! Words come first, since they cost nothing: they choose the few candidates that the embedding model looks at, which
//! is most of the time to the first token. Then what was chosen is made to be read: a sentence that points back takes
//! along the one before it, a list is shown as one, and sentences of one passage share a citation.

use std::collections::{HashMap, HashSet};

use futures::future::try_join_all;
use lectern_shared::{
    events::payload::Usage,
    store::{questions::ForAnswer, search::Passage},
};
use unicode_segmentation::UnicodeSegmentation;

use super::{
    abstention::abstention,
    cues::Cue,
    generate::Output,
    retrieve::Retrieved,
    units::{Kind, Unit, units},
    wording,
    words::{pairs, stems},
};
use crate::{context::Context, error::JobError, lexical::Language};

/// Passages whose sentences are looked at.
const PASSAGES: usize = 6;

/// Sentences that are embedded, and their words together, at the most.
const CANDIDATES: usize = 6;
const CANDIDATE_WORDS: usize = 180;

/// Sentences of an answer, at the most; of one that asks for a fact.
const SENTENCES_MAX: usize = 3;
const SENTENCES_FOR_FACT: usize = 2;

/// A sentence that is further from the question than this, or has fewer of its words, must have more of the other to
/// have anything to do with it.
const SIMILARITY_MIN: f32 = 0.25;
const WORDS_MIN: f32 = 0.2;
const SIMILARITY_ALONE: f32 = 0.6;
const WORDS_ALONE: f32 = 0.45;

/// Further sentences must come this close to the best one; and closer, if one is enough.
const SHARE_OF_BEST: f32 = 0.78;
const SHARE_FOR_FACT: f32 = 0.92;

/// Two sentences that are closer say the same.
const SAME: f64 = 0.92;
const SAME_WORDS: f32 = 0.75;

/// How much what is known by words counts beside the vectors.
const PROMISE_WEIGHT: f32 = 0.45;

/// What a sentence promises less in another language than the question's, where there are passages in that.
const FOREIGN: f32 = 0.25;

/// A passage, taken apart.
struct Quotable {
    units: Vec<Unit>,
    /// The titles that it stands under.
    heading: String,
    /// Of its document: passages of one are read in their order.
    document: usize,
    position: (u32, u32),
    /// In another language than the question, while others are in that.
    is_foreign: bool,
}

/// A unit of a passage that may answer.
#[derive(Clone, Debug)]
struct Candidate {
    /// The passage, from 0.
    passage: usize,
    /// Its place within the passage.
    place: usize,
    stems: HashSet<String>,
    /// The share of the question's words that it has, the rare ones counting more.
    overlap: f32,
    /// The same, and what else speaks for it without a vector.
    promise: f32,
    /// Whether it is the kind of answer that is asked for.
    fits: bool,
    is_row: bool,
    vector: Vec<f32>,
    similarity: f32,
}

impl Candidate {
    fn score(&self) -> f32 {
        self.similarity + PROMISE_WEIGHT * self.promise
    }
}

pub(crate) async fn generate(
    context: &Context,
    question: &ForAnswer,
    found: &Retrieved,
    output: &mut Output<'_>,
) -> Result<Usage, JobError> {
    let quotables = take_apart(&found.passages, found.language);
    let cue = Cue::of(&question.text);
    let mut candidates = candidates(&question.text, cue, &quotables);
    let vectors = try_join_all(candidates.iter().map(|candidate| {
        let text = &quotables[candidate.passage].units[candidate.place].text;
        context.embedder.embed_sentence(text)
    }))
    .await?;
    for (candidate, vector) in candidates.iter_mut().zip(vectors) {
        let similarity = dot(&vector, &found.embedding);
        candidate.similarity = context.embedder.calibrated(similarity);
        candidate.vector = vector;
    }
    let same = context.embedder.cosine(SAME);
    let answer = compose(&choose(candidates, cue, same), cue, &quotables);
    let answer = answer.unwrap_or_else(|| abstention(found.language).to_owned());
    let mut words = 0;
    for word in answer.split_inclusive([' ', '\n']) {
        words += 1;
        output.push(word).await;
    }
    Ok(Usage {
        answer_tokens: words,
        ..Usage::default()
    })
}

fn take_apart(passages: &[Passage], asked_in: Option<Language>) -> Vec<Quotable> {
    let passages = &passages[..passages.len().min(PASSAGES)];
    let languages: Vec<_> = passages
        .iter()
        .map(|passage| Language::of(&passage.text))
        .collect();
    let has_choice = asked_in.is_some() && languages.contains(&asked_in);
    let mut documents = HashMap::new();
    passages
        .iter()
        .zip(languages)
        .map(|(passage, language)| {
            let next = documents.len();
            Quotable {
                units: units(&passage.text, passage.heading.as_deref()),
                heading: passage.heading.clone().unwrap_or_default(),
                document: *documents.entry(passage.document).or_insert(next),
                position: passage
                    .spans
                    .first()
                    .map_or((passage.page_first.cast_unsigned(), 0), |span| {
                        (span.page, span.start)
                    }),
                is_foreign: has_choice && language.is_some() && language != asked_in,
            }
        })
        .collect()
}

/// The most promising units of the passages, by their words.
#[expect(clippy::cast_precision_loss, reason = "counts of words and ranks")]
fn candidates(question: &str, cue: Cue, quotables: &[Quotable]) -> Vec<Candidate> {
    let wanted = stems(question);
    let wanted_pairs = pairs(question);
    let mut all = Vec::new();
    for (passage, quotable) in quotables.iter().enumerate() {
        for (place, unit) in quotable.units.iter().enumerate() {
            if unit.speaks {
                all.push(Candidate {
                    passage,
                    place,
                    stems: stems(&unit.text),
                    overlap: 0.0,
                    promise: 0.0,
                    fits: false,
                    is_row: unit.kind == Kind::Row,
                    vector: Vec::new(),
                    similarity: 0.0,
                });
            }
        }
    }
    keep_codes(&wanted, &mut all);
    // A word that many sentences have tells them less apart.
    let weight: HashMap<&String, f32> = wanted
        .iter()
        .map(|word| {
            let has = all
                .iter()
                .filter(|candidate| candidate.stems.contains(word))
                .count();
            (word, (1.0 + all.len() as f32 / (1.0 + has as f32)).ln())
        })
        .collect();
    let total: f32 = weight.values().sum::<f32>().max(f32::EPSILON);
    let share = |has: &HashSet<String>| {
        let found = wanted.iter().filter(|word| has.contains(*word));
        found.map(|word| weight[word]).sum::<f32>() / total
    };
    for candidate in &mut all {
        let quotable = &quotables[candidate.passage];
        let unit = &quotable.units[candidate.place];
        candidate.overlap = share(&candidate.stems);
        // "It is 28 euros": what it is stands before it, or in the title.
        let mut around = stems(&quotable.heading);
        if let Some(before) = candidate.place.checked_sub(1) {
            around.extend(stems(&quotable.units[before].text));
        }
        around.extend(candidate.stems.iter().cloned());
        let around = share(&around) - candidate.overlap;
        let shape = if !unit.whole || unit.text.ends_with(['?', '？']) {
            -0.6
        } else if unit.kind == Kind::Sentence && unit.text.ends_with(':') {
            // Alone it leads nowhere.
            let list_follows = list_after(&quotable.units, candidate.place).is_some();
            if list_follows { 0.05 } else { -0.3 }
        } else if wording::points_back(&unit.text) && candidate.place == 0 {
            -0.2
        } else {
            0.0
        };
        let said_pairs = pairs(&unit.text);
        let together = wanted_pairs.intersection(&said_pairs).count() as f32
            / wanted_pairs.len().max(1) as f32;
        let fit = if candidate.overlap > 0.0 || around > 0.0 {
            cue.fits(&unit.text, &wanted)
        } else {
            0.0
        };
        candidate.fits = fit > 0.0;
        let rank = 0.3 / (1.0 + candidate.passage as f32);
        // Without what is asked for it is no answer; but a cue is only a guess.
        let fit = match cue {
            Cue::None => 0.0,
            Cue::List => 0.2 * fit,
            _ if cue.wants_a_fact() => 0.3 * fit - 0.1,
            _ => 0.3 * fit,
        };
        let language = if quotable.is_foreign { -FOREIGN } else { 0.0 };
        candidate.promise =
            candidate.overlap + 0.45 * around + 0.25 * together + fit + rank + shape + language;
    }
    all.sort_by(|a, b| b.promise.total_cmp(&a.promise));
    let mut words = 0;
    all.retain(|candidate| {
        words += quotables[candidate.passage].units[candidate.place]
            .text
            .unicode_words()
            .count();
        words <= CANDIDATE_WORDS || candidate.promise <= 0.0
    });
    all.truncate(CANDIDATES);
    all
}

/// Who asks for `ERR-4711` doesn't want to read of `ERR-4712`, however alike the two sentences are: when sentences have
/// a number that the question has, the others are left out.
fn keep_codes(wanted: &HashSet<String>, candidates: &mut Vec<Candidate>) {
    let is_code = |word: &&String| word.chars().count() > 2 && word.chars().any(char::is_numeric);
    let codes: HashSet<String> = wanted.iter().filter(is_code).cloned().collect();
    let has_code = |candidate: &Candidate| !codes.is_disjoint(&candidate.stems);
    if candidates.iter().any(has_code) {
        candidates.retain(has_code);
    }
}

/// The best, and what is nearly as good and says something else; the best first. From the cosine `same` on, two
/// sentences say the same.
fn choose(mut candidates: Vec<Candidate>, cue: Cue, same: f64) -> Vec<Candidate> {
    candidates.retain(|candidate| {
        let (near, common) = (candidate.similarity, candidate.overlap);
        near >= SIMILARITY_ALONE
            || common >= WORDS_ALONE
            || (near >= SIMILARITY_MIN && common >= WORDS_MIN)
    });
    candidates.sort_by(|a, b| b.score().total_cmp(&a.score()));
    let (sentences_max, share) = if cue.wants_a_fact() {
        (SENTENCES_FOR_FACT, SHARE_FOR_FACT)
    } else {
        (SENTENCES_MAX, SHARE_OF_BEST)
    };
    let mut chosen: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        let good = chosen.first().is_none_or(|best| {
            let beside =
                best.passage == candidate.passage && best.place.abs_diff(candidate.place) == 1;
            let bonus = if beside && !cue.wants_a_fact() {
                0.05
            } else {
                0.0
            };
            let another_fact = candidate.fits || !best.fits || !cue.wants_a_fact();
            // All rows of a table are alike: one with fewer of the question's words is about something else.
            let another_row = candidate.is_row && candidate.overlap < best.overlap;
            another_fact && !another_row && candidate.score() + bonus >= share * best.score()
        });
        let new = chosen
            .iter()
            .all(|other| !says_the_same(other, &candidate, same));
        if good && new && chosen.len() < sentences_max {
            chosen.push(candidate);
        }
    }
    chosen
}

#[expect(clippy::cast_precision_loss, reason = "counts of words in a sentence")]
fn says_the_same(one: &Candidate, other: &Candidate, same: f64) -> bool {
    let common = one.stems.intersection(&other.stems).count() as f32;
    let fewer = one.stems.len().min(other.stems.len()).max(1) as f32;
    f64::from(dot(&one.vector, &other.vector)) >= same || common / fewer >= SAME_WORDS
}

/// The text of the answer with its citations; `None` when nothing was chosen.
fn compose(chosen: &[Candidate], cue: Cue, quotables: &[Quotable]) -> Option<String> {
    let best = chosen.first()?;
    // Documents in the order of their best sentence, and within one as it is read.
    let mut documents: Vec<usize> = Vec::new();
    for candidate in chosen {
        let document = quotables[candidate.passage].document;
        if !documents.contains(&document) {
            documents.push(document);
        }
    }
    let mut passages: Vec<usize> = chosen.iter().map(|candidate| candidate.passage).collect();
    passages.sort_by_key(|&passage| {
        let quotable = &quotables[passage];
        let document = documents
            .iter()
            .position(|&other| other == quotable.document);
        // A fact comes first, whatever is said of it elsewhere.
        let is_later = cue.wants_a_fact() && passage != best.passage;
        (is_later, document, quotable.position)
    });
    passages.dedup();
    let mut answer = String::new();
    for passage in passages {
        let places = chosen
            .iter()
            .filter(|candidate| candidate.passage == passage);
        let places = places.map(|candidate| candidate.place).collect();
        let (text, is_list) = quote(&quotables[passage].units, places, cue);
        if text.is_empty() {
            continue;
        }
        if !answer.is_empty() {
            answer.push_str(if is_list || answer.contains('\n') {
                "\n\n"
            } else {
                " "
            });
        }
        answer.push_str(&format!("{text} [{}]", passage + 1));
    }
    (!answer.is_empty()).then_some(answer)
}

/// What is quoted of one passage, and whether it has a list.
fn quote(units: &[Unit], mut places: Vec<usize>, cue: Cue) -> (String, bool) {
    let mut along = Vec::new();
    for &place in &places {
        if units[place].kind == Kind::Sentence
            && wording::points_back(&units[place].text)
            && let Some(before) = place.checked_sub(1)
            && units[before].kind == Kind::Sentence
            && units[before].whole
            && units[before].speaks
            && !units[before].text.ends_with(['?', ':'])
        {
            along.push(before);
        }
        if let Some(list) = list_around(units, place, cue) {
            along.extend(list);
        }
    }
    places.extend(along);
    places.sort_unstable();
    places.dedup();
    let mut text = String::new();
    let mut last: Option<usize> = None;
    for place in places.iter().copied() {
        let unit = &units[place];
        let follows = last.is_some_and(|last| last + 1 == place);
        let is_alone = places.len() == 1;
        match unit.kind {
            Kind::Item | Kind::Row if !is_alone => {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str("- ");
                text.push_str(&unit.text);
            }
            Kind::Item | Kind::Row | Kind::Sentence => {
                let sentence = if follows {
                    unit.text.clone()
                } else {
                    wording::without_connective(&unit.text)
                };
                if !text.is_empty() {
                    text.push_str(if text.contains("\n- ") { "\n\n" } else { " " });
                }
                text.push_str(&wording::marked_if_cut(&sentence, unit.whole));
            }
        }
        last = Some(place);
    }
    let is_list = text.contains("\n- ") || text.starts_with("- ");
    (text, is_list)
}

/// Items of a list that is shown as a whole, and their length in characters.
const ITEMS_MAX: usize = 10;
const LIST_CHARS_MAX: usize = 700;

/// The list, or the table, that a sentence leads to.
fn list_after(units: &[Unit], place: usize) -> Option<std::ops::Range<usize>> {
    let start = place + 1;
    let items = units[start..]
        .iter()
        .take_while(|unit| unit.kind != Kind::Sentence);
    let end = start + items.count();
    (end > start).then_some(start..end)
}

/// The whole of a short list, with the sentence that leads to it, of which one part was chosen.
fn list_around(units: &[Unit], place: usize, cue: Cue) -> Option<std::ops::Range<usize>> {
    let (lead, list) = match units[place].kind {
        Kind::Sentence if units[place].text.ends_with(':') => (place, list_after(units, place)?),
        // Other rows are about other things.
        Kind::Sentence | Kind::Row => return None,
        Kind::Item => {
            let items = units[..place]
                .iter()
                .rev()
                .take_while(|unit| unit.kind == Kind::Item);
            let start = place - items.count();
            let lead = start.checked_sub(1).filter(|&lead| {
                units[lead].kind == Kind::Sentence && units[lead].text.ends_with(':')
            });
            (
                lead.unwrap_or(start),
                list_after(units, start.checked_sub(1).unwrap_or(start))?,
            )
        }
    };
    let list = if units[place].kind == Kind::Item && lead == list.start && list.start == 0 {
        0..list.end
    } else {
        list
    };
    let chars: usize = units[list.clone()]
        .iter()
        .map(|unit| unit.text.chars().count())
        .sum();
    let is_short = list.len() <= ITEMS_MAX && chars <= LIST_CHARS_MAX;
    // Who asks for one thing gets the item, not the list.
    let is_wanted = units[place].kind == Kind::Sentence || !cue.wants_a_fact();
    if is_short && is_wanted {
        Some(lead..list.end)
    } else if units[place].kind == Kind::Sentence {
        Some(lead..list.end.min(list.start + ITEMS_MAX))
    } else {
        None
    }
}

/// Cosine similarity of two vectors of length 1.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotable(text: &str) -> Quotable {
        Quotable {
            units: units(text, None),
            heading: String::new(),
            document: 0,
            position: (1, 0),
            is_foreign: false,
        }
    }

    /// The answer by words alone.
    fn answer(question: &str, passages: &[&str]) -> String {
        let quotables: Vec<_> = passages.iter().map(|text| quotable(text)).collect();
        let cue = Cue::of(question);
        let mut candidates = candidates(question, cue, &quotables);
        for candidate in &mut candidates {
            candidate.similarity = candidate.overlap;
        }
        compose(&choose(candidates, cue, SAME), cue, &quotables).unwrap_or_default()
    }

    #[test]
    fn the_sentence_with_the_words_of_the_question_answers() {
        let passage =
            "Taxis are not paid for. The hotel limit is 120 euros a night. Ask before you book.";
        assert_eq!(
            answer("What is the limit for a hotel night?", &[passage]),
            "The hotel limit is 120 euros a night. [1]"
        );
    }

    #[test]
    fn a_question_about_a_code_is_not_answered_with_another_one() {
        let passage =
            "ERR-4711 means that the tank is empty. ERR-4712 means that the grinder is blocked.";
        assert_eq!(
            answer("What does ERR-4711 mean?", &[passage]),
            "ERR-4711 means that the tank is empty. [1]"
        );
        let both = answer("What does ERR-9999 mean?", &[passage]);
        assert!(both.contains("4711") || both.is_empty(), "{both}");
    }

    #[test]
    fn a_sentence_that_points_back_takes_along_what_it_points_to_and_they_share_a_citation() {
        let passage = "For meals there is a daily allowance. It is 28 euros inside the country and 47 euros abroad.";
        assert_eq!(
            answer("How many euros is it abroad?", &[passage]),
            format!("{passage} [1]")
        );
    }

    #[test]
    fn a_connective_without_what_it_connects_is_dropped() {
        let passage =
            "The valve is made of brass today. However, the pump housing is made of steel.";
        assert_eq!(
            answer("What is the pump housing made of?", &[passage]),
            "The pump housing is made of steel. [1]"
        );
    }

    #[test]
    fn numbers_answer_how_many_and_parts_of_sentences_do_not() {
        let passages = [
            "settled in England after many Huguenots fled there. Many Huguenots fled to England in those days.",
            "An estimated 50,000 Huguenots fled to England.",
        ];
        assert_eq!(
            answer("How many Huguenots fled to England?", &passages),
            "An estimated 50,000 Huguenots fled to England. [2]"
        );
    }

    #[test]
    fn a_short_list_is_shown_as_one_with_the_sentence_that_leads_to_it() {
        let passage = "2.1 Files\n\nThese files are required in the debian directory:\n\n• control\n• changelog\n• rules";
        assert_eq!(
            answer(
                "Which files are required in the debian directory?",
                &[passage]
            ),
            "These files are required in the debian directory:\n- control\n- changelog\n- rules [1]"
        );
    }

    #[test]
    fn a_table_answers_with_the_row_that_is_asked_for() {
        let passage = "London | 180\n\nLyon | 110\n\nZurich | 175";
        let mut table = quotable("");
        table.units = units(passage, Some("City | Hotel limit"));
        table.heading = "City | Hotel limit".to_owned();
        let (question, quotables) = ("What is the hotel limit in London?", [table]);
        let cue = Cue::of(question);
        let mut candidates = candidates(question, cue, &quotables);
        for candidate in &mut candidates {
            candidate.similarity = 0.5;
        }
        let answer = compose(&choose(candidates, cue, SAME), cue, &quotables);
        assert_eq!(answer.unwrap(), "City: London, Hotel limit: 180 [1]");
    }

    #[test]
    fn the_same_statement_is_made_once() {
        let said = "The Amazon rainforest covers most of the Amazon basin.";
        let answer = answer("What does the Amazon rainforest cover?", &[said, said]);
        assert_eq!(answer, format!("{said} [1]"));
    }

    #[test]
    fn spanish_is_answered_like_english() {
        let passage =
            "El puente se abrió hace mucho. La torre fue construida por Gustave Eiffel en 1889.";
        assert_eq!(
            answer("¿Quién construyó la torre?", &[passage]),
            "La torre fue construida por Gustave Eiffel en 1889. [1]"
        );
    }

    #[test]
    fn nothing_is_said_when_nothing_is_near() {
        assert_eq!(
            answer("Who sings opera?", &["The hotel limit is 120 euros."]),
            ""
        );
    }
}
