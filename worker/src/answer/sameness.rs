//! Words that matter: what two questions must have in common to mean the same, and what a passage should have of a
//! question that it answers.
//!
//! Vectors are blind where it hurts: "Is smoking allowed?" and "Is smoking not allowed?" have a cosine of 0.985 by
//! all-MiniLM-L6-v2, and the questions for two error codes one of 0.941, more when they are longer. Hence these rules
//! beside every threshold.

use std::collections::{BTreeMap, HashSet};

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// Words that questions are built with and that say nothing of their subject.
const ENGLISH: &str = "a about an and any are as at be been being by can could did do does for from get had has have \
    having how i if in into is it its may me might must my of on one or our shall should so some such than that the \
    their them then there these they this those to us was we were what when where which who whom whose why will with \
    would you your s t d ll m re ve";
const SPANISH: &str = "a al algo ante como cómo con cual cuál cuáles cuando cuándo cuanta cuánta cuantas cuántas cuanto \
    cuánto cuantos cuántos de del desde donde dónde e el él ella ellos en entre era eran es esa ese eso esta está están \
    estas este esto estos fue fueron ha haber hace hacer hay la las le les lo los me mi mis o para pero por porque puede \
    pueden puedo que qué quien quién quienes quiénes se ser si sí sobre son su sus también te tiene tienen tengo tu un una \
    unas uno unos y yo";
const GERMAN: &str = "aber als am an auf aus bei bin da das dass dem den der des die dies diese dieser durch ein eine \
    einem einen einer es für haben hat hatte ich ihr im in ist kann können mein mit muss müssen oder sein sich sie sind \
    so soll über um und uns von war waren was welche welcher welches wann warum wem wen wer werden wie wir wird wo zu zum \
    zur";

/// Each turns a question round.
const NEGATIONS: &str = "not no never without cannot neither nor none nobody nothing non nunca sin ni jamás tampoco ningún \
    ninguna ninguno nadie nada nicht kein keine keinen keinem keiner nie niemals ohne niemand nichts";

/// Words that two questions must share if one has them, although their vectors lie close together.
const TELLING: &str = "before after until since minimum maximum min max minimal maximal least most more less fewer above \
    below over under first last only all both start begin end open close enable disable increase decrease highest lowest \
    longest shortest buy sell import export antes después hasta desde mínimo mínima máximo máxima más menos primero primera \
    último última solo todos abrir cerrar vor nach seit bis mindestens höchstens mehr weniger erste ersten letzte letzten";

fn is_in(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known == word)
}

/// The words of a text: NFKC, lowercase, with a plain apostrophe.
fn words(text: &str) -> Vec<String> {
    let text: String = text.nfkc().flat_map(char::to_lowercase).collect();
    text.replace('’', "'")
        .unicode_words()
        .map(ToOwned::to_owned)
        .collect()
}

fn is_negation(word: &str) -> bool {
    word.ends_with("n't") || is_in(NEGATIONS, word)
}

fn has_digit(word: &str) -> bool {
    word.chars().any(char::is_numeric)
}

fn is_function_word(word: &str) -> bool {
    // "it's", "what's": nothing more than what stands before it.
    let word = word.strip_suffix("'s").unwrap_or(word);
    [ENGLISH, SPANISH, GERMAN]
        .iter()
        .any(|list| is_in(list, word))
}

/// Whether two questions agree in their numbers, their negations and the words that turn round a meaning.
pub(crate) fn may_mean_the_same(one: &str, other: &str) -> bool {
    let telling = |text: &str| {
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for word in words(text) {
            let kind = if is_negation(&word) {
                "not".to_owned()
            } else if has_digit(&word) || is_in(TELLING, &word) {
                word
            } else {
                continue;
            };
            *found.entry(kind).or_default() += 1;
        }
        found
    };
    telling(one) == telling(other)
}

/// Whether two questions have the same content words besides: names, things, what is asked of them. Endings and
/// function words may differ.
pub(crate) fn has_the_same_words(one: &str, other: &str) -> bool {
    let content = |text: &str| -> Vec<String> {
        words(text)
            .into_iter()
            .filter(|word| !is_function_word(word))
            .collect()
    };
    let (one, other) = (content(one), content(other));
    let all_in = |these: &[String], those: &[String]| {
        these
            .iter()
            .all(|word| those.iter().any(|other| is_the_same_word(word, other)))
    };
    all_in(&one, &other) && all_in(&other, &one)
}

/// Equal but for an ending of one or two letters: "night" and "nights".
fn is_the_same_word(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    is_negation(one) && is_negation(other)
        || long.strip_prefix(short).is_some_and(|ending| {
            ending.is_empty() || !has_digit(long) && short.len() > 2 && ending.len() <= 2
        })
}

/// The content words of a text without a plural's s, cut to their first five letters: a crude stem that works in most
/// languages.
pub(crate) fn stems(text: &str) -> HashSet<String> {
    words(text)
        .into_iter()
        .filter(|word| !is_function_word(word) && !is_negation(word))
        .map(|word| {
            if has_digit(&word) {
                return word;
            }
            let one = word.strip_suffix("'s").unwrap_or(&word);
            let one = one.strip_suffix('s').filter(|one| one.len() > 2);
            one.unwrap_or(&word).chars().take(5).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_that_differ_in_a_number_a_negation_or_an_opposite_do_not_mean_the_same() {
        for (one, other) in [
            ("What does ERR-4711 mean?", "What does ERR-4712 mean?"),
            (
                "What was the revenue in 2023?",
                "What was the revenue in 2024?",
            ),
            ("What was the revenue in 2023?", "What was the revenue?"),
            ("Is smoking allowed?", "Is smoking not allowed?"),
            ("Is remote work allowed?", "Isn’t remote work allowed?"),
            (
                "Is it paid with a receipt?",
                "Is it paid without a receipt?",
            ),
            (
                "Can I claim it before the trip?",
                "Can I claim it after the trip?",
            ),
            ("¿Está permitido fumar?", "¿No está permitido fumar?"),
            ("Ist das erlaubt?", "Ist das nicht erlaubt?"),
        ] {
            assert!(!may_mean_the_same(one, other), "{one} / {other}");
            assert!(!may_mean_the_same(other, one), "{other} / {one}");
        }
        assert!(may_mean_the_same(
            "It isn't allowed, is it?",
            "It is not allowed, is it?"
        ));
        assert!(may_mean_the_same(
            "What does ERR-4711 mean?",
            "what is err-4711"
        ));
    }

    #[test]
    fn questions_about_other_things_do_not_have_the_same_words() {
        for (one, other) in [
            (
                "What may a night in Zurich cost?",
                "What may a night in Geneva cost?",
            ),
            ("Who pays the employees?", "Who pays the employers?"),
            ("Who signs the travel report?", "Who signs the report?"),
        ] {
            assert!(!has_the_same_words(one, other), "{one} / {other}");
        }
        for (one, other) in [
            (
                "How much may a hotel night cost in Zurich?",
                "How much may one night in a hotel in Zurich cost?",
            ),
            (
                "How many days of vacation do I have?",
                "How many vacation days do I get?",
            ),
            (
                "How can I reset my password?",
                "What can I do to reset my passwords?",
            ),
            ("What's the allowance?", "What is the allowance?"),
            (
                "¿Cuánto puede costar una noche de hotel?",
                "¿Cuánto puede costar la noche de hotel?",
            ),
        ] {
            assert!(has_the_same_words(one, other), "{one} / {other}");
        }
    }
}
