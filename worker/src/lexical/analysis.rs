//! From text to terms: the stems that a document's words and a question's words meet in, and beside them the words as
//! they stand, for names and codes.

use std::collections::HashMap;

use rust_stemmers::Stemmer;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::Language;

/// Longer words are cut: nobody searches for them, and indexes have a limit.
const WORD_CHARACTERS_MAX: usize = 64;

/// What stands between the parts of a code or a name: `ERR-4711`, `lectern.toml`, `max_connections`, `a/b`, `A&B`.
const JOINTS: [char; 11] = ['-', '.', '_', '/', ':', '@', '&', '+', '\'', '’', '‑'];

/// Before a word as it stands, which keeps it apart from stems.
const EXACT: char = '=';

/// What a language makes of words.
pub(super) struct Analyzer {
    language: Option<Language>,
    /// Whose stop words are left out, too.
    asked_in: Option<Language>,
    stemmer: Option<Stemmer>,
}

/// The terms of a text, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    /// Stems without stop words: how many there are is the length of the text.
    pub(super) stems: Vec<String>,
    /// Words that differ from their stems, and codes as a whole, each after [`EXACT`].
    pub(super) exact: Vec<String>,
}

impl Analyzer {
    pub(super) fn new(language: Option<Language>) -> Self {
        Self {
            language,
            asked_in: None,
            stemmer: language.and_then(Language::stemmer),
        }
    }

    /// For a question in `asked_in`: "the" is no rare word that Spanish documents happen to have.
    fn of_question(asked_in: Option<Language>, language: Language) -> Self {
        Self {
            asked_in,
            ..Self::new(Some(language))
        }
    }

    pub(super) fn terms(&self, text: &str) -> Terms {
        let mut terms = Terms::default();
        let text: String = text.nfkc().flat_map(char::to_lowercase).collect();
        for run in runs(&text) {
            let mut parts = 0;
            for word in run.split(|c: char| !is_word(c)).filter(|w| !w.is_empty()) {
                parts += 1;
                self.word(word, &mut terms);
            }
            if parts > 1 && is_code(run) {
                terms.exact.push(exact(run));
            }
        }
        terms
    }

    fn word(&self, word: &str, terms: &mut Terms) {
        if word.chars().any(is_unspaced) {
            pairs(word, &mut terms.stems);
            return;
        }
        let is_stop_word = [self.language, self.asked_in]
            .into_iter()
            .flatten()
            .any(|language| language.is_stop_word(word));
        // A single letter is a list's bullet or the rest of "it's".
        let is_letter = word.chars().count() == 1 && !word.chars().any(char::is_numeric);
        if is_stop_word || is_letter {
            return;
        }
        let stem = match &self.stemmer {
            Some(stemmer) => stemmer.stem(word),
            None => word.into(),
        };
        let stem = fold(&cut(&stem));
        let whole = fold(&cut(word));
        if whole != stem {
            terms.exact.push(format!("{EXACT}{whole}"));
        }
        terms.stems.push(stem);
    }
}

/// Words with what joins them to others, without joints at their ends.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !is_word(c) && !JOINTS.contains(&c))
        .map(|run| run.trim_matches(|c: char| !is_word(c)))
        .filter(|run| !run.is_empty())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

/// A word of several parts that means something as a whole: with a digit or a sign that prose doesn't have inside.
fn is_code(run: &str) -> bool {
    run.chars().any(char::is_numeric)
        || run.contains(['_', '@', '&', '+', '/', ':'])
        || run.contains('.')
}

fn exact(run: &str) -> String {
    format!("{EXACT}{}", fold(&cut(run)))
}

fn cut(word: &str) -> String {
    word.chars().take(WORD_CHARACTERS_MAX).collect()
}

/// Without accents in Latin, Greek and Cyrillic: people leave them out.
fn fold(word: &str) -> String {
    if word.is_ascii() {
        return word.to_owned();
    }
    let takes_accents = |c: char| c.is_alphabetic() && (c as u32) < 0x0530;
    if !word.nfd().next().is_some_and(takes_accents) {
        return word.to_owned();
    }
    word.nfd().filter(|c| !is_combining_mark(*c)).collect()
}

/// Scripts that put no space between words: Han, Hiragana, Katakana, Thai, Lao, Khmer, Burmese.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff
        | 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3134f)
}

/// Each two neighbouring characters, as Lucene's CJK analyzer has them; a single one stays alone. Other letters in
/// between are words.
fn pairs(word: &str, stems: &mut Vec<String>) {
    let characters: Vec<char> = word.chars().collect();
    for stretch in characters.chunk_by(|a, b| is_unspaced(*a) == is_unspaced(*b)) {
        match stretch {
            [first, ..] if !is_unspaced(*first) => {
                stems.push(fold(&cut(&String::from_iter(stretch))))
            }
            [_] => stems.push(String::from_iter(stretch)),
            _ => stems.extend(stretch.windows(2).map(String::from_iter)),
        }
    }
}

/// A term of a question, with how much it counts beside the others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) term: String,
    pub(super) weight: f32,
}

/// The terms to look for, in a collection whose documents are in these languages: a question's own language doesn't
/// tell in which one its words are to be found.
pub(super) fn wanted(
    question: &str,
    asked_in: Option<Language>,
    languages: &[Language],
    exact_weight: f32,
) -> Vec<Wanted> {
    let analyses: Vec<Terms> = if languages.is_empty() {
        vec![Analyzer::new(None).terms(question)]
    } else {
        languages
            .iter()
            .map(|language| Analyzer::of_question(asked_in, *language).terms(question))
            .collect()
    };
    let mut weights: HashMap<String, f32> = HashMap::new();
    for terms in analyses {
        for stem in terms.stems {
            weights.entry(stem).or_insert(1.0);
        }
        if exact_weight > 0.0 {
            for exact in terms.exact {
                weights.entry(exact).or_insert(exact_weight);
            }
        }
    }
    let mut wanted: Vec<Wanted> = weights
        .into_iter()
        .map(|(term, weight)| Wanted { term, weight })
        .collect();
    wanted.sort_by(|a, b| a.term.cmp(&b.term));
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(code: &str, text: &str) -> Terms {
        Analyzer::new(Language::from_code(code)).terms(text)
    }

    #[test]
    fn words_become_stems_without_stop_words_and_stay_beside_them_as_they_are() {
        let found = terms("en", "The pumps were primed.");
        assert_eq!(found.stems, ["pump", "prime"]);
        assert_eq!(found.exact, ["=pumps", "=primed"]);
        assert_eq!(terms("de", "Die Häuser der Stadt").stems, ["haus", "stadt"]);
        assert_eq!(terms("es", "las canciones").stems, ["cancion"]);
    }

    #[test]
    fn a_code_is_its_parts_and_a_whole_and_a_hyphenated_word_only_its_parts() {
        let found = terms(
            "en",
            "ERR-4711 in lectern.toml: max_connections, state-of-the-art",
        );
        assert!(found.exact.contains(&"=err-4711".to_owned()));
        assert!(found.exact.contains(&"=lectern.toml".to_owned()));
        assert!(found.exact.contains(&"=max_connections".to_owned()));
        assert!(!found.exact.iter().any(|term| term.contains("state-of")));
        assert!(found.stems.contains(&"4711".to_owned()));
    }

    #[test]
    fn accents_and_widths_make_no_difference() {
        assert_eq!(terms("fr", "café").stems, terms("fr", "CAFE").stems);
        assert_eq!(terms("en", "ＡＢＣ１２").stems, terms("en", "abc12").stems);
        // A vowel sign isn't an accent.
        assert_eq!(terms("hi", "हिन्दी").stems, ["हिन्दी"]);
    }

    #[test]
    fn scripts_without_spaces_become_pairs() {
        assert_eq!(terms("zh", "北京大学").stems, ["北京", "京大", "大学"]);
        assert_eq!(terms("ja", "水").stems, ["水"]);
        assert_eq!(terms("zh", "用Rust写").stems, ["用", "rust", "写"]);
    }

    #[test]
    fn a_question_is_looked_for_in_the_stems_of_every_language_of_the_collection() {
        let languages = ["en", "es"].map(|code| Language::from_code(code).unwrap());
        let found = wanted("canciones nuevas", None, &languages, 0.5);
        let weight = |term: &str| {
            found
                .iter()
                .find(|wanted| wanted.term == term)
                .map(|w| w.weight)
        };
        assert_eq!(weight("cancion"), Some(1.0));
        assert_eq!(weight("=canciones"), Some(0.5));
        assert!(
            found.windows(2).all(|pair| pair[0].term < pair[1].term),
            "each once"
        );
    }

    #[test]
    fn a_word_without_end_is_cut() {
        let found = terms("en", &"x".repeat(10_000));
        assert_eq!(found.stems[0].len(), WORD_CHARACTERS_MAX);
    }
}
