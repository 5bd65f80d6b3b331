//! What kind of answer a question asks for, and whether a sentence is of that kind: by words of English, Spanish and
//! German. Questions in other languages have no cue, and are answered by their words and vectors alone.

use std::collections::HashSet;

use unicode_segmentation::UnicodeSegmentation;

use super::words::stems;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cue {
    Number,
    Date,
    Person,
    Place,
    Reason,
    /// What something is.
    Definition,
    /// Several things.
    List,
    None,
}

/// In order: "in what year" before "what".
const QUESTIONS: &[(Cue, &[&str])] = &[
    (
        Cue::Date,
        &[
            "when",
            "what year",
            "which year",
            "what date",
            "what century",
            "cuándo",
            "qué año",
            "qué fecha",
            "qué siglo",
            "wann",
            "welchem jahr",
        ],
    ),
    (
        Cue::Number,
        &[
            "how many",
            "how much",
            "how long",
            "how far",
            "how old",
            "how big",
            "how large",
            "how tall",
            "how high",
            "how deep",
            "how fast",
            "how heavy",
            "how often",
            "how wide",
            "what percentage",
            "what number",
            "what is the population",
            "cuánto",
            "cuánta",
            "cuántos",
            "cuántas",
            "qué porcentaje",
            "qué edad",
            "qué tamaño",
            "qué número",
            "wie viel",
            "wie viele",
            "wieviel",
            "wieviele",
            "wie lange",
            "wie hoch",
            "wie groß",
            "wie weit",
            "wie alt",
            "wie oft",
            "wie schnell",
        ],
    ),
    (
        Cue::Person,
        &[
            "who", "whom", "whose", "quién", "quiénes", "wer", "wen", "wem", "wessen",
        ],
    ),
    (Cue::Place, &["where", "dónde", "wo", "wohin", "woher"]),
    (
        Cue::Reason,
        &[
            "why",
            "what caused",
            "what reason",
            "por qué",
            "qué causó",
            "warum",
            "wieso",
            "weshalb",
        ],
    ),
    (
        Cue::List,
        &[
            "what are the",
            "which are the",
            "what kinds",
            "what types",
            "which files",
            "what files",
            "list",
            "name the",
            "cuáles son",
            "qué tipos",
            "was sind die",
            "welche",
            "nenne",
        ],
    ),
    (
        Cue::Definition,
        &[
            "what is",
            "what are",
            "what was",
            "what were",
            "what does",
            "define",
            "qué es",
            "qué son",
            "qué era",
            "qué significa",
            "define",
            "was ist",
            "was sind",
            "was war",
            "was bedeutet",
        ],
    ),
];

impl Cue {
    /// Of the last question, if there are several.
    pub(super) fn of(question: &str) -> Self {
        let last = question
            .split_inclusive(['?', '？'])
            .rfind(|part| part.chars().any(char::is_alphabetic))
            .unwrap_or(question);
        let words: Vec<String> = last.unicode_words().map(str::to_lowercase).collect();
        let asked = |phrase: &&&str| {
            let phrase: Vec<&str> = phrase.split(' ').collect();
            let at = words
                .windows(phrase.len())
                .position(|window| window == phrase);
            // Question words stand in front, but for "in", "from" and the like.
            at.is_some_and(|at| at < 3)
        };
        QUESTIONS
            .iter()
            .find(|(_, phrases)| phrases.iter().any(|phrase| asked(&phrase)))
            .map_or(Self::None, |&(cue, _)| cue)
    }

    /// One sentence answers such a question.
    pub(super) fn wants_a_fact(self) -> bool {
        matches!(self, Self::Number | Self::Date | Self::Person | Self::Place)
    }

    /// How much a sentence looks like an answer, from 0 to 1.
    pub(super) fn fits(self, text: &str, wanted: &HashSet<String>) -> f32 {
        let lower = text.to_lowercase();
        let found = match self {
            Self::Number => has_new_number(text, wanted) || has_word(&lower, NUMBERS),
            Self::Date => has_year(text) || has_word(&lower, MONTHS),
            Self::Person => has_new_name(text, wanted, &[]),
            Self::Place => has_new_name(text, wanted, PLACES),
            Self::Reason => REASONS.iter().any(|reason| lower.contains(reason)),
            Self::Definition => defines(&lower, wanted),
            Self::List => lower.matches(',').count() >= 2,
            Self::None => false,
        };
        f32::from(u8::from(found))
    }
}

const NUMBERS: &[&str] = &[
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "twenty",
    "thirty",
    "hundred",
    "thousand",
    "million",
    "millions",
    "billion",
    "half",
    "once",
    "twice",
    "dos",
    "tres",
    "cuatro",
    "cinco",
    "seis",
    "siete",
    "ocho",
    "nueve",
    "diez",
    "once",
    "doce",
    "veinte",
    "treinta",
    "cien",
    "mil",
    "millones",
    "mitad",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "zwanzig",
    "hundert",
    "tausend",
    "millionen",
    "hälfte",
];

const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
    "januar",
    "februar",
    "märz",
    "juni",
    "juli",
    "oktober",
    "dezember",
];

const PLACES: &[&str] = &[
    "in", "at", "near", "from", "to", "en", "de", "desde", "cerca", "im", "bei", "aus", "nach",
];

const REASONS: &[&str] = &[
    "because",
    "since ",
    "due to",
    "in order to",
    "so that",
    "reason",
    "caused",
    "in response",
    "led to",
    "as a result",
    "to avoid",
    "to prevent",
    "porque",
    "debido",
    "a causa",
    "razón",
    "ya que",
    "puesto que",
    "para que",
    "para evitar",
    "weil ",
    "wegen",
    "grund",
    "deshalb",
    "damit ",
    "aufgrund",
    " da ",
];

/// What stands between a thing and what it is.
const IS: &[&str] = &[
    "is",
    "are",
    "was",
    "were",
    "means",
    "refers",
    "es",
    "son",
    "era",
    "fue",
    "significa",
    "ist",
    "sind",
    "war",
    "bezeichnet",
    "bedeutet",
];

fn has_word(lower: &str, words: &[&str]) -> bool {
    lower.unicode_words().any(|word| words.contains(&word))
}

fn has_new_number(text: &str, wanted: &HashSet<String>) -> bool {
    text.unicode_words().any(|word| {
        word.chars().any(|c| c.is_ascii_digit()) && !wanted.contains(&word.to_lowercase())
    })
}

fn has_year(text: &str) -> bool {
    text.unicode_words()
        .any(|word| (3..=4).contains(&word.len()) && word.chars().all(|c| c.is_ascii_digit()))
}

/// A name within the sentence that the question doesn't have; after one of `words`, if there are any.
fn has_new_name(text: &str, wanted: &HashSet<String>, words: &[&str]) -> bool {
    let all: Vec<&str> = text.unicode_words().collect();
    all.windows(2).any(|pair| {
        let is_name = pair[1].chars().next().is_some_and(char::is_uppercase) && pair[1].len() > 2;
        let is_new = stems(pair[1]).is_disjoint(wanted);
        is_name && is_new && (words.is_empty() || words.contains(&pair[0].to_lowercase().as_str()))
    })
}

/// "A tide is …": all that is asked for stands before the verb, and little else does.
fn defines(lower: &str, wanted: &HashSet<String>) -> bool {
    // "The Amazon (…; …) is": what stands in brackets is no part of the name.
    let mut depth = 0_usize;
    let bare: String = lower
        .chars()
        .filter(|&c| {
            depth += usize::from(c == '(');
            let keep = depth == 0;
            depth = depth.saturating_sub(usize::from(c == ')'));
            keep
        })
        .collect();
    let words: Vec<&str> = bare.unicode_words().collect();
    let Some(at) = words.iter().position(|word| IS.contains(word)) else {
        return false;
    };
    let subject = stems(&words[..at].join(" "));
    !wanted.is_empty() && wanted.is_subset(&subject) && subject.len() <= wanted.len() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_tell_what_kind_of_answer_they_want() {
        for (question, cue) in [
            ("How many Huguenots fled?", Cue::Number),
            ("In what year was it founded?", Cue::Date),
            ("Who founded Chicago?", Cue::Person),
            ("Where is Chicago?", Cue::Place),
            ("Why did the crisis begin?", Cue::Reason),
            ("What is a tide?", Cue::Definition),
            ("What are the components of a pump?", Cue::List),
            ("How does it work?", Cue::None),
            ("What is a tide? When was it seen first?", Cue::Date),
            ("¿Cuántos puntos cedieron?", Cue::Number),
            ("¿En qué año nació Lutero?", Cue::Date),
            ("¿Qué es la fotosíntesis?", Cue::Definition),
            ("Wann wurde Luther exkommuniziert?", Cue::Date),
            ("Wer war Luther?", Cue::Person),
            ("Combien coûte-t-il ?", Cue::None),
        ] {
            assert_eq!(Cue::of(question), cue, "{question}");
        }
    }

    #[test]
    fn sentences_of_that_kind_fit() {
        let fits =
            |question: &str, text: &str| Cue::of(question).fits(text, &stems(question)) > 0.5;
        assert!(fits(
            "How many fled?",
            "About 50,000 of them fled to England."
        ));
        assert!(!fits("How many fled?", "Many of them fled to England."));
        assert!(!fits("How many fled in 1708?", "They fled in 1708."));
        assert!(fits("When did he die?", "He died in August 1227."));
        assert!(fits("Who founded Acme?", "Acme was founded by Jane Roe."));
        assert!(!fits("Who founded Acme?", "Acme was founded long ago."));
        assert!(fits(
            "What is a tide?",
            "The tide (from Old English) is the rise of the sea."
        ));
        assert!(!fits(
            "What is a tide?",
            "Fishermen know when the tide is high."
        ));
        assert!(fits(
            "¿Qué es una marea?",
            "Una marea es la subida del mar."
        ));
    }
}
