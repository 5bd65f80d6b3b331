//! The texts that wait for the model, and which goes next.

use std::collections::VecDeque;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{EmbedError, Embedded};

/// One text on its way through the model.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) text: String,
    pub(super) lane: Lane,
    /// Whether the vectors of its tokens are wanted, too.
    pub(super) with_tokens: bool,
    /// Closed when the caller has left.
    pub(super) reply: oneshot::Sender<Result<Embedded, EmbedError>>,
    /// The sequence's place in the inbox, free again once it is answered or skipped.
    pub(super) _place: OwnedSemaphorePermit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Somebody waits for an answer, and has seen nothing of it yet.
    Question,
    /// A sentence that may become a part of an answer whose sources are shown already.
    Sentence,
    /// A document is being ingested.
    Passage,
}

/// The lanes, each in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    questions: VecDeque<Sequence>,
    sentences: VecDeque<Sequence>,
    passages: VecDeque<Sequence>,
}

impl Waiting {
    pub(super) fn add(&mut self, sequence: Sequence) {
        match sequence.lane {
            Lane::Question => self.questions.push_back(sequence),
            Lane::Sentence => self.sentences.push_back(sequence),
            Lane::Passage => self.passages.push_back(sequence),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.questions.len() + self.sentences.len() + self.passages.len()
    }

    /// The oldest question; if there is none the oldest sentence, and then the oldest passage. Those whose callers have
    /// left are dropped on the way.
    pub(super) fn take(&mut self) -> Option<Sequence> {
        loop {
            let next = self
                .questions
                .pop_front()
                .or_else(|| self.sentences.pop_front())
                .or_else(|| self.passages.pop_front())?;
            if !next.reply.is_closed() {
                return Some(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    type Reply = oneshot::Receiver<Result<Embedded, EmbedError>>;

    fn sequence(lane: Lane, text: &str) -> (Sequence, Reply) {
        let (reply, receiver) = oneshot::channel();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        (
            Sequence {
                text: text.to_owned(),
                lane,
                with_tokens: false,
                reply,
                _place: place,
            },
            receiver,
        )
    }

    fn waiting(passages: &[&str], questions: &[&str]) -> (Waiting, Vec<Reply>) {
        let mut waiting = Waiting::default();
        let passages = passages.iter().map(|text| sequence(Lane::Passage, text));
        let questions = questions.iter().map(|text| sequence(Lane::Question, text));
        let replies = passages.chain(questions).map(|(sequence, reply)| {
            waiting.add(sequence);
            reply
        });
        let replies = replies.collect();
        (waiting, replies)
    }

    fn taken(waiting: &mut Waiting) -> Vec<String> {
        std::iter::from_fn(|| waiting.take())
            .map(|sequence| sequence.text)
            .collect()
    }

    #[test]
    fn questions_go_first_each_lane_in_order_of_arrival() {
        let (mut waiting, _replies) = waiting(&["first", "second"], &["one?", "two?"]);
        let (sentence, _reply) = sequence(Lane::Sentence, "a sentence");
        waiting.add(sentence);
        assert_eq!(waiting.len(), 5);
        let order = ["one?", "two?", "a sentence", "first", "second"];
        assert_eq!(taken(&mut waiting), order);
        assert_eq!(waiting.len(), 0);
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let (mut waiting, mut replies) = waiting(&["stays", "leaves"], &["leaves?"]);
        replies.truncate(1);
        assert_eq!(taken(&mut waiting), ["stays"]);
    }
}
