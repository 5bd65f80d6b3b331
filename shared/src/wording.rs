//! When two questions are the same words: for FAQs, and for counting what was asked.

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

/// A question without what doesn't matter: NFKC, lowercase, single spaces, no punctuation around it.
#[must_use]
pub fn normalised(question: &str) -> String {
    let text: String = question.nfkc().flat_map(char::to_lowercase).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let inner = text.trim_matches(|c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '?' | '!' | '.' | ',' | ';' | ':' | '…' | '¿' | '¡' | '。' | '、'
            )
    });
    // A question that is nothing else stays as it is.
    if inner.is_empty() {
        text
    } else {
        inner.to_owned()
    }
}

/// What equal questions have in common, in 32 bytes: normalised texts may be too long for an index.
#[must_use]
pub fn digest(question: &str) -> [u8; 32] {
    Sha256::digest(normalised(question)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_spaces_widths_and_punctuation_around_a_question_do_not_matter() {
        for same in [
            "how do i  reset\tmy password",
            "How do I reset my password?",
            " HOW DO I RESET MY PASSWORD ?! ",
            "Ｈow do I reset my password…",
        ] {
            assert_eq!(normalised(same), "how do i reset my password", "{same}");
        }
        assert_eq!(normalised("¿Quién es?"), "quién es");
        assert_eq!(normalised("?"), "?");
    }

    #[test]
    fn words_and_numbers_matter() {
        assert_ne!(digest("What is ERR-4711?"), digest("What is ERR-4712?"));
        assert_ne!(digest("Is it 1.5 or 15?"), digest("Is it 15 or 15?"));
        assert_eq!(digest("What is it?"), digest("what is it"));
    }
}
