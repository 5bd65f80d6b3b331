//! The texts that wait for the model, and which of them go next.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::EmbedError;

/// One text on its way through the model.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) text: String,
    pub(super) lane: Lane,
    /// Closed when the caller has left.
    pub(super) reply: oneshot::Sender<Result<Vec<f32>, EmbedError>>,
    /// The sequence's place in the inbox, free again once it is answered or skipped.
    pub(super) _place: OwnedSemaphorePermit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Somebody waits for an answer on a page.
    Question,
    /// A document is being ingested.
    Passage,
}

/// Both lanes in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    questions: Vec<Sequence>,
    passages: Vec<Sequence>,
}

impl Waiting {
    pub(super) fn add(&mut self, sequence: Sequence) {
        match sequence.lane {
            Lane::Question => self.questions.push(sequence),
            Lane::Passage => self.passages.push(sequence),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.questions.len() + self.passages.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the sequences whose callers have left.
    pub(super) fn forget_abandoned(&mut self) {
        self.questions
            .retain(|sequence| !sequence.reply.is_closed());
        self.passages.retain(|sequence| !sequence.reply.is_closed());
    }

    /// The next batch: questions alone while there are any, else the oldest passage and those
    /// nearest to it in length, whoever sent them.
    ///
    /// Questions aren't filled up with passages: each row more would delay them. The oldest is
    /// always in, so that no length waits for ever.
    pub(super) fn take_batch(&mut self, sequences_max: usize) -> Vec<Sequence> {
        if !self.questions.is_empty() {
            let count = self.questions.len().min(sequences_max);
            return self.questions.drain(..count).collect();
        }
        let Some(oldest) = self.passages.first().map(|sequence| sequence.text.len()) else {
            return Vec::new();
        };
        // Bytes stand in for tokens: counting those here would keep questions waiting for work on
        // hundreds of passages.
        let mut nearest: Vec<usize> = (0..self.passages.len()).collect();
        nearest.sort_by_key(|&index| self.passages[index].text.len().abs_diff(oldest));
        nearest.truncate(sequences_max);
        // From the back, so that the indexes still to come stay right.
        nearest.sort_unstable_by(|left, right| right.cmp(left));
        nearest
            .into_iter()
            .map(|index| self.passages.remove(index))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    type Reply = oneshot::Receiver<Result<Vec<f32>, EmbedError>>;

    fn sequence(lane: Lane, text: &str) -> (Sequence, Reply) {
        let (reply, receiver) = oneshot::channel();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        (
            Sequence {
                text: text.to_owned(),
                lane,
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

    fn taken(waiting: &mut Waiting, sequences_max: usize) -> Vec<String> {
        let mut texts: Vec<_> = waiting
            .take_batch(sequences_max)
            .into_iter()
            .map(|sequence| sequence.text)
            .collect();
        texts.sort();
        texts
    }

    #[test]
    fn questions_go_first_and_alone() {
        let (mut waiting, _replies) = waiting(&["passage"], &["one?", "two?", "three?"]);
        assert_eq!(taken(&mut waiting, 2), ["one?", "two?"]);
        assert_eq!(taken(&mut waiting, 2), ["three?"]);
        assert_eq!(taken(&mut waiting, 2), ["passage"]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn the_oldest_passage_is_joined_by_those_of_like_length() {
        let (mut waiting, _replies) = waiting(&["aaaa", "b", "ccccccccc", "ddddd", "ee"], &[]);
        assert_eq!(taken(&mut waiting, 3), ["aaaa", "ddddd", "ee"]);
        assert_eq!(taken(&mut waiting, 3), ["b", "ccccccccc"]);
        assert!(taken(&mut waiting, 3).is_empty());
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let (mut waiting, mut replies) = waiting(&["stays", "leaves"], &["leaves?"]);
        replies.truncate(1);
        waiting.forget_abandoned();
        assert_eq!(taken(&mut waiting, 8), ["stays"]);
        assert!(waiting.is_empty());
    }
}
