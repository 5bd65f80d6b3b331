//! A model that reads a question and a passage together and says how well the one answers the other.
//!
//! For weights that people bring: BERT models with one output, as sentence-transformers' `CrossEncoder` loads them
//! (ms-marco-MiniLM and its like). Pairs are read one at a time, as in [`super::thread`], by as many
//! sessions as there are threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use ort::session::Session;
use ort::value::Tensor;
use tokenizers::{PostProcessor, Tokenizer, TruncationDirection};

use super::onnx_runtime::{environment, session_builder};
use super::{EmbedError, ModelFolder, ModelSettings, onnx};

/// Scores pairs of a question and a passage.
#[derive(Debug)]
pub struct CrossEncoder {
    tokenizer: Tokenizer,
    /// Of a pair, with the special tokens.
    max_tokens: usize,
    sessions: Vec<Mutex<Session>>,
}

/// The tokens of a pair, and which text each is of.
struct Pair {
    ids: Vec<i64>,
    segments: Vec<i64>,
}

impl CrossEncoder {
    /// Reads `settings.dir` and runs as many pairs at a time as `settings.threads`, in 32 bits. Blocks for some tenths
    /// of a second.
    ///
    /// # Errors
    /// When the folder isn't one we support, or the runtime isn't there; the message says what to do.
    pub fn load(settings: &ModelSettings) -> Result<Self, EmbedError> {
        let folder = ModelFolder::open_cross_encoder(&settings.dir)?;
        let path = folder.file("tokenizer.json");
        let mut tokenizer =
            Tokenizer::from_file(&path).map_err(|error| EmbedError::malformed(&path, error))?;
        tokenizer
            .with_truncation(None)
            .map_err(EmbedError::Tokenizer)?;
        tokenizer.with_padding(None);

        let environment = environment(&settings.onnx_runtime)?;
        let graph = onnx::cross_encoder(&folder)?;
        let session = || {
            session_builder(&environment, &folder)?
                .commit_from_memory(&graph)
                .map(Mutex::new)
        };
        let sessions = (0..settings.threads.max(1)).map(|_| session());
        Ok(Self {
            tokenizer,
            max_tokens: folder.max_tokens().into(),
            sessions: sessions
                .collect::<ort::Result<_>>()
                .map_err(EmbedError::runtime)?,
        })
    }

    /// The score of each passage, greater for better ones, as the model was trained to give it: no probability. None:
    /// not begun before `deadline`; passages are begun in their order.
    ///
    /// # Errors
    /// When the tokenizer or the runtime fails.
    pub fn scores(
        &self,
        question: &str,
        passages: &[&str],
        deadline: Instant,
    ) -> Result<Vec<Option<f32>>, EmbedError> {
        let next = AtomicUsize::new(0);
        let scores = Mutex::new(vec![None; passages.len()]);
        let work = |session: &Mutex<Session>| {
            let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
            while Instant::now() < deadline {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(passage) = passages.get(place) else {
                    break;
                };
                let pair = self.pair(question, passage)?;
                let score = run(&mut session, pair).map_err(EmbedError::runtime)?;
                scores.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(score);
            }
            Ok(())
        };
        thread::scope(|scope| {
            let others: Vec<_> = self.sessions[1..]
                .iter()
                .map(|session| scope.spawn(|| work(session)))
                .collect();
            let first = work(&self.sessions[0]);
            others.into_iter().fold(first, |result, thread| {
                result.and(thread.join().unwrap_or(Err(EmbedError::ThreadEnded)))
            })
        })?;
        Ok(scores.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tokens as the model was trained on them. A pair that is too long loses the passage's end, and a question of
    /// more than half the room its own.
    fn pair(&self, question: &str, passage: &str) -> Result<Pair, EmbedError> {
        let encode = |text: &str| {
            self.tokenizer
                .encode_fast(text, false)
                .map_err(EmbedError::Tokenizer)
        };
        let (mut question, mut passage) = (encode(question)?, encode(passage)?);
        let special_tokens = self
            .tokenizer
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(true));
        let room = self.max_tokens.saturating_sub(special_tokens);
        question.truncate(room / 2, 0, TruncationDirection::Right);
        passage.truncate(room - question.len(), 0, TruncationDirection::Right);
        let pair = self
            .tokenizer
            .post_process(question, Some(passage), true)
            .map_err(EmbedError::Tokenizer)?;
        let wide = |numbers: &[u32]| numbers.iter().copied().map(i64::from).collect();
        Ok(Pair {
            ids: wide(pair.get_ids()),
            segments: wide(pair.get_type_ids()),
        })
    }
}

/// Runs one pair through the graph of [`onnx::cross_encoder`].
fn run(session: &mut Session, pair: Pair) -> ort::Result<f32> {
    let tensor = |numbers: Vec<i64>| Tensor::from_array(([1, numbers.len()], numbers));
    let outputs = session.run(ort::inputs![
        onnx::TOKEN_IDS => tensor(pair.ids)?,
        onnx::SEGMENTS => tensor(pair.segments)?,
    ])?;
    let (_, scores) = outputs[onnx::SCORES].try_extract_tensor::<f32>()?;
    Ok(scores.first().copied().unwrap_or_default())
}
