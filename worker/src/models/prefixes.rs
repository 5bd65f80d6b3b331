//! What a model wants before a text, by what the text is.
//!
//! Models of the E5 family were trained with `query: ` and `passage: ` before every text, and find less without.
//! They are part of what is embedded and of nothing else: chunks, hashes and citations don't know them.

use sha2::{Digest, Sha256};

/// Both empty for most models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    pub question: String,
    pub passage: String,
}

impl Prefixes {
    /// The revision of weights that are used with these prefixes: other prefixes, other vectors.
    pub(super) fn revision(&self, weights: String) -> String {
        if *self == Self::default() {
            return weights;
        }
        let mut hasher = Sha256::new();
        for part in [&weights, &self.question, &self.passage] {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
        hex::encode(hasher.finalize())
    }

    pub(super) fn of_question(&self, text: String) -> String {
        before(&self.question, text)
    }

    pub(super) fn of_passage(&self, text: String) -> String {
        before(&self.passage, text)
    }
}

fn before(prefix: &str, text: String) -> String {
    if prefix.is_empty() {
        text
    } else {
        format!("{prefix}{text}")
    }
}
