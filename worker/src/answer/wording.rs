//! How a sentence reads outside of its place: what it points back to, and connectives that connect nothing any more.

/// First words that stand for something said before.
const POINTERS: &[&str] = &[
    "it",
    "its",
    "they",
    "their",
    "he",
    "his",
    "she",
    "her",
    "this",
    "that",
    "these",
    "those",
    "such",
    "both",
    "here",
    "there",
    "él",
    "ella",
    "ellos",
    "ellas",
    "su",
    "sus",
    "este",
    "esta",
    "estos",
    "estas",
    "ese",
    "esa",
    "esos",
    "esas",
    "esto",
    "eso",
    "ambos",
    "ambas",
    "allí",
    "dicho",
    "dicha",
    "dichos",
    "dichas",
    "er",
    "sie",
    "es",
    "sein",
    "seine",
    "ihr",
    "ihre",
    "dies",
    "diese",
    "dieser",
    "dieses",
    "dort",
    "dabei",
    "dafür",
    "dadurch",
    "damit",
    "darin",
    "daher",
    "deshalb",
    "jedoch",
    "allerdings",
    "außerdem",
    "zudem",
];

/// What stands before a comma and can go with it; longer before shorter.
const CONNECTIVES: &[&str] = &[
    "on the other hand",
    "as a consequence",
    "as a result",
    "in addition",
    "in contrast",
    "in particular",
    "for instance",
    "for example",
    "in turn",
    "in fact",
    "of course",
    "nevertheless",
    "nonetheless",
    "consequently",
    "additionally",
    "furthermore",
    "meanwhile",
    "similarly",
    "therefore",
    "moreover",
    "likewise",
    "however",
    "instead",
    "besides",
    "after this",
    "after that",
    "finally",
    "rather",
    "still",
    "hence",
    "also",
    "thus",
    "then",
    "so",
    "yet",
    "por consiguiente",
    "por otro lado",
    "por otra parte",
    "por lo tanto",
    "por ejemplo",
    "no obstante",
    "en cambio",
    "en concreto",
    "sin embargo",
    "de hecho",
    "por tanto",
    "así pues",
    "a su vez",
    "finalmente",
    "igualmente",
    "asimismo",
    "entonces",
    "además",
];

/// Conjunctions that need no comma.
const CONJUNCTIONS: &[&str] = &["and", "but", "or", "pero", "y", "und", "aber"];

/// Whether it can't be understood without the sentence before it.
pub(super) fn points_back(sentence: &str) -> bool {
    let bare = strip(sentence);
    let sentence = bare.as_deref().unwrap_or(sentence);
    let first = sentence
        .split(|c: char| !c.is_alphanumeric())
        .find(|word| !word.is_empty())
        .unwrap_or_default()
        .to_lowercase();
    // "There is", "It is possible to": rather a frame than a pointer, but with the sentence before it no harm.
    let is_frame = [
        "there is ",
        "there are ",
        "there was ",
        "there were ",
        "it is possible",
    ]
    .iter()
    .any(|frame| sentence.to_lowercase().starts_with(frame));
    POINTERS.contains(&first.as_str()) && !is_frame
}

/// The sentence as it can begin.
pub(super) fn without_connective(sentence: &str) -> String {
    strip(sentence).unwrap_or_else(|| sentence.to_owned())
}

fn strip(sentence: &str) -> Option<String> {
    let with_comma = CONNECTIVES
        .iter()
        .find_map(|connective| after(sentence, connective)?.strip_prefix(','));
    let alone = || {
        CONJUNCTIONS.iter().find_map(|conjunction| {
            after(sentence, conjunction).filter(|rest| rest.starts_with(' '))
        })
    };
    let rest = with_comma.or_else(alone)?.trim_start();
    let mut chars = rest.chars();
    let first = chars.next()?;
    Some(first.to_uppercase().chain(chars).collect())
}

/// What follows `words`, whatever their case.
fn after<'a>(sentence: &'a str, words: &str) -> Option<&'a str> {
    let head = sentence.get(..words.len())?;
    // `get` fails within a character, and lengths of upper case are those of lower case in these languages.
    (head.to_lowercase() == words).then(|| &sentence[words.len()..])
}

/// Dots where a chunk has cut a sentence.
pub(super) fn marked_if_cut(sentence: &str, whole: bool) -> String {
    if whole {
        return sentence.to_owned();
    }
    let begins = sentence
        .chars()
        .find(|c| c.is_alphanumeric())
        .is_some_and(|c| !c.is_lowercase());
    let ends = sentence.ends_with(['.', '!', '?', '…', '。', '"', '”', ')']);
    format!(
        "{}{sentence}{}",
        if begins { "" } else { "… " },
        if ends { "" } else { " …" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connectives_go_and_the_next_word_becomes_the_first() {
        assert_eq!(
            without_connective("However, the pump works."),
            "The pump works."
        );
        assert_eq!(without_connective("Sin embargo, él calló."), "Él calló.");
        assert_eq!(without_connective("But nobody came."), "Nobody came.");
        assert_eq!(
            without_connective("Android, the system, works."),
            "Android, the system, works."
        );
        assert_eq!(
            without_connective("Also known as tea."),
            "Also known as tea."
        );
        assert_eq!(without_connective("Ähnlich."), "Ähnlich.");
    }

    #[test]
    fn pronouns_at_the_beginning_point_back() {
        for sentence in [
            "It is 28 euros.",
            "However, this fails.",
            "Su precio es alto.",
            "Diese Regel gilt.",
        ] {
            assert!(points_back(sentence), "{sentence}");
        }
        for sentence in ["There is a limit.", "Italy won.", "The limit is this."] {
            assert!(!points_back(sentence), "{sentence}");
        }
    }

    #[test]
    fn cut_sentences_are_marked_where_they_are_cut() {
        assert_eq!(
            marked_if_cut("and then it ended.", false),
            "… and then it ended."
        );
        assert_eq!(marked_if_cut("It ended with a", false), "It ended with a …");
    }
}
