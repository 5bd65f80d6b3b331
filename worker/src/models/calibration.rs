//! What a similarity is worth, whatever the model.
//!
//! Cosines of texts that have nothing to do with each other are about 0 for all-MiniLM-L6-v2, but about 0.75 for models
//! that were trained at a low temperature, as those of the E5 family: "these models' cosines are distributed around 0.7
//! to 1.0" (FAQ of multilingual-e5). A threshold in cosines would mean nothing for the next model, so thresholds are
//! in similarities that are 0 for unrelated texts and 1 for equal ones.

use super::EmbedderHandle;

/// Questions, and passages of which none has to do with any of them, of several fields and languages.
pub(super) const QUESTIONS: [&str; 4] = [
    "How long may the pump run dry?",
    "When was the cathedral in Seville finished?",
    "Wie hoch ist das Kilometergeld bei Dienstreisen?",
    "¿Qué vitaminas tiene la zanahoria?",
];
pub(super) const PASSAGES: [&str; 4] = [
    "The goalkeeper saved two penalties before the match was decided in extra time.",
    "Photons scattered by free electrons lose energy and change their wavelength.",
    "Die Katze schlief den ganzen Nachmittag auf der warmen Fensterbank.",
    "El cometa volverá a ser visible desde la Tierra dentro de setenta y seis años.",
];

/// The mean cosine of such pairs by all-MiniLM-L6-v2, with whose cosines the thresholds were chosen: they stay as they
/// are for models that have it.
const UNRELATED: f32 = 0.0944;

/// What a cosine must be more than to say anything: 0 for all-MiniLM-L6-v2, and about 0.7 for the E5 family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Floor(pub(super) f32);

impl Floor {
    pub(super) fn of(questions: &[Vec<f32>], passages: &[Vec<f32>]) -> Self {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        let pairs = questions
            .iter()
            .flat_map(|question| passages.iter().map(|passage| dot(question, passage)));
        let (count, sum) = pairs.fold((0_u16, 0.0), |(count, sum), cosine| {
            (count + 1, sum + cosine)
        });
        let mean = sum / f32::from(count.max(1));
        // A model for which everything is alike would leave nothing to divide by.
        Self(((mean - UNRELATED) / (1.0 - UNRELATED)).clamp(0.0, 0.95))
    }

    pub(super) fn calibrated(self, cosine: f32) -> f32 {
        (cosine - self.0) / (1.0 - self.0)
    }

    pub(super) fn cosine(self, calibrated: f64) -> f64 {
        let floor = f64::from(self.0);
        floor + calibrated * (1.0 - floor)
    }
}

impl EmbedderHandle {
    /// What a cosine similarity of this model's vectors is worth: 0 between texts that have nothing to do with each
    /// other (below 0 if they have even less), 1 between equal ones. Thresholds are set in these numbers.
    pub fn calibrated(&self, similarity: f32) -> f32 {
        self.floor.calibrated(similarity)
    }

    /// The cosine similarity that is worth so much: the other way round.
    pub fn cosine(&self, calibrated: f64) -> f64 {
        self.floor.cosine(calibrated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unrelated_texts_come_to_nothing_and_equal_ones_to_one() {
        let passages = [vec![0.82832, 0.0], vec![0.62832, 0.0]];
        let floor = Floor::of(&[vec![1.0, 0.0]], &passages);
        assert!((floor.0 - 0.7).abs() < 1e-6);
        assert!(floor.calibrated(0.7).abs() < 1e-6);
        assert!((floor.calibrated(1.0) - 1.0).abs() < 1e-6);
        assert!((floor.calibrated(0.85) - 0.5).abs() < 1e-6);
        assert!((floor.cosine(0.5) - 0.85).abs() < 1e-6);
    }

    #[test]
    fn cosines_of_the_model_that_thresholds_were_chosen_with_stay_as_they_are() {
        let floor = Floor::of(&[vec![1.0, 0.0]], &[vec![UNRELATED, 0.0]]);
        assert_eq!(floor.calibrated(0.25).to_bits(), 0.25_f32.to_bits());
    }

    #[test]
    fn a_model_whose_unrelated_texts_point_away_from_each_other_keeps_its_cosines() {
        let floor = Floor::of(&[vec![1.0, 0.0]], &[vec![-1.0, 0.0]]);
        assert_eq!(floor.calibrated(0.25).to_bits(), 0.25_f32.to_bits());
    }
}
