//! Where sentences end, and where they only seem to.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Words that a full stop follows within a sentence, in the languages that we have looked at (English, German,
/// Spanish, French); in lower case. Unicode's rules know none.
const ABBREVIATIONS: [&str; 58] = [
    "abb", "abs", "al", "anm", "approx", "art", "aufl", "bd", "bzw", "ca", "cf", "co", "corp",
    "dr", "dra", "ed", "eds", "eq", "etc", "evtl", "fig", "figs", "gen", "ggf", "hrsg", "inc",
    "jr", "kap", "lt", "ltd", "mme", "mr", "mrs", "ms", "mt", "no", "nos", "nr", "núm", "op", "p",
    "pp", "prof", "rev", "sec", "sen", "sog", "sr", "sra", "st", "tab", "usw", "vgl", "vol",
    "vols", "vs", "zb", "zz",
];

/// The sentences of a text by Unicode's rules (UAX #29), within its paragraphs; abbreviations, initials and ordinal
/// numbers don't end one.
pub(crate) fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for paragraph in text.split("\n\n") {
        // A line end is a sentence end to Unicode, but not in running text; a blank has as many bytes.
        let joined = paragraph.replace('\n', " ");
        let mut open: Option<usize> = None;
        for (at, sentence) in joined.split_sentence_bound_indices() {
            let from = open.take().unwrap_or(start + at);
            let end = start + at + sentence.len();
            if end < start + joined.len() && goes_on_after_stop(sentence) {
                open = Some(from);
            } else {
                found.push(from..end);
            }
        }
        start += paragraph.len() + 2;
    }
    found
}

/// Whether the full stop at the end belongs to the last word: "Dr.", "J.", "U.S.", "3."
fn goes_on_after_stop(sentence: &str) -> bool {
    let Some(before) = sentence.trim_end().strip_suffix('.') else {
        return false;
    };
    let word = before
        .rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '“' | '„' | '«'))
        .next()
        .unwrap_or_default();
    let last = word.rsplit('.').next().unwrap_or_default();
    if last.chars().all(|c| c.is_ascii_digit()) {
        return (1..=2).contains(&last.len()) && last.len() == word.len();
    }
    let mut letters = last.chars();
    // "J. Smith", "z. B.": scripts with upper and lower case only, since a word of others may be one character.
    let is_initial = letters
        .next()
        .is_some_and(|c| c.is_uppercase() || c.is_lowercase())
        && letters.next().is_none();
    is_initial || last.chars().count() <= 6 && ABBREVIATIONS.contains(&last.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        sentences(text)
            .into_iter()
            .map(|range| text[range].trim())
            .collect()
    }

    #[test]
    fn abbreviations_initials_and_ordinals_end_no_sentence() {
        for whole in [
            "It was Dr. Smith who saw it.",
            "J. R. R. Tolkien and the U.S. Army did.",
            "See Fig. 3 and No. 12 Downing Street.",
            "Am 3. Oktober 1990 kam z. B. Bonn dazu.",
            "1. Open the valve.",
        ] {
            assert_eq!(found(whole), [whole]);
        }
    }

    #[test]
    fn sentences_end_at_stops_and_paragraphs_but_not_at_line_ends() {
        let text = "The pump\nis primed. It was built in 1990. Then\n\nValves\n\n¿Cómo? Así.";
        assert_eq!(
            found(text),
            [
                "The pump\nis primed.",
                "It was built in 1990.",
                "Then",
                "Valves",
                "¿Cómo?",
                "Así."
            ]
        );
    }
}
