//! The model on threads of its own, behind an inbox that async code can wait for.
//!
//! A run of the model blocks for some tens of milliseconds, which a runtime thread must not. Each thread has a session
//! of its own and takes one text at a time from the inbox that all callers share. Texts aren't batched: on a processor
//! a batch gains nothing over one text of ordinary length, it is computed to the length of its longest, and the
//! runtime's quick attention takes no padding. Several threads with a text each beat several threads that share one.
//! And a question goes before all passages, so that it waits for the passage that is running and for no more, however
//! much is being ingested.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use lectern_shared::metrics::{EMBEDDING_DURATION, EMBEDDING_INBOX};
use metrics::{gauge, histogram};
use tokio::sync::{Semaphore, oneshot};

use super::calibration::{self, Floor};
use super::waiting::{Lane, Sequence, Waiting};
use super::{
    EmbedError, Embedded, Embedder, ModelIdentity, ModelSettings, Opened, Prefixes, TokenCounter,
};

/// Embeds texts on the model's threads; clones share them, and they end when the last one is dropped.
///
/// Dropping a call's future takes its texts out of the inbox.
#[derive(Debug, Clone)]
pub struct EmbedderHandle {
    identity: Arc<ModelIdentity>,
    prefixes: Arc<Prefixes>,
    pub(super) floor: Floor,
    inbox: Arc<OpenInbox>,
    /// Lanes have places of their own, so that passages can't fill up the inbox before a question.
    question_places: Arc<Semaphore>,
    sentence_places: Arc<Semaphore>,
    passage_places: Arc<Semaphore>,
}

/// The callers' end of the inbox, which closes with the last of them.
#[derive(Debug)]
struct OpenInbox(Arc<Inbox>);

impl Drop for OpenInbox {
    fn drop(&mut self) {
        self.0.state().is_closed = true;
        self.0.changed.notify_all();
    }
}

/// What callers and the model's threads share.
#[derive(Debug, Default)]
struct Inbox {
    state: Mutex<InboxState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct InboxState {
    /// Not bounded by itself: each sequence holds a place of its lane.
    waiting: Waiting,
    is_closed: bool,
}

impl Inbox {
    /// Nothing panics while it holds the lock, and a queue is sound after each of its steps.
    fn state(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, sequence: Sequence) {
        self.state().waiting.add(sequence);
        self.changed.notify_one();
    }

    /// Waits for the next text; none when the last caller is gone.
    fn take(&self) -> Option<Sequence> {
        let mut state = self.state();
        loop {
            let next = state.waiting.take();
            gauge!(EMBEDDING_INBOX).set(state.waiting.len() as f64);
            if next.is_some() || state.is_closed {
                return next;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl EmbedderHandle {
    /// Starts `settings.threads` threads and loads the model on each; returns when all are ready.
    ///
    /// Of each lane, at most `inbox_sequences_max` texts wait or run at a time; further calls wait for a place.
    ///
    /// # Errors
    /// Those of [`load`](super::load).
    pub async fn spawn(
        settings: ModelSettings,
        inbox_sequences_max: usize,
    ) -> Result<Self, EmbedError> {
        let (handle, _) = Self::spawn_with_tokens(settings, inbox_sequences_max).await?;
        Ok(handle)
    }

    /// The same, and the model's tokenizer, which is in memory once.
    ///
    /// # Errors
    /// Those of [`load`](super::load).
    pub async fn spawn_with_tokens(
        settings: ModelSettings,
        inbox_sequences_max: usize,
    ) -> Result<(Self, TokenCounter), EmbedError> {
        let threads = settings.threads;
        let open = move || Opened::open(&settings).map(|opened| (opened, settings));
        let (opened, settings) = tokio::task::spawn_blocking(open)
            .await
            .map_err(EmbedError::runtime)??;
        let (prefixes, tokens) = (opened.folder.prefixes().clone(), opened.tokens.clone());
        let load = move || opened.embedder(&settings);
        let mut handle = Self::spawn_with(load, threads, inbox_sequences_max).await?;
        handle.prefixes = Arc::new(prefixes);
        handle.calibrate().await?;
        Ok((handle, tokens))
    }

    /// Some tens of milliseconds.
    async fn calibrate(&mut self) -> Result<(), EmbedError> {
        let texts = |texts: [&str; 4]| texts.map(str::to_owned).to_vec();
        let passages = self.embed_passages(texts(calibration::PASSAGES)).await?;
        let mut questions = Vec::new();
        for question in calibration::QUESTIONS {
            questions.push(self.embed_question(question).await?);
        }
        self.floor = Floor::of(&questions, &passages);
        Ok(())
    }

    async fn spawn_with(
        load: impl Fn() -> Result<Box<dyn Embedder>, EmbedError> + Send + Sync + 'static,
        threads: usize,
        inbox_sequences_max: usize,
    ) -> Result<Self, EmbedError> {
        let inbox = Arc::new(Inbox::default());
        // Closes the inbox on the way out if a thread fails, and so ends the others.
        let open = Arc::new(OpenInbox(inbox.clone()));
        let load = Arc::new(load);
        let mut loading = Vec::new();
        for number in 0..threads.max(1) {
            let (loaded, identity) = oneshot::channel();
            let (inbox, load) = (inbox.clone(), load.clone());
            let main = move || match catch_panic(|| load()) {
                Ok(embedder) => {
                    // The caller may have given up meanwhile; then the inbox is closed and the thread ends.
                    let _ = loaded.send(Ok(embedder.identity().clone()));
                    serve(embedder, &inbox);
                }
                Err(error) => {
                    let _ = loaded.send(Err(error));
                }
            };
            thread::Builder::new()
                .name(format!("embedder-{number}"))
                .spawn(main)
                .map_err(EmbedError::runtime)?;
            loading.push(identity);
        }
        let mut identity = None;
        for loaded in loading {
            identity = Some(loaded.await.map_err(|_| EmbedError::ThreadEnded)??);
        }
        let places = || Arc::new(Semaphore::new(inbox_sequences_max.max(1)));
        Ok(Self {
            identity: Arc::new(identity.ok_or(EmbedError::ThreadEnded)?),
            prefixes: Arc::default(),
            floor: Floor(0.0),
            inbox: open,
            question_places: places(),
            sentence_places: places(),
            passage_places: places(),
        })
    }

    pub fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    /// The vector of a question, which goes before all passages.
    ///
    /// # Errors
    /// When the model fails on it or its threads have ended.
    pub async fn embed_question(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let text = self.prefixes.of_question(text.to_owned());
        let reply = self.send(Lane::Question, text, false).await?;
        let embedded = reply.await.map_err(|_| EmbedError::ThreadEnded)??;
        Ok(embedded.vector)
    }

    /// The same, and the vectors of its tokens.
    ///
    /// # Errors
    /// As [`embed_question`](Self::embed_question).
    pub async fn embed_question_tokens(&self, text: &str) -> Result<Embedded, EmbedError> {
        let text = self.prefixes.of_question(text.to_owned());
        let reply = self.send(Lane::Question, text, true).await?;
        reply.await.map_err(|_| EmbedError::ThreadEnded)?
    }

    /// The vector of a sentence to be compared with a question, as if it were one. It goes before all passages and
    /// after all questions: who has asked waits for sources, and only then for what is written of them.
    ///
    /// # Errors
    /// As [`embed_question`](Self::embed_question).
    pub async fn embed_sentence(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let text = self.prefixes.of_question(text.to_owned());
        let reply = self.send(Lane::Sentence, text, false).await?;
        let embedded = reply.await.map_err(|_| EmbedError::ThreadEnded)??;
        Ok(embedded.vector)
    }

    /// The vectors of passages, in their order; any number of them, since each waits for a place of
    /// its own.
    ///
    /// # Errors
    /// When the model fails on one of them or its threads have ended. The others' vectors are lost then.
    pub async fn embed_passages(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut replies = Vec::with_capacity(texts.len());
        for text in texts {
            let text = self.prefixes.of_passage(text);
            replies.push(self.send(Lane::Passage, text, false).await?);
        }
        let mut vectors = Vec::with_capacity(replies.len());
        for reply in replies {
            let embedded = reply.await.map_err(|_| EmbedError::ThreadEnded)??;
            vectors.push(embedded.vector);
        }
        Ok(vectors)
    }

    /// The same, each with the vectors of its tokens.
    ///
    /// # Errors
    /// As [`embed_passages`](Self::embed_passages).
    pub async fn embed_passages_tokens(
        &self,
        texts: Vec<String>,
    ) -> Result<Vec<Embedded>, EmbedError> {
        let mut replies = Vec::with_capacity(texts.len());
        for text in texts {
            let text = self.prefixes.of_passage(text);
            replies.push(self.send(Lane::Passage, text, true).await?);
        }
        let mut passages = Vec::with_capacity(replies.len());
        for reply in replies {
            passages.push(reply.await.map_err(|_| EmbedError::ThreadEnded)??);
        }
        Ok(passages)
    }

    /// Puts a text into the inbox once there is a place.
    async fn send(
        &self,
        lane: Lane,
        text: String,
        with_tokens: bool,
    ) -> Result<oneshot::Receiver<Result<Embedded, EmbedError>>, EmbedError> {
        let places = match lane {
            Lane::Question => &self.question_places,
            Lane::Sentence => &self.sentence_places,
            Lane::Passage => &self.passage_places,
        };
        let place = places
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| EmbedError::ThreadEnded)?;
        let (reply, receiver) = oneshot::channel();
        self.inbox.0.add(Sequence {
            text,
            lane,
            with_tokens,
            reply,
            _place: place,
        });
        Ok(receiver)
    }
}

/// A thread's loop, until the last handle is gone.
fn serve(mut embedder: Box<dyn Embedder>, inbox: &Inbox) {
    while let Some(sequence) = inbox.take() {
        let started = Instant::now();
        let result = catch_panic(|| {
            if sequence.with_tokens {
                return embedder.embed_tokens(&sequence.text);
            }
            let vector = embedder.embed(&sequence.text)?;
            Ok(Embedded {
                vector,
                tokens: None,
            })
        });
        histogram!(EMBEDDING_DURATION).record(started.elapsed());
        // A reply that can't be delivered is that of a caller who has left.
        let _ = sequence.reply.send(result);
    }
}

/// Makes a panic of the runtime an error of the work that it struck: the thread serves others too.
///
/// What the runtime may leave half done are its own buffers, which each text writes anew.
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

    use tokio::sync::mpsc;

    use super::*;

    /// Gives each text its length as its vector, and stops before each until the test lets it go on.
    struct Stepping {
        identity: ModelIdentity,
        begun: mpsc::UnboundedSender<String>,
        go_on: Arc<Mutex<Receiver<()>>>,
    }

    impl Embedder for Stepping {
        fn identity(&self) -> &ModelIdentity {
            &self.identity
        }

        fn embed(&mut self, text: &str) -> Result<Vec<f32>, EmbedError> {
            self.begun.send(text.to_owned()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap();
            assert_ne!(text, "panic", "told to panic");
            Ok(vec![text.len() as f32])
        }
    }

    struct Bench {
        embedder: EmbedderHandle,
        begun: mpsc::UnboundedReceiver<String>,
        go_on: Sender<()>,
    }

    impl Bench {
        async fn start(threads: usize, inbox_sequences_max: usize) -> Self {
            let (begun_sender, begun) = mpsc::unbounded_channel();
            let (go_on, go_on_receiver) = channel();
            let go_on_receiver = Arc::new(Mutex::new(go_on_receiver));
            let identity = ModelIdentity {
                name: "stepping".to_owned(),
                revision: String::new(),
                dimensions: 1,
                pooling: "mean".to_owned(),
                quantization: "fp32".to_owned(),
                max_tokens: 256,
            };
            let load = move || -> Result<Box<dyn Embedder>, EmbedError> {
                Ok(Box::new(Stepping {
                    identity: identity.clone(),
                    begun: begun_sender.clone(),
                    go_on: go_on_receiver.clone(),
                }))
            };
            let embedder = EmbedderHandle::spawn_with(load, threads, inbox_sequences_max)
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

        /// The text that has begun; it waits until `finish`.
        async fn begun(&mut self) -> String {
            self.begun.recv().await.unwrap()
        }

        fn finish(&self) {
            self.go_on.send(()).unwrap();
        }

        fn assert_waiting_at_most(&self, count: usize) {
            let waiting = self.embedder.inbox.0.state().waiting.len();
            assert!(waiting <= count, "{waiting} wait");
        }

        /// Waits until all places of passages are taken but this many.
        async fn until_places_left(&self, count: usize) {
            while self.embedder.passage_places.available_permits() != count {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn a_question_waits_for_the_running_passage_only() {
        let mut bench = Bench::start(1, 64).await;
        let bulk = bench.passages(&["aa", "bb", "cc"]);
        bench.until_places_left(61).await;
        assert_eq!(bench.begun().await, "aa");

        let embedder = bench.embedder.clone();
        let question = tokio::spawn(async move { embedder.embed_question("why?").await });
        while bench.embedder.question_places.available_permits() == 64 {
            tokio::task::yield_now().await;
        }
        bench.finish();
        assert_eq!(bench.begun().await, "why?");
        bench.finish();
        assert_eq!(question.await.unwrap().unwrap(), [4.0]);
        assert!(!bulk.is_finished());
    }

    #[tokio::test]
    async fn as_many_texts_run_at_once_as_there_are_threads() {
        let mut bench = Bench::start(2, 64).await;
        let one = bench.passages(&["a", "bb", "ccc"]);
        let mut begun = [bench.begun().await, bench.begun().await];
        begun.sort();
        assert_eq!(begun, ["a", "bb"]);
        assert!(bench.begun.try_recv().is_err(), "a third runs");
        bench.finish();
        assert_eq!(bench.begun().await, "ccc");
        bench.finish();
        bench.finish();
        assert_eq!(one.await.unwrap().unwrap(), [[1.0], [2.0], [3.0]]);
    }

    #[tokio::test]
    async fn texts_whose_caller_has_left_are_not_embedded() {
        let mut bench = Bench::start(1, 64).await;
        let _running = bench.passages(&["x"]);
        bench.begun().await;
        let leaver = bench.passages(&["aa", "bb", "cc"]);
        bench.until_places_left(60).await;
        leaver.abort();
        assert!(leaver.await.unwrap_err().is_cancelled());
        let stayer = bench.passages(&["dd"]);
        bench.until_places_left(59).await;
        bench.finish();
        assert_eq!(bench.begun().await, "dd");
        bench.finish();
        assert_eq!(stayer.await.unwrap().unwrap(), [[2.0]]);
        bench.until_places_left(64).await;
    }

    #[tokio::test]
    async fn no_more_texts_wait_than_there_are_places() {
        let mut bench = Bench::start(1, 3).await;
        let passages = bench.passages(&["a", "b", "c", "d", "e"]);
        for _ in 0..5 {
            bench.begun().await;
            bench.assert_waiting_at_most(2);
            bench.finish();
        }
        assert_eq!(passages.await.unwrap().unwrap().len(), 5);
    }

    #[tokio::test]
    async fn a_panic_fails_its_text_and_the_next_one_is_embedded() {
        let mut bench = Bench::start(1, 64).await;
        let passages = bench.passages(&["panic"]);
        bench.begun().await;
        bench.finish();
        let error = passages.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("told to panic"), "{error}");

        let passages = bench.passages(&["fine"]);
        bench.begun().await;
        bench.finish();
        assert_eq!(passages.await.unwrap().unwrap(), [[4.0]]);
    }

    #[tokio::test]
    async fn a_panic_while_loading_is_an_error_of_spawn() {
        let result = EmbedderHandle::spawn_with(|| panic!("no library"), 2, 8).await;
        assert!(matches!(result, Err(EmbedError::Panicked { message }) if message == "no library"));
    }

    #[tokio::test]
    async fn the_threads_end_with_the_last_handle() {
        let bench = Bench::start(2, 8).await;
        let inbox = Arc::downgrade(&bench.embedder.inbox.0);
        drop(bench);
        while inbox.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    }
}
