//! Counts and cuts text the way the model does.
//!
//! `tokenizer.json` often has truncation and padding baked in, at 128 tokens for all-MiniLM-L6-v2,
//! and to that very length for every text. Both are switched off: truncation would make long texts
//! look short to the chunker, and nothing needs padding, since texts are embedded one by one.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use tokenizers::{PostProcessor, Tokenizer, TruncationDirection};

use super::{EmbedError, ModelFolder};

/// The model's tokenizer; clones share it.
#[derive(Debug, Clone)]
pub struct TokenCounter {
    tokenizer: Arc<Tokenizer>,
    /// What the model reads of a text, without the special tokens around it.
    text_tokens_max: usize,
}

impl TokenCounter {
    /// Loads the tokenizer of a model folder; blocks for some tens of milliseconds.
    pub fn open(dir: &Path) -> Result<Self, EmbedError> {
        Self::load(&ModelFolder::open(dir)?)
    }

    pub(super) fn load(folder: &ModelFolder) -> Result<Self, EmbedError> {
        let path = folder.file("tokenizer.json");
        let json = std::fs::read(&path).map_err(EmbedError::read(&path))?;
        let mut tokenizer =
            Tokenizer::from_bytes(json).map_err(|error| EmbedError::malformed(&path, error))?;
        tokenizer
            .with_truncation(None)
            .map_err(EmbedError::Tokenizer)?;
        tokenizer.with_padding(None);

        let special_tokens = tokenizer
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(false));
        let text_tokens_max = usize::from(folder.max_tokens()).saturating_sub(special_tokens);
        Ok(Self {
            tokenizer: Arc::new(tokenizer),
            text_tokens_max,
        })
    }

    /// The longest text, in tokens as [`count`](Self::count) counts them, that the model reads to
    /// its end.
    pub fn text_tokens_max(&self) -> usize {
        self.text_tokens_max
    }

    /// The number of tokens of a text of any length, without special tokens.
    ///
    /// Takes about 1.5 µs per token and memory in proportion: documents belong on a blocking thread.
    pub fn count(&self, text: &str) -> Result<usize, EmbedError> {
        Ok(self
            .tokenizer
            .encode_fast(text, false)
            .map_err(EmbedError::Tokenizer)?
            .len())
    }

    /// The byte range of each token in the text, in order, without special tokens.
    ///
    /// Ranges lie on character boundaries. White space belongs to none; characters that the
    /// tokenizer drops (controls) neither; pieces of one character share its range.
    pub fn offsets(&self, text: &str) -> Result<Vec<Range<usize>>, EmbedError> {
        let encoding = self
            .tokenizer
            .encode(text, false)
            .map_err(EmbedError::Tokenizer)?;
        Ok(encoding
            .get_offsets()
            .iter()
            .map(|&(start, end)| start..end)
            .collect())
    }

    /// The token ids that the model reads of this text: cut to what it can, special tokens around
    /// them.
    ///
    /// As the models take them: 64 bits each.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<i64>, EmbedError> {
        let mut encoding = self
            .tokenizer
            .encode_fast(text, false)
            .map_err(EmbedError::Tokenizer)?;
        encoding.truncate(self.text_tokens_max, 0, TruncationDirection::Right);
        let encoding = self
            .tokenizer
            .post_process(encoding, None, true)
            .map_err(EmbedError::Tokenizer)?;
        Ok(encoding.get_ids().iter().copied().map(i64::from).collect())
    }
}
