//! Words as the extractive generator compares them: those that name something, by their stems.

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use super::gate::{EMPTY, PRONOUNS};

/// Endings of English, Spanish and German words, the longer before the shorter.
const ENDINGS: [&str; 30] = [
    "aciones", "amiento", "adores", "ciones", "ations", "mente", "ungen", "acion", "ation",
    "ement", "cion", "ions", "ador", "ings", "ing", "ion", "ies", "ado", "ada", "ung", "ers", "ed",
    "es", "er", "en", "os", "as", "or", "ly", "s",
];

/// What forms of a word have in common, roughly: without accents, endings and the vowel before them.
pub(super) fn stem(word: &str) -> String {
    let word: String = word
        .to_lowercase()
        .nfd()
        .filter(|&c| !('\u{300}'..='\u{36f}').contains(&c))
        .collect();
    if word.chars().any(char::is_numeric) {
        return word;
    }
    let rest = ENDINGS
        .iter()
        .find_map(|ending| {
            let rest = word.strip_suffix(ending)?;
            (rest.chars().count() >= 4).then_some(rest)
        })
        .unwrap_or(&word);
    let bare = rest.trim_end_matches(['a', 'e', 'i', 'o']);
    let rest = if bare.chars().count() >= 3 {
        bare
    } else {
        rest
    };
    rest.to_owned()
}

/// The stems of the words that name something.
pub(super) fn stems(text: &str) -> HashSet<String> {
    text.unicode_words()
        .map(|word| (word, word.to_lowercase()))
        .filter(|(word, lower)| {
            let long = lower.chars().count() > 2 || word.chars().any(char::is_numeric);
            // One character is a word in scripts without blanks.
            let is_wide = word.chars().all(|c| c >= '\u{2e80}');
            (long || is_wide) && names(lower)
        })
        .map(|(_, lower)| stem(&lower))
        .collect()
}

fn names(word: &str) -> bool {
    !EMPTY.contains(&word) && !PRONOUNS.contains(&word)
}

/// Pairs of them that follow each other: "fled to England" has one, however far apart the two are elsewhere.
pub(super) fn pairs(text: &str) -> HashSet<(String, String)> {
    let all: Vec<String> = text
        .unicode_words()
        .map(str::to_lowercase)
        .filter(|word| word.chars().count() > 2 && names(word))
        .map(|word| stem(&word))
        .collect();
    let pairs = all.windows(2);
    pairs
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for forms in [
            ["founded", "founding"],
            ["compiler", "compiled"],
            ["allowances", "allowance"],
            ["fundador", "fundado"],
            ["computación", "computaciones"],
            ["presidente", "presidentes"],
            ["Erfindung", "Erfindungen"],
        ] {
            assert_eq!(stem(forms[0]), stem(forms[1]), "{forms:?}");
        }
        assert_ne!(stem("ERR-4711"), stem("ERR-4712"));
    }

    #[test]
    fn words_that_only_make_a_question_are_left_out() {
        assert!(stems("What is the of ¿Qué es el?").is_empty());
        assert_eq!(stems("How many points?").len(), 1);
        assert!(pairs("They fled to England.").is_subset(&pairs("Who fled to England then?")));
    }
}
