//! How near the sentences of a passage are to its question, without a run of the model: by what it said of their tokens
//! when the passage was read.
//!
//! Who has asked waits for the first word of the answer while sentences are compared. To embed half a dozen of them took
//! longer than all that comes before, and was what limited how many questions a second a worker answers.

use std::ops::Range;

use super::units::Unit;
use crate::{
    models::{EmbedError, EmbedderHandle, TokenCounter, TokenSigns},
    rerank::ReadChunk,
};

/// The tokens of a passage, in order.
#[derive(Debug, Default)]
pub(super) struct PassageTokens(Vec<ChunkTokens>);

/// Those of one of its chunks.
#[derive(Debug)]
struct ChunkTokens {
    /// Where each stands in the passage, in bytes.
    ranges: Vec<Range<usize>>,
    /// One for each.
    signs: TokenSigns,
}

impl PassageTokens {
    /// Of a passage that is made of these chunks. Takes some tenths of a millisecond.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub(super) fn of(
        text: &str,
        chunks: &[ReadChunk],
        tokens: &TokenCounter,
    ) -> Result<Self, EmbedError> {
        Self::placed(text, chunks, |text| tokens.offsets(text))
    }

    fn placed(
        text: &str,
        chunks: &[ReadChunk],
        offsets: impl Fn(&str) -> Result<Vec<Range<usize>>, EmbedError>,
    ) -> Result<Self, EmbedError> {
        let mut found = Vec::new();
        let mut from = 0;
        for chunk in chunks {
            // A chunk that repeats the end of the one before isn't there as it was.
            let Some(at) = text[from..].find(&chunk.text) else {
                continue;
            };
            let start = from + at;
            from = start + chunk.text.len();
            let Some(signs) = &chunk.tokens else {
                continue;
            };
            let ranges: Vec<_> = offsets(&chunk.text)?
                .into_iter()
                .map(|range| start + range.start..start + range.end)
                .collect();
            // The text stands last, before the token that ends it; before it may be its titles.
            if let Some(first) = signs.count().checked_sub(ranges.len() + 1) {
                let signs = signs.some(first..first + ranges.len());
                found.push(ChunkTokens { ranges, signs });
            }
        }
        Ok(Self(found))
    }

    /// Those of a sentence. None where they aren't known.
    pub(super) fn of_unit(&self, unit: &Unit) -> Option<TokenSigns> {
        let chunk = self.0.iter().find(|chunk| {
            let (first, last) = (chunk.ranges.first(), chunk.ranges.last());
            let ends = first.zip(last).map(|(first, last)| first.start..last.end);
            ends.is_some_and(|ends| ends.contains(&unit.range.start))
        })?;
        let first = chunk
            .ranges
            .partition_point(|range| range.start < unit.range.start);
        let end = chunk
            .ranges
            .partition_point(|range| range.end <= unit.range.end);
        (first < end).then(|| chunk.signs.some(first..end))
    }
}

/// What the cosine of two texts' vectors would be by all-MiniLM-L6-v2, roughly: from how near each token of either has
/// one in the other.
///
/// Fitted by least squares to 808 pairs of questions of squad-dev and sentences of passages that were found for them:
/// 70 % of the variance, .1 off on average. The two disagree mostly where a sentence means something by what stands
/// before it, which its tokens in their passage know, and its own vector doesn't.
pub(super) fn similarity(embedder: &EmbedderHandle, one: &TokenSigns, other: &TokenSigns) -> f32 {
    let nearest = |one: &TokenSigns, other| embedder.calibrated_tokens(one.nearest_in(other));
    1.005 * nearest(one, other) + 0.782 * nearest(other, one) - 0.166
}

#[cfg(test)]
mod tests {
    use super::{super::units::units, *};

    /// A token a word, and the number of its place for its signs.
    #[expect(clippy::unnecessary_wraps, reason = "the shape of the tokenizer's own")]
    fn words(text: &str) -> Result<Vec<Range<usize>>, EmbedError> {
        let start = |word: &str| word.as_ptr().addr() - text.as_ptr().addr();
        let words = text.split_whitespace();
        Ok(words
            .map(|word| start(word)..start(word) + word.len())
            .collect())
    }

    fn signs(places: Range<u8>) -> TokenSigns {
        let bytes = places.flat_map(|place| [place; 24]);
        TokenSigns::from_bytes(std::iter::once(1).chain(bytes).collect()).unwrap()
    }

    fn chunk(text: &str, tokens: Option<Range<u8>>) -> ReadChunk {
        ReadChunk {
            text: text.to_owned(),
            tokens: tokens.map(signs),
        }
    }

    #[test]
    fn a_sentence_has_the_tokens_that_stand_in_it_whatever_was_put_before_its_chunk() {
        let text = "Tea is hot. Ice is not.\nMilk is neither.";
        let chunks = [
            // Two special tokens around two of a title and six of the text.
            chunk("Tea is hot. Ice is not.", Some(0..10)),
            chunk("Milk is neither.", Some(20..25)),
        ];
        let tokens = PassageTokens::placed(text, &chunks, words).unwrap();
        let found: Vec<_> = units(text, None)
            .iter()
            .map(|unit| tokens.of_unit(unit))
            .collect();
        assert_eq!(
            found,
            [Some(signs(3..6)), Some(signs(6..9)), Some(signs(21..24))]
        );
    }

    #[test]
    fn nothing_is_known_of_a_chunk_that_was_cut_or_stored_without_tokens() {
        let text = "Tea is hot.\nIce is not.\nMilk is neither.";
        let chunks = [
            chunk("Tea is hot.", None),
            chunk("is hot. Ice is not.", Some(0..7)),
            // Fewer than the text has.
            chunk("Milk is neither.", Some(0..3)),
        ];
        let tokens = PassageTokens::placed(text, &chunks, words).unwrap();
        assert!(
            units(text, None)
                .iter()
                .all(|unit| tokens.of_unit(unit).is_none())
        );
    }
}
