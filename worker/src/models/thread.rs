//! The model on a thread of its own, behind an inbox that async code can wait for.
//!
//! A run of the model blocks for up to a quarter of a second, which a runtime thread must not. All
//! callers share one model: their passages are pooled and batched by length, and questions go
//! before all passages, so that a question waits for the batch that is running and for no more,
//! however much is being ingested.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use lectern_shared::metrics::{EMBEDDING_BATCH, EMBEDDING_DURATION, EMBEDDING_INBOX};
use metrics::{gauge, histogram};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::waiting::{Lane, Sequence, Waiting};
use super::{EmbedError, Embedder, ModelIdentity, ModelSettings, load};

/// Embeds texts on the model's thread; clones share the thread, which ends when the last one is
/// dropped.
///
/// Dropping a call's future takes its texts out of the inbox.
#[derive(Debug, Clone)]
pub struct EmbedderHandle {
    identity: Arc<ModelIdentity>,
    /// Not bounded by itself: each sequence holds a place of its lane.
    inbox: mpsc::UnboundedSender<Sequence>,
    /// Lanes have places of their own, so that passages can't fill up the inbox before a question.
    question_places: Arc<Semaphore>,
    passage_places: Arc<Semaphore>,
}

impl EmbedderHandle {
    /// Starts the thread and loads the model on it; returns when it is ready.
    ///
    /// Of each lane, at most `inbox_sequences_max` texts wait or run at a time; further calls wait
    /// for a place. A batch has at most `batch_sequences_max` texts: 8 is as fast as any, and what
    /// a question may have to wait for.
    ///
    /// # Errors
    /// Those of [`load`].
    pub async fn spawn(
        settings: ModelSettings,
        inbox_sequences_max: usize,
        batch_sequences_max: usize,
    ) -> Result<Self, EmbedError> {
        Self::spawn_with(
            move || load(&settings),
            inbox_sequences_max,
            batch_sequences_max,
        )
        .await
    }

    async fn spawn_with(
        load: impl FnOnce() -> Result<Box<dyn Embedder>, EmbedError> + Send + 'static,
        inbox_sequences_max: usize,
        batch_sequences_max: usize,
    ) -> Result<Self, EmbedError> {
        let (inbox, receiver) = mpsc::unbounded_channel();
        let (loaded, identity) = oneshot::channel();
        let main = move || match catch_panic(load) {
            Ok(embedder) => {
                // The caller may have given up meanwhile; then the inbox is closed as well and the
                // thread ends.
                let _ = loaded.send(Ok(embedder.identity().clone()));
                serve(embedder, receiver, batch_sequences_max.max(1));
            }
            Err(error) => {
                let _ = loaded.send(Err(error));
            }
        };
        thread::Builder::new()
            .name("embedder".to_owned())
            .spawn(main)
            .map_err(EmbedError::runtime)?;
        let identity = identity.await.map_err(|_| EmbedError::ThreadEnded)??;
        let places = || Arc::new(Semaphore::new(inbox_sequences_max.max(1)));
        Ok(Self {
            identity: Arc::new(identity),
            inbox,
            question_places: places(),
            passage_places: places(),
        })
    }

    pub fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    /// The vector of a question, which goes before all passages.
    ///
    /// # Errors
    /// When the model fails on the batch or its thread has ended.
    pub async fn embed_question(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let reply = self.send(Lane::Question, text.to_owned()).await?;
        reply.await.map_err(|_| EmbedError::ThreadEnded)?
    }

    /// The vectors of passages, in their order; any number of them, since each waits for a place of
    /// its own.
    ///
    /// # Errors
    /// When the model fails on a batch with one of them or its thread has ended. The others'
    /// vectors are lost then.
    pub async fn embed_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut replies = Vec::with_capacity(texts.len());
        for text in texts {
            replies.push(self.send(Lane::Passage, text).await?);
        }
        let mut vectors = Vec::with_capacity(replies.len());
        for reply in replies {
            vectors.push(reply.await.map_err(|_| EmbedError::ThreadEnded)??);
        }
        Ok(vectors)
    }

    /// Puts a text into the inbox once there is a place.
    async fn send(
        &self,
        lane: Lane,
        text: String,
    ) -> Result<oneshot::Receiver<Result<Vec<f32>, EmbedError>>, EmbedError> {
        let places = match lane {
            Lane::Question => &self.question_places,
            Lane::Passage => &self.passage_places,
        };
        let place = places
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| EmbedError::ThreadEnded)?;
        let (reply, receiver) = oneshot::channel();
        let sequence = Sequence {
            text,
            lane,
            reply,
            _place: place,
        };
        self.inbox
            .send(sequence)
            .map_err(|_| EmbedError::ThreadEnded)?;
        Ok(receiver)
    }
}

/// The thread's loop, until the last handle is gone.
fn serve(
    mut embedder: Box<dyn Embedder>,
    mut inbox: mpsc::UnboundedReceiver<Sequence>,
    batch_sequences_max: usize,
) {
    let mut waiting = Waiting::default();
    while let Some(first) = inbox.blocking_recv() {
        waiting.add(first);
        while !waiting.is_empty() {
            // All that has come in meanwhile: a question among it goes next, and lengths are chosen
            // from among all.
            while let Ok(sequence) = inbox.try_recv() {
                waiting.add(sequence);
            }
            waiting.forget_abandoned();
            let batch = waiting.take_batch(batch_sequences_max);
            gauge!(EMBEDDING_INBOX).set(waiting.len() as f64);
            if !batch.is_empty() {
                embed(embedder.as_mut(), batch);
            }
        }
    }
}

/// Embeds a batch and answers its callers.
fn embed(embedder: &mut dyn Embedder, batch: Vec<Sequence>) {
    let texts: Vec<&str> = batch
        .iter()
        .map(|sequence| sequence.text.as_str())
        .collect();
    let started = Instant::now();
    let result = catch_panic(|| embedder.embed(&texts));
    histogram!(EMBEDDING_BATCH).record(batch.len() as f64);
    histogram!(EMBEDDING_DURATION).record(started.elapsed());

    // A reply that can't be delivered is that of a caller who has left.
    match result {
        Ok(vectors) => {
            for (sequence, vector) in batch.into_iter().zip(vectors) {
                let _ = sequence.reply.send(Ok(vector));
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for sequence in batch {
                let _ = sequence.reply.send(Err(EmbedError::Batch(error.clone())));
            }
        }
    }
}

/// Makes a panic of the runtime an error of the work that it struck: the thread serves others too.
///
/// What the runtime may leave half done are its own buffers, which each batch writes anew.
fn catch_panic<T>(work: impl FnOnce() -> Result<T, EmbedError>) -> Result<T, EmbedError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| {
                panic
                    .downcast_ref::<&str>()
                    .map(|message| (*message).to_owned())
            })
            .unwrap_or_default();
        Err(EmbedError::Panicked { message })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Gives each text its length as its vector, and stops before each batch until the test lets it
    /// go on.
    struct Stepping {
        identity: ModelIdentity,
        begun: mpsc::UnboundedSender<Vec<String>>,
        go_on: Receiver<()>,
    }

    impl Embedder for Stepping {
        fn identity(&self) -> &ModelIdentity {
            &self.identity
        }

        fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
            let mut batch: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            batch.sort();
            self.begun.send(batch).unwrap();
            self.go_on.recv().unwrap();
            assert!(!texts.contains(&"panic"), "told to panic");
            Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
        }
    }

    struct Bench {
        embedder: EmbedderHandle,
        begun: mpsc::UnboundedReceiver<Vec<String>>,
        go_on: Sender<()>,
    }

    impl Bench {
        async fn start(inbox_sequences_max: usize, batch_sequences_max: usize) -> Self {
            let (begun_sender, begun) = mpsc::unbounded_channel();
            let (go_on, go_on_receiver) = channel();
            let identity = ModelIdentity {
                name: "stepping".to_owned(),
                revision: String::new(),
                dimensions: 1,
                pooling: "mean".to_owned(),
                quantization: "fp32".to_owned(),
                max_tokens: 256,
            };
            let load = || -> Result<Box<dyn Embedder>, EmbedError> {
                Ok(Box::new(Stepping {
                    identity,
                    begun: begun_sender,
                    go_on: go_on_receiver,
                }))
            };
            let embedder =
                EmbedderHandle::spawn_with(load, inbox_sequences_max, batch_sequences_max)
                    .await
                    .unwrap();
            Self {
                embedder,
                begun,
                go_on,
            }
        }

        fn passages(
            &self,
            texts: &[&str],
        ) -> tokio::task::JoinHandle<Result<Vec<Vec<f32>>, EmbedError>> {
            let (embedder, texts) = (
                self.embedder.clone(),
                texts.iter().map(|&text| text.to_owned()).collect(),
            );
            tokio::spawn(async move { embedder.embed_passages(texts).await })
        }

        /// The texts of the batch that has begun, sorted; it waits until `finish`.
        async fn begun(&mut self) -> Vec<String> {
            self.begun.recv().await.unwrap()
        }

        fn finish(&self) {
            self.go_on.send(()).unwrap();
        }

        /// Waits until all places of passages are taken but this many.
        async fn until_places_left(&self, count: usize) {
            while self.embedder.passage_places.available_permits() != count {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn a_question_waits_for_the_running_batch_only() {
        let mut bench = Bench::start(64, 2).await;
        let bulk = bench.passages(&["aa", "bb", "cc", "dd", "ee", "ff"]);
        bench.until_places_left(58).await;
        bench.begun().await;

        let embedder = bench.embedder.clone();
        let question = tokio::spawn(async move { embedder.embed_question("why?").await });
        while bench.embedder.question_places.available_permits() == 64 {
            tokio::task::yield_now().await;
        }
        bench.finish();
        assert_eq!(bench.begun().await, ["why?"]);
        bench.finish();
        assert_eq!(question.await.unwrap().unwrap(), [4.0]);
        assert!(!bulk.is_finished());
    }

    #[tokio::test]
    async fn passages_of_several_callers_share_batches_by_length_and_keep_their_order() {
        let mut bench = Bench::start(64, 2).await;
        let first = bench.passages(&["x"]);
        bench.begun().await; // holds the model while the others come in
        let one = bench.passages(&["aaaaaaaaaaaaaaa", "bbb"]);
        bench.until_places_left(61).await;
        let other = bench.passages(&["cccc", "dddddddddddddddd"]);
        bench.until_places_left(59).await;
        bench.finish();
        assert_eq!(bench.begun().await, ["aaaaaaaaaaaaaaa", "dddddddddddddddd"]);
        bench.finish();
        assert_eq!(bench.begun().await, ["bbb", "cccc"]);
        bench.finish();
        assert_eq!(one.await.unwrap().unwrap(), [[15.0], [3.0]]);
        assert_eq!(other.await.unwrap().unwrap(), [[4.0], [16.0]]);
        assert_eq!(first.await.unwrap().unwrap(), [[1.0]]);
    }

    #[tokio::test]
    async fn texts_whose_caller_has_left_are_not_embedded() {
        let mut bench = Bench::start(64, 2).await;
        let _running = bench.passages(&["x"]);
        bench.begun().await;
        let leaver = bench.passages(&["aa", "bb", "cc"]);
        bench.until_places_left(60).await;
        leaver.abort();
        assert!(leaver.await.unwrap_err().is_cancelled());
        let stayer = bench.passages(&["dd"]);
        bench.until_places_left(59).await;
        bench.finish();
        assert_eq!(bench.begun().await, ["dd"]);
        bench.finish();
        assert_eq!(stayer.await.unwrap().unwrap(), [[2.0]]);
        bench.until_places_left(64).await;
    }

    #[tokio::test]
    async fn no_more_texts_wait_than_there_are_places() {
        let mut bench = Bench::start(3, 8).await;
        let passages = bench.passages(&["a", "b", "c", "d", "e"]);
        let mut embedded = 0;
        while embedded < 5 {
            let batch = bench.begun().await;
            assert!(batch.len() <= 3, "{batch:?}");
            embedded += batch.len();
            bench.finish();
        }
        assert_eq!(passages.await.unwrap().unwrap().len(), 5);
    }

    #[tokio::test]
    async fn a_panic_fails_its_batch_and_the_next_one_is_embedded() {
        let mut bench = Bench::start(64, 8).await;
        let passages = bench.passages(&["panic"]);
        bench.begun().await;
        bench.finish();
        let EmbedError::Batch(cause) = passages.await.unwrap().unwrap_err() else {
            panic!("another error")
        };
        assert!(cause.to_string().contains("told to panic"), "{cause}");

        let passages = bench.passages(&["fine"]);
        bench.begun().await;
        bench.finish();
        assert_eq!(passages.await.unwrap().unwrap(), [[4.0]]);
    }

    #[tokio::test]
    async fn a_panic_while_loading_is_an_error_of_spawn() {
        let result = EmbedderHandle::spawn_with(|| panic!("no library"), 8, 8).await;
        assert!(matches!(result, Err(EmbedError::Panicked { message }) if message == "no library"));
    }
}
