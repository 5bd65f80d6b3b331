//! How fast a stage goes: its units per second, of late.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What lies further back counts no more: the first pages of a book say little about its last ones.
const WINDOW: Duration = Duration::from_secs(30);

/// Two counts that follow each other more closely are as good as one; so the window stays small.
const STEP: Duration = Duration::from_millis(200);

/// What was done by when, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    counts: VecDeque<(Instant, u32)>,
}

impl Pace {
    /// Begins with a stage that has done nothing.
    pub(crate) fn start(at: Instant) -> Self {
        Self {
            counts: VecDeque::from([(at, 0)]),
        }
    }

    /// Notes how much is done, and tells the units per second. `None`: nothing is done yet.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a rate needs no more digits than an f32 has"
    )]
    pub(crate) fn note(&mut self, at: Instant, done: u32) -> Option<f32> {
        // One count from before the window stays, so that slow stages have a rate, too.
        while self
            .counts
            .get(1)
            .is_some_and(|(then, _)| at.duration_since(*then) >= WINDOW)
        {
            self.counts.pop_front();
        }
        let rate = self.counts.front().and_then(|(then, before)| {
            let seconds = at.duration_since(*then).as_secs_f64();
            let units = done.checked_sub(*before).filter(|units| *units > 0)?;
            (seconds > 0.0).then(|| (f64::from(units) / seconds) as f32)
        });
        if self
            .counts
            .back()
            .is_none_or(|(then, _)| at.duration_since(*then) >= STEP)
        {
            self.counts.push_back((at, done));
        }
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_half_minute() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut pace = Pace::start(began);
        assert_eq!(pace.note(began, 0), None);
        assert_eq!(pace.note(at(10), 10), Some(1.0));
        assert_eq!(pace.note(at(20), 20), Some(1.0));
        assert_eq!(pace.note(at(40), 120), Some(110.0 / 30.0));
        assert_eq!(pace.note(at(50), 220), Some(200.0 / 30.0));
        assert_eq!(pace.note(at(300), 220), None, "it stands still");
        assert_eq!(pace.note(at(320), 230), Some(10.0 / 270.0));
    }

    #[test]
    fn a_window_full_of_counts_stays_small() {
        let began = Instant::now();
        let mut pace = Pace::start(began);
        for count in 0..100_000 {
            pace.note(began + Duration::from_millis(u64::from(count)), count);
        }
        assert!(pace.counts.len() <= 152, "{}", pace.counts.len());
    }
}
