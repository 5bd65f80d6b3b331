//! How large a text is to the model, and cutting what is too large.

use std::ops::Range;

use crate::models::{EmbedError, TokenCounter};

/// Bytes that count as a token at least.
///
/// A tokenizer may take a word of any length for one unknown token: a megabyte of hexadecimal digits would be a chunk.
/// English has 4 to 5 bytes for each token, and words of more than 16 bytes are rarely one.
const TOKEN_BYTES_MAX: usize = 16;

/// Measures and cuts for chunks of up to `max` tokens.
pub(super) struct Sizes {
    tokens: TokenCounter,
    max: usize,
}

impl Sizes {
    pub(super) fn new(tokens: TokenCounter, max: usize) -> Self {
        Self { tokens, max }
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn of(&self, text: &str) -> Result<usize, EmbedError> {
        Ok(self.tokens.count(text)?.max(text.len() / TOKEN_BYTES_MAX))
    }

    /// Parts of a text of up to `max` tokens each, with their sizes: cut between words, or anywhere within a word that
    /// alone is too long.
    pub(super) fn cut(&self, text: &str) -> Result<Vec<(Range<usize>, usize)>, EmbedError> {
        let starts = self.starts(text)?;
        let mut parts = Vec::new();
        let mut first = 0;
        while first < starts.len() {
            let mut last = (first + self.max).min(starts.len());
            if last < starts.len() {
                let begins_word = |&at: &usize| text[..starts[at]].ends_with(char::is_whitespace);
                last = (first + self.max / 2..=last)
                    .rev()
                    .find(begins_word)
                    .unwrap_or(last);
            }
            // The rest of a word may have more tokens of its own than it has within the word.
            loop {
                let end = starts.get(last).copied().unwrap_or(text.len());
                let part = starts[first]..end;
                let tokens = self.of(text[part.clone()].trim())?;
                if tokens <= self.max || last - first < 2 {
                    parts.push((part, tokens));
                    break;
                }
                last = first + (last - first).div_ceil(2);
            }
            first = last;
        }
        Ok(parts)
    }

    /// Where tokens begin, and where long ones could be cut; the first is 0, and none comes twice.
    fn starts(&self, text: &str) -> Result<Vec<usize>, EmbedError> {
        let mut starts = vec![0];
        let mut push = |at: usize| {
            if starts.last().is_none_or(|&last| last < at) {
                starts.push(at);
            }
        };
        let mut end = 0;
        for token in self.tokens.offsets(text)? {
            between(text, end..token.start, &mut push);
            push(token.start);
            between(text, token.clone(), &mut push);
            end = end.max(token.end);
        }
        between(text, end..text.len(), &mut push);
        Ok(starts)
    }
}

fn between(text: &str, range: Range<usize>, push: &mut impl FnMut(usize)) {
    let mut at = range.start + TOKEN_BYTES_MAX;
    while at < range.end {
        at = text.ceil_char_boundary(at);
        if at < range.end {
            push(at);
        }
        at += TOKEN_BYTES_MAX;
    }
}
