//! Times, and where their percentiles are.

use std::time::Duration;

#[derive(Default)]
pub(crate) struct Percentiles(Vec<f64>);

impl Percentiles {
    pub(crate) fn add(&mut self, time: Duration) {
        self.add_ms(time.as_secs_f64() * 1000.0);
    }

    pub(crate) fn add_ms(&mut self, milliseconds: f64) {
        let at = self.0.partition_point(|&other| other < milliseconds);
        self.0.insert(at, milliseconds);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// In milliseconds; `share` is from 0 to 1.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "thousands of them"
    )]
    pub(crate) fn at(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1) as f64;
        self.0
            .get((last * share).round() as usize)
            .copied()
            .unwrap_or(f64::NAN)
    }
}
