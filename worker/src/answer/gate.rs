//! Whether a question needs the ones before it to be understood, told by its words alone: in English, Spanish and German
//! by pronouns and by how it begins, in other languages by how few of its words name anything.
//!
//! It rather lets a follow-up through than take a question for one that stands alone.

use unicode_segmentation::UnicodeSegmentation;

/// What a follow-up begins with, in English, Spanish and German.
const BEGINNINGS: &[&str] = &[
    "and",
    "but",
    "or",
    "also",
    "what about",
    "how about",
    "what else",
    "who else",
    "anything else",
    "why not",
    "which one",
    "which ones",
    "which of them",
    "which of these",
    "which of those",
    "tell me more",
    "more about",
    "elaborate",
    "explain that",
    "explain this",
    "in that case",
    "if so",
    "if not",
    "instead",
    "otherwise",
    "y",
    "e",
    "pero",
    "o",
    "también",
    "entonces",
    "qué hay de",
    "qué hay del",
    "qué pasa con",
    "y si",
    "qué más",
    "quién más",
    "algo más",
    "por qué no",
    "cuál de ellos",
    "cuál de ellas",
    "cuáles de ellos",
    "en ese caso",
    "cuéntame más",
    "explica eso",
    "si no",
    "und",
    "aber",
    "oder",
    "auch",
    "dann",
    "was ist mit",
    "wie ist es mit",
    "wie sieht es mit",
    "was noch",
    "wer noch",
    "warum nicht",
    "welche davon",
    "welcher davon",
    "welches davon",
    "wenn nicht",
    "in dem fall",
];

/// Words that stand for something named before.
pub(super) const PRONOUNS: &[&str] = &[
    "it", "its", "they", "them", "their", "theirs", "he", "him", "his", "she", "her", "hers",
    "this", "that", "these", "those", "there", "él", "ella", "ellos", "ellas", "su", "sus", "esto",
    "eso", "ese", "esa", "esos", "esas", "este", "esta", "estos", "estas", "aquello", "allí",
    "ahí", "ello", "er", "ihn", "ihm", "ihr", "ihre", "ihren", "ihrer", "sein", "seine", "seinen",
    "seiner", "dies", "diese", "dieser", "dieses", "diesen", "davon", "dafür", "damit", "dazu",
    "daran", "dort",
];

/// "How long does it take to …": this `it` stands for nothing. So does `there` after or before a form of `be`.
const AFTER_EMPTY_IT: &[&str] = &[
    "take",
    "takes",
    "took",
    "cost",
    "possible",
    "impossible",
    "allowed",
    "necessary",
    "important",
    "required",
    "true",
    "called",
    "legal",
    "illegal",
    "safe",
    "better",
    "best",
    "difficult",
    "hard",
    "easy",
    "said",
    "thought",
    "believed",
    "known",
    "that",
    "worth",
    "rain",
    "make",
    "mean",
];
const BESIDE_EMPTY_THERE: &[&str] = &[
    "is", "are", "was", "were", "be", "been", "will", "any", "a", "an", "exist", "exists", "still",
];

/// "The second one": what it is one of was said before.
const ORDINALS: &[&str] = &[
    "one", "ones", "first", "second", "third", "last", "next", "other", "others", "latter",
    "former", "same", "both", "primero", "primera", "segundo", "segunda", "tercero", "tercera",
    "último", "última", "otro", "otra", "otros", "otras", "mismo", "misma", "ambos", "ambas",
    "erste", "ersten", "zweite", "zweiten", "dritte", "dritten", "letzte", "letzten", "andere",
    "anderen", "gleiche", "beide", "beiden",
];

/// Words that name nothing. Not a list for searching: only what makes questions.
pub(super) const EMPTY: &[&str] = &[
    "a", "an", "the", "of", "in", "on", "at", "to", "for", "from", "by", "with", "about", "as",
    "is", "are", "was", "were", "be", "been", "do", "does", "did", "has", "have", "had", "can",
    "could", "will", "would", "should", "may", "might", "must", "what", "which", "who", "whom",
    "whose", "when", "where", "why", "how", "many", "much", "long", "often", "and", "or", "but",
    "not", "no", "yes", "so", "if", "than", "then", "also", "too", "any", "some", "more", "most",
    "exactly", "please", "old", "big", "large", "far", "tall", "high", "deep", "fast", "heavy",
    "wide", "you", "i", "me", "we", "us", "my", "our", "your", "kind", "type", "sort", "only",
    "else", "case", "mean", "okay", "ok", "really", "el", "la", "los", "las", "lo", "un", "una",
    "unos", "unas", "de", "del", "al", "en", "por", "para", "con", "sin", "qué", "que", "cuál",
    "cuáles", "quién", "quiénes", "cuándo", "dónde", "cómo", "cuánto", "cuánta", "cuántos",
    "cuántas", "es", "son", "fue", "fueron", "era", "eran", "ha", "han", "se", "le", "les", "y",
    "o", "e", "si", "sí", "no", "más", "también", "hay", "está", "están", "ser", "caso", "tipo",
    "pero", "entonces", "sobre", "a", "der", "die", "das", "den", "dem", "des", "ein", "eine",
    "einen", "einem", "einer", "eines", "von", "vom", "zu", "zum", "zur", "im", "am", "auf", "aus",
    "bei", "mit", "nach", "für", "über", "um", "ist", "sind", "war", "waren", "wird", "werden",
    "wurde", "wurden", "hat", "haben", "hatte", "kann", "können", "was", "wer", "wen", "wem",
    "wann", "wo", "warum", "wieso", "wie", "viel", "viele", "lange", "oft", "welche", "welcher",
    "welches", "welchen", "und", "oder", "aber", "nicht", "auch", "dann", "so", "es", "man", "ich",
    "wir", "sie", "fall", "noch", "denn", "hoch", "groß", "alt", "weit", "schnell", "wieviel",
];

/// Beginnings of questions for what a thing or a person is: one name is enough for them.
const DEFINITIONS: &[&str] = &[
    "what is",
    "what are",
    "what was",
    "what were",
    "who is",
    "who are",
    "who was",
    "who were",
    "where is",
    "where are",
    "where was",
    "define",
    "explain",
    "qué es",
    "qué son",
    "qué era",
    "qué fue",
    "quién es",
    "quién fue",
    "quiénes son",
    "quiénes fueron",
    "dónde está",
    "define",
    "explica",
    "was ist",
    "was sind",
    "was war",
    "wer ist",
    "wer sind",
    "wer war",
    "wo ist",
    "wo liegt",
    "erkläre",
];

/// Whether a question needs the turns before it to be understood.
pub(super) fn is_follow_up(question: &str) -> bool {
    let written: Vec<&str> = question.unicode_words().collect();
    let words: Vec<String> = written.iter().map(|word| word.to_lowercase()).collect();
    let begins_with = |phrase: &&str| {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        words.len() >= phrase.len()
            && words
                .iter()
                .zip(&phrase)
                .all(|(word, wanted)| word == wanted)
    };
    if words.is_empty() || BEGINNINGS.iter().any(begins_with) {
        return !words.is_empty();
    }
    // The capital of the first word says nothing.
    let written: Vec<&str> = words
        .first()
        .map(String::as_str)
        .into_iter()
        .chain(written.into_iter().skip(1))
        .collect();
    let names: Vec<bool> = written
        .iter()
        .zip(&words)
        .map(|(written, word)| names_something(written, word))
        .collect();
    let named = names.iter().filter(|&&names| names).count();
    let points_back = words.iter().enumerate().any(|(place, word)| {
        let named_before = names[..place].iter().filter(|&&names| names).count();
        PRONOUNS.contains(&word.as_str())
            && !is_empty_pronoun(&words, place)
            // "Who wrote it?": the verb before it is no name.
            && (named_before == 0 || (named_before == 1 && named == 1 && !has_name(&written[..place])))
    });
    let is_one_of_several = named <= 1
        && !has_name(&written)
        && words.iter().any(|word| ORDINALS.contains(&word.as_str()));
    points_back || is_one_of_several || names_too_little(question, &written, &words, named)
}

/// In any language: a question with hardly a word that names anything.
fn names_too_little(question: &str, written: &[&str], words: &[String], named: usize) -> bool {
    // Scripts without blanks come as single characters here.
    let has_blanks = written.iter().any(|word| word.chars().count() > 1);
    if !has_blanks {
        return words.len() <= 4;
    }
    let asks = question.contains(['?', '？', '؟']);
    let is_definition = DEFINITIONS.iter().any(|phrase| {
        let lower = words.join(" ");
        lower.starts_with(phrase)
    });
    match named {
        0 => true,
        // One lone word may be a search ("Huguenots") or a follow-up ("Abroad?").
        1 if words.len() == 1 => asks,
        1 => words.len() <= 4 && asks && !is_definition && !has_name(written),
        _ => false,
    }
}

/// Whether it is more than what questions are made of.
fn names_something(written: &str, word: &str) -> bool {
    let is_listed = EMPTY.contains(&word) || PRONOUNS.contains(&word) || ORDINALS.contains(&word);
    !is_listed && (word.chars().count() > 2 || is_name(written))
}

/// Capitals and digits are of names.
fn is_name(written: &str) -> bool {
    written.chars().any(|c| c.is_uppercase() || c.is_numeric())
}

fn has_name(written: &[&str]) -> bool {
    written.iter().any(|word| is_name(word))
}

fn is_empty_pronoun(words: &[String], place: usize) -> bool {
    let beside = |step: isize| {
        place
            .checked_add_signed(step)
            .and_then(|place| words.get(place))
            .map_or("", String::as_str)
    };
    match words[place].as_str() {
        "it" => AFTER_EMPTY_IT.contains(&beside(1)) && words.len() > place + 2,
        "there" => {
            BESIDE_EMPTY_THERE.contains(&beside(-1)) || BESIDE_EMPTY_THERE.contains(&beside(1))
        }
        // "What is the name of the man that …"
        "that" => place > 2 && words.len() > place + 2,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLLOW_UPS: &[&str] = &[
        "And for the second one?",
        "What about taxis?",
        "How about in Germany?",
        "Why?",
        "How much is it?",
        "When was he born?",
        "Who wrote it?",
        "What are their duties?",
        "Does it apply abroad?",
        "Is that also true for students?",
        "How many of them are there?",
        "And abroad?",
        "Abroad?",
        "Which one is cheaper?",
        "Who was the second one?",
        "What happened then?",
        "Tell me more.",
        "But who pays?",
        "¿Y en el extranjero?",
        "¿Por qué?",
        "¿Cuándo nació?",
        "¿Qué pasa con los taxis?",
        "¿Cuál es su precio?",
        "¿Quién lo escribió?",
        "¿Y el segundo?",
        "¿Cuánto cuesta eso?",
        "Und im Ausland?",
        "Was ist mit Taxis?",
        "Wann wurde er geboren?",
        "Wie hoch ist seine Rente?",
        "Et à l'étranger ?",
        "E il secondo?",
        "为什么？",
    ];

    /// Asked without a conversation.
    const STAND_ALONE: &[&str] = &[
        "What is photosynthesis?",
        "Who is Ada Lovelace?",
        "Huguenots",
        "daily allowance abroad",
        "How long does it take to get a refund?",
        "Is it possible to travel first class?",
        "Are there any rules for taxis?",
        "What did Luther say about his theses?",
        "How much is the daily allowance abroad?",
        "By what main attribute are computational problems classified utilizing computational complexity theory?",
        "What method is used to intuitively assess the amount of resources required to solve a problem?",
        "Which NFL team represented the AFC at Super Bowl 50?",
        "In what country is Normandy located?",
        "What does ERR-4711 mean?",
        "Where is Chicago?",
        "¿Cuántos puntos dejaron escapar en defensa los Panthers?",
        "¿Quién fue el líder en derribos de los Panthers en 2015?",
        "¿Qué es la fotosíntesis?",
        "¿A qué hora abre la oficina de su empresa?",
        "Wann wurde Luther exkommuniziert?",
        "Was ist ein Algorithmus?",
        "光合作用是如何进行的？",
    ];

    #[test]
    fn follow_ups_in_several_languages_are_seen() {
        let missed: Vec<_> = FOLLOW_UPS
            .iter()
            .filter(|text| !is_follow_up(text))
            .collect();
        assert!(missed.is_empty(), "{missed:#?}");
    }

    #[test]
    fn questions_that_stand_alone_are_not_touched() {
        let touched: Vec<_> = STAND_ALONE
            .iter()
            .filter(|text| is_follow_up(text))
            .collect();
        assert!(touched.is_empty(), "{touched:#?}");
    }

    #[test]
    fn at_most_one_in_twenty_of_real_questions_that_stand_alone_is_touched() {
        let questions = include_str!("../../tests/files/questions.txt");
        let all: Vec<&str> = questions
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        let touched: Vec<_> = all.iter().filter(|text| is_follow_up(text)).collect();
        assert!(all.len() >= 200);
        assert!(touched.len() * 20 <= all.len(), "{touched:#?}");
    }
}
