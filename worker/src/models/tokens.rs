//! Counts and cuts text the way the model does.
//!
//! `tokenizer.json` often has truncation and padding baked in, at 128 tokens for all-MiniLM-L6-v2,
//! and to that very length for every text. Both are switched off: truncation would make long texts
//! look short to the chunker, and nothing needs padding, since texts are embedded one by one.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokenizers::{
    DecoderWrapper, Encoding, Model, ModelWrapper, NormalizerWrapper, PostProcessor,
    PostProcessorWrapper, PreTokenizerWrapper, TokenizerImpl, TruncationDirection,
};

use super::unigram::Unigram;
use super::{EmbedError, ModelFolder};

/// The model's tokenizer; clones share it.
#[derive(Clone)]
pub struct TokenCounter {
    tokenizer: Arc<Tokenizer>,
    /// What the model reads, without the special tokens around it.
    sequence_tokens_max: usize,
    /// The same less the prefix.
    text_tokens_max: usize,
}

impl std::fmt::Debug for TokenCounter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCounter")
            .field("text_tokens_max", &self.text_tokens_max)
            .finish_non_exhaustive()
    }
}

/// The crate's tokenizer around a model of ours or of its own.
type Around<M> =
    TokenizerImpl<M, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

#[expect(
    clippy::large_enum_variant,
    reason = "there is one of them in a process, behind an Arc"
)]
enum Tokenizer {
    Unigram(Around<Unigram>),
    Other(Around<ModelWrapper>),
}

/// The beginning of the file, as far as it says how to read the rest.
#[derive(Deserialize)]
struct Head {
    model: Kind,
}

#[derive(Deserialize)]
struct Kind {
    r#type: Option<String>,
}

impl Tokenizer {
    fn read(json: &[u8]) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let head: Head = serde_json::from_slice(json)?;
        Ok(match head.model.r#type.as_deref() {
            Some("Unigram") => Self::Unigram(read(json)?),
            _ => Self::Other(read(json)?),
        })
    }

    fn encode(&self, text: &str) -> tokenizers::Result<Encoding> {
        match self {
            Self::Unigram(tokenizer) => tokenizer.encode(text, false),
            Self::Other(tokenizer) => tokenizer.encode(text, false),
        }
    }

    /// Without offsets.
    fn encode_fast(&self, text: &str) -> tokenizers::Result<Encoding> {
        match self {
            Self::Unigram(tokenizer) => tokenizer.encode_fast(text, false),
            Self::Other(tokenizer) => tokenizer.encode_fast(text, false),
        }
    }

    fn add_special_tokens(&self, encoding: Encoding) -> tokenizers::Result<Encoding> {
        match self {
            Self::Unigram(tokenizer) => tokenizer.post_process(encoding, None, true),
            Self::Other(tokenizer) => tokenizer.post_process(encoding, None, true),
        }
    }

    fn special_tokens(&self) -> usize {
        let processor = match self {
            Self::Unigram(tokenizer) => tokenizer.get_post_processor(),
            Self::Other(tokenizer) => tokenizer.get_post_processor(),
        };
        processor.map_or(0, |processor| processor.added_tokens(false))
    }
}

fn read<M: DeserializeOwned + Model>(json: &[u8]) -> tokenizers::Result<Around<M>> {
    let mut tokenizer: Around<M> = serde_json::from_slice(json)?;
    tokenizer.with_truncation(None)?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

impl TokenCounter {
    /// Loads the tokenizer of a model folder; blocks for some tens of milliseconds, for some hundreds if its
    /// vocabulary is multilingual.
    pub fn open(dir: &Path) -> Result<Self, EmbedError> {
        Self::load(&ModelFolder::open(dir)?)
    }

    pub(super) fn load(folder: &ModelFolder) -> Result<Self, EmbedError> {
        let path = folder.file("tokenizer.json");
        let json = std::fs::read(&path).map_err(EmbedError::read(&path))?;
        let tokenizer =
            Tokenizer::read(&json).map_err(|error| EmbedError::malformed(&path, error))?;
        let max = usize::from(folder.max_tokens()).saturating_sub(tokenizer.special_tokens());
        let mut counter = Self {
            tokenizer: Arc::new(tokenizer),
            sequence_tokens_max: max,
            text_tokens_max: max,
        };
        let prefixes = folder.prefixes();
        // The space at its end becomes a part of the text's first token.
        let prefix = counter
            .count(prefixes.question.trim_end())?
            .max(counter.count(prefixes.passage.trim_end())?);
        counter.text_tokens_max = max.saturating_sub(prefix);
        Ok(counter)
    }

    /// The longest text, in tokens as [`count`](Self::count) counts them, that the model reads to
    /// its end.
    pub fn text_tokens_max(&self) -> usize {
        self.text_tokens_max
    }

    /// The number of tokens of a text of any length, without special tokens and prefix.
    ///
    /// Takes about 1.5 µs per token and memory in proportion: documents belong on a blocking thread.
    pub fn count(&self, text: &str) -> Result<usize, EmbedError> {
        Ok(self
            .tokenizer
            .encode_fast(text)
            .map_err(EmbedError::Tokenizer)?
            .len())
    }

    /// The byte range of each token in the text, in order, without special tokens.
    ///
    /// Ranges lie on character boundaries. White space belongs to none; characters that the
    /// tokenizer drops (controls) neither; pieces of one character share its range.
    pub fn offsets(&self, text: &str) -> Result<Vec<Range<usize>>, EmbedError> {
        let encoding = self.tokenizer.encode(text).map_err(EmbedError::Tokenizer)?;
        let trimmed = |&(start, end): &(usize, usize)| {
            // A piece of SentencePiece begins with the space before its word.
            let token = &text[start..end];
            let start = end - token.trim_start().len();
            start..start + text[start..end].trim_end().len()
        };
        Ok(encoding.get_offsets().iter().map(trimmed).collect())
    }

    /// The token ids that the model reads of this text, which has its prefix already: cut to what it can, special
    /// tokens around them.
    ///
    /// As the models take them: 64 bits each.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<i64>, EmbedError> {
        let mut encoding = self
            .tokenizer
            .encode_fast(text)
            .map_err(EmbedError::Tokenizer)?;
        encoding.truncate(self.sequence_tokens_max, 0, TruncationDirection::Right);
        let encoding = self
            .tokenizer
            .add_special_tokens(encoding)
            .map_err(EmbedError::Tokenizer)?;
        Ok(encoding.get_ids().iter().copied().map(i64::from).collect())
    }
}
