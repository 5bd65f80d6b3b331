//! How likely it is that the passages answer the question.
//!
//! A logistic function of what can be seen of any list of passages, however it was ranked: cosines to the question, and
//! the share of its content words that the passages have. `make eval-confidence` fits and measures it through the
//! product's own search; its coefficients belong to one embedding model, since cosines of another mean something else.
//! For a model without any, the words alone decide.

use lectern_shared::store::{models::ModelIdentity, search::Passage};
use serde::{Deserialize, Serialize};

use super::sameness;

/// What the confidence is made of; all from 0 to 1, in practice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    /// The greatest cosine of a passage and the question.
    pub similarity_best: f32,
    /// The mean of the five greatest.
    pub similarity_mean: f32,
    /// The greatest share of the question's content words in one of the first five passages.
    pub coverage_best: f32,
    /// The share that all five have together.
    pub coverage_all: f32,
    /// The share that the passage with the greatest cosine has: where words and vectors agree, it is a great one.
    pub coverage_nearest: f32,
    /// How near the question's tokens are to those of the nearest passage, by late interaction; 0: not known.
    #[serde(default)]
    pub tokens_best: f32,
    /// The mean of the five greatest.
    #[serde(default)]
    pub tokens_mean: f32,
}

/// Passages that are looked at, the best ones.
const LOOKED_AT: usize = 5;

/// How many signals there are.
pub const SIGNALS: usize = 7;

impl Signals {
    /// Of a question and its passages, best first. `nearness`: late interaction's scores of all that were compared.
    #[must_use]
    pub fn of(question: &str, passages: &[Passage], nearness: &[f32]) -> Self {
        let seen: Vec<(f64, String)> = passages
            .iter()
            .map(|passage| {
                let heading = passage.heading.as_deref().unwrap_or_default();
                (passage.similarity, format!("{heading}\n{}", passage.text))
            })
            .collect();
        let nearest = greatest(nearness.iter().copied());
        Self {
            tokens_best: nearest.first().copied().unwrap_or_default(),
            tokens_mean: mean(&nearest),
            ..Self::of_texts(question, &seen)
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "cosines, and counts of a question's words"
    )]
    fn of_texts(question: &str, passages: &[(f64, String)]) -> Self {
        let similarities = greatest(passages.iter().map(|(similarity, _)| *similarity as f32));
        let Some(&similarity_best) = similarities.first() else {
            return Self::default();
        };
        let wanted = sameness::stems(question);
        let share = |has: &std::collections::HashSet<String>| {
            wanted.intersection(has).count() as f32 / wanted.len().max(1) as f32
        };
        let mut all = std::collections::HashSet::new();
        let mut coverage_best: f32 = 0.0;
        for (_, text) in passages.iter().take(LOOKED_AT) {
            let has = sameness::stems(text);
            coverage_best = coverage_best.max(share(&has));
            all.extend(has);
        }
        let nearest = passages.iter().max_by(|a, b| a.0.total_cmp(&b.0));
        Self {
            similarity_best,
            similarity_mean: mean(&similarities),
            coverage_best,
            coverage_all: share(&all),
            coverage_nearest: nearest.map_or(0.0, |(_, text)| share(&sameness::stems(text))),
            ..Self::default()
        }
    }

    /// In the order of [`Fit::weights`].
    #[must_use]
    pub fn values(&self) -> [f64; SIGNALS] {
        [
            self.similarity_best,
            self.similarity_mean,
            self.coverage_best,
            self.coverage_all,
            self.coverage_nearest,
            self.tokens_best,
            self.tokens_mean,
        ]
        .map(f64::from)
    }

    fn has_tokens(&self) -> bool {
        self.tokens_best != 0.0
    }
}

/// The first [`LOOKED_AT`] by size.
fn greatest(values: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values.truncate(LOOKED_AT);
    values
}

#[expect(clippy::cast_precision_loss, reason = "five at the most")]
fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len().max(1) as f32
}

/// Coefficients of the logistic function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    pub bias: f64,
    pub weights: [f64; SIGNALS],
}

impl Fit {
    /// From 0 to 1.
    #[must_use]
    pub fn confidence(&self, signals: &Signals) -> f64 {
        let products = self.weights.iter().zip(signals.values());
        let sum = self.bias + products.map(|(weight, value)| weight * value).sum::<f64>();
        1.0 / (1.0 + (-sum).exp())
    }
}

/// What was fitted to a model, as `make eval-confidence` prints it.
struct Fitted {
    /// SHA-256 of its weights.
    revision: &'static str,
    /// Where passages have the vectors of their tokens.
    tokens: Fit,
    /// Where they have none, or another reranker is chosen.
    vectors: Fit,
}

const FITTED: [Fitted; 2] = [
    Fitted {
        // all-MiniLM-L6-v2; its 8-bit form has nearly the same cosines.
        revision: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        tokens: Fit {
            bias: -21.842,
            weights: [8.079, 8.825, 1.466, 3.259, 1.749, 18.957, 14.934],
        },
        vectors: Fit {
            bias: -14.242,
            weights: [13.730, 14.007, 2.942, 3.269, 2.495, 0.0, 0.0],
        },
    },
    Fitted {
        // multilingual-e5-small as `lectern-worker convert-model` makes it, in 8 bits; also of questions in another
        // language than the documents, which have few words in common. Biases are moved: 0.5 loses a twentieth of the
        // answers that it was fitted to.
        revision: "7d7f63ed89f2c1a56adfd72a970c749d5081594fc9392ca0169af6b5409b8fb8",
        tokens: Fit {
            bias: -47.917,
            weights: [86.049, -31.373, 4.805, -2.128, 3.341, 19.107, -18.018],
        },
        vectors: Fit {
            bias: -47.504,
            weights: [93.416, -38.293, 4.952, -2.161, 3.421, 0.0, 0.0],
        },
    },
];

/// For all other models: moved so that at 0.5 few answers are lost, since words alone tell less.
const WORDS_ALONE: Fit = Fit {
    bias: -6.013,
    weights: [0.0, 0.0, 7.681, 3.406, 7.024, 0.0, 0.0],
};

/// How likely it is that the passages answer the question.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "a probability")]
pub(crate) fn confidence(signals: &Signals, model: &ModelIdentity) -> f32 {
    let fitted = FITTED
        .iter()
        .find(|fitted| fitted.revision == model.revision);
    let fit = match fitted {
        Some(fitted) if signals.has_tokens() => &fitted.tokens,
        Some(fitted) => &fitted.vectors,
        None => &WORDS_ALONE,
    };
    fit.confidence(signals) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(revision: &str) -> ModelIdentity {
        ModelIdentity {
            name: "test".to_owned(),
            revision: revision.to_owned(),
            dimensions: 384,
            pooling: "mean".to_owned(),
            quantization: "fp32".to_owned(),
            max_tokens: 256,
        }
    }

    fn signals(passages: &[(f64, &str)]) -> Signals {
        let passages: Vec<_> = passages
            .iter()
            .map(|(similarity, text)| (*similarity, (*text).to_owned()))
            .collect();
        Signals::of_texts("How much may a hotel in Zurich cost?", &passages)
    }

    #[test]
    fn passages_that_are_near_and_have_the_words_give_confidence_and_others_do_not() {
        let told = signals(&[
            (0.72, "A hotel may cost 120 euros, in Zurich 175."),
            (0.44, "Taxis are not paid for."),
        ]);
        let untold = signals(&[
            (0.24, "The pump is primed."),
            (0.22, "Enzymes break down sugar."),
        ]);
        for model in [FITTED[0].revision, "unknown"] {
            let model = identity(model);
            assert!(confidence(&told, &model) > 0.8, "{told:?}");
            assert!(confidence(&untold, &model) < 0.4, "{untold:?}");
        }
    }

    #[test]
    fn a_passage_in_another_language_gives_confidence_by_its_cosine_with_a_model_that_knows_both() {
        // As multilingual-e5-small has them: .73 is what unrelated texts have.
        let near = Signals {
            similarity_best: 0.90,
            similarity_mean: 0.84,
            ..Signals::default()
        };
        let far = Signals {
            similarity_best: 0.79,
            similarity_mean: 0.78,
            ..Signals::default()
        };
        let model = identity(FITTED[1].revision);
        assert!(confidence(&near, &model) > 0.5);
        assert!(confidence(&far, &model) < 0.1);
        assert!(confidence(&near, &identity("unknown")) < 0.5);
    }

    #[test]
    fn signals_do_not_depend_on_the_order_or_the_scale_of_a_ranking() {
        let one = signals(&[(0.5, "A hotel in Zurich."), (0.3, "What it costs.")]);
        let other = signals(&[(0.3, "What it costs."), (0.5, "A hotel in Zurich.")]);
        assert_eq!(one, other);
        // Of "much", "hotel", "Zurich" and "cost".
        assert!((one.coverage_best - 0.5).abs() < 1e-6, "{one:?}");
        assert!((one.coverage_all - 0.75).abs() < 1e-6, "{one:?}");
    }

    #[test]
    fn without_passages_there_is_no_confidence() {
        assert!(confidence(&signals(&[]), &identity(FITTED[0].revision)) < 0.01);
        assert!(confidence(&signals(&[]), &identity("unknown")) < 0.5);
    }
}
