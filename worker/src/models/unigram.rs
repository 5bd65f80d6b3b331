//! The unigram language model of `SentencePiece`, whose vocabulary takes a few bytes a piece.
//!
//! The tokenizers crate keeps the 250,000 pieces of XLM-R in a tree of hash maps, 290 MB in all; in a double array and
//! two vectors they are 12 MB, and no slower. All but the model (normalisation, splitting, special tokens) stays the
//! crate's. Source: Kudo 2018, "Subword Regularization", section 3.2, for the best segmentation by Viterbi's algorithm.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::unigram::UnigramTrainer;
use tokenizers::{Model, Token};
use yada::DoubleArray;
use yada::builder::DoubleArrayBuilder;

/// How much worse than the worst piece a character is that no piece has: `SentencePiece`'s `kUnkPenalty`.
const UNKNOWN_PENALTY: f64 = 10.0;

/// As `model` stands in `tokenizer.json`.
#[derive(Deserialize)]
struct Written {
    unk_id: Option<u32>,
    vocab: Vec<(String, f64)>,
    #[serde(default)]
    byte_fallback: bool,
}

#[derive(Deserialize)]
#[serde(try_from = "Written")]
pub(super) struct Unigram {
    /// Where in `vocab` a piece stands, by its bytes.
    places: DoubleArray<Vec<u8>>,
    /// Of each piece, the logarithm of its probability.
    scores: Vec<f64>,
    /// All pieces in one string, and where each ends: 250,000 strings would be as many allocations.
    texts: String,
    ends: Vec<u32>,
    unknown: u32,
    unknown_score: f64,
}

impl TryFrom<Written> for Unigram {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        if written.byte_fallback {
            return Err("unigram models that fall back to bytes are not supported".to_owned());
        }
        let unknown = written
            .unk_id
            .filter(|id| (*id as usize) < written.vocab.len())
            .ok_or("the unigram model has no unknown token")?;
        let mut keys: Vec<(&str, u32)> = (0..)
            .zip(&written.vocab)
            .map(|(id, (piece, _))| (piece.as_str(), id))
            .collect();
        keys.sort_unstable();
        // Of a piece that comes twice the last counts, as in the crate.
        keys.reverse();
        keys.dedup_by_key(|(piece, _)| *piece);
        keys.reverse();
        let places = DoubleArrayBuilder::build(&keys).map_err(|error| error.to_string())?;
        let places = DoubleArray::new(places).map_err(|error| error.to_string())?;

        let (mut texts, mut ends) = (String::new(), Vec::with_capacity(written.vocab.len()));
        for (piece, _) in &written.vocab {
            texts.push_str(piece);
            ends.push(u32::try_from(texts.len()).map_err(|error| error.to_string())?);
        }
        let scores: Vec<f64> = written.vocab.iter().map(|(_, score)| *score).collect();
        let worst = scores.iter().copied().fold(f64::INFINITY, f64::min);
        Ok(Self {
            places,
            texts,
            ends,
            unknown,
            unknown_score: worst - UNKNOWN_PENALTY,
            scores,
        })
    }
}

/// The best way to segment the text up to a byte.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    /// Where its last piece begins, and which it is.
    start: usize,
    piece: u32,
}

impl Unigram {
    fn text(&self, id: u32) -> Option<&str> {
        let id = id as usize;
        let end = *self.ends.get(id)? as usize;
        let start = id
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        self.texts.get(start..end)
    }

    /// The most probable pieces that make up the text, with their byte ranges. Characters without a piece are the
    /// unknown one, those in a row together.
    fn segment(&self, text: &str) -> Vec<(u32, usize, usize)> {
        let nowhere = Best {
            score: f64::NEG_INFINITY,
            start: 0,
            piece: self.unknown,
        };
        let mut best = vec![nowhere; text.len() + 1];
        best[0].score = 0.0;
        for (start, character) in text.char_indices() {
            let score = best[start].score;
            let mut reach = |length: usize, score: f64, piece: u32| {
                let end = &mut best[start + length];
                if score > end.score {
                    *end = Best {
                        score,
                        start,
                        piece,
                    };
                }
            };
            let mut is_known = false;
            for (piece, length) in self.places.common_prefix_search(&text.as_bytes()[start..]) {
                is_known |= length == character.len_utf8();
                reach(length, score + self.scores[piece as usize], piece);
            }
            if !is_known {
                reach(
                    character.len_utf8(),
                    score + self.unknown_score,
                    self.unknown,
                );
            }
        }

        let mut pieces: Vec<(u32, usize, usize)> = Vec::new();
        let mut end = text.len();
        while end > 0 {
            let Best { start, piece, .. } = best[end];
            match pieces.last_mut() {
                // From the end backwards.
                Some(next) if piece == self.unknown && next.0 == self.unknown => next.1 = start,
                _ => pieces.push((piece, start, end)),
            }
            end = start;
        }
        pieces.reverse();
        pieces
    }
}

impl Model for Unigram {
    type Trainer = TrainerWrapper;

    fn tokenize(&self, sequence: &str) -> tokenizers::Result<Vec<Token>> {
        let token = |(id, start, end): (u32, usize, usize)| {
            Token::new(id, sequence[start..end].to_owned(), (start, end))
        };
        Ok(self.segment(sequence).into_iter().map(token).collect())
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.places.exact_match_search(token)
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        self.text(id).map(str::to_owned)
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        (0..)
            .map_while(|id| Some((self.text(id)?.to_owned(), id)))
            .collect()
    }

    fn get_vocab_size(&self) -> usize {
        self.scores.len()
    }

    fn save(&self, _: &Path, _: Option<&str>) -> tokenizers::Result<Vec<PathBuf>> {
        Err("a model that is only read isn't saved".into())
    }

    fn get_trainer(&self) -> TrainerWrapper {
        UnigramTrainer::default().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::models::unigram::Unigram as Theirs;

    use super::*;

    fn vocabulary() -> Vec<(String, f64)> {
        let pieces = [
            ("<unk>", 0.0),
            ("\u{2581}", -2.0),
            ("\u{2581}the", -3.0),
            ("a", -4.0),
            ("ab", -4.5),
            ("b", -4.1),
            ("abc", -11.0),
            ("c", -5.0),
            ("é", -6.0),
            ("ß", -6.5),
            ("éa", -8.0),
        ];
        pieces
            .map(|(piece, score)| (piece.to_owned(), score))
            .to_vec()
    }

    fn ours() -> Unigram {
        Unigram::try_from(Written {
            unk_id: Some(0),
            vocab: vocabulary(),
            byte_fallback: false,
        })
        .unwrap()
    }

    proptest! {
        #[test]
        fn every_text_is_segmented_as_by_the_tokenizers_crate(text in "[abcéßxy字\u{2581}]{0,40}") {
            let theirs = Theirs::from(vocabulary(), Some(0), false).unwrap();
            let expected = theirs.tokenize(&text).unwrap();
            prop_assert_eq!(ours().tokenize(&text).unwrap(), expected);
        }
    }

    #[test]
    fn pieces_and_ids_lead_to_each_other() {
        let ours = ours();
        for (id, (piece, _)) in (0..).zip(vocabulary()) {
            assert_eq!(ours.token_to_id(&piece), Some(id));
            assert_eq!(ours.id_to_token(id), Some(piece));
        }
        assert_eq!(ours.id_to_token(11), None);
        assert_eq!(ours.token_to_id("abcd"), None);
        assert_eq!(ours.get_vocab().len(), ours.get_vocab_size());
    }
}
