//! Logistic regression by gradient descent, and points of its ROC curve.

use std::collections::BTreeMap;

use lectern_worker::answer::confidence::{Fit, SIGNALS, Signals};

use crate::Row;

/// Fits to these rows with the chosen signals. Each pair of documents and questions counts as much as each other one,
/// and both classes as much, so that no collection decides by its size.
pub(crate) fn fit(rows: &[Row], chosen: [bool; SIGNALS]) -> Fit {
    let mut groups: BTreeMap<(bool, &str, &str), f64> = BTreeMap::new();
    let group = |row: &Row| (row.answers, row.collection.clone(), row.questions.clone());
    for row in rows {
        *groups
            .entry((row.answers, &row.collection, &row.questions))
            .or_default() += 1.0;
    }
    let pairs = |answers: bool| groups.keys().filter(|key| key.0 == answers).count() as f64;
    let weights: Vec<f64> = rows
        .iter()
        .map(|row| {
            let (answers, collection, questions) = group(row);
            let size = groups[&(answers, collection.as_str(), questions.as_str())];
            0.5 / pairs(answers) / size
        })
        .collect();

    // Signals of one scale, or the descent would be slow.
    let values: Vec<[f64; SIGNALS]> = rows.iter().map(|row| row.signals.values()).collect();
    let count = values.len() as f64;
    let mut means = [0.0; SIGNALS];
    let mut deviations = [1.0; SIGNALS];
    for signal in 0..SIGNALS {
        means[signal] = values.iter().map(|row| row[signal]).sum::<f64>() / count;
        let square = |row: &[f64; SIGNALS]| (row[signal] - means[signal]).powi(2);
        deviations[signal] = (values.iter().map(square).sum::<f64>() / count)
            .sqrt()
            .max(1e-9);
    }
    let (mut bias, mut factors) = (0.0, [0.0; SIGNALS]);
    for _ in 0..STEPS {
        let (mut down, mut downs) = (0.0, [0.0; SIGNALS]);
        for ((row, values), weight) in rows.iter().zip(&values).zip(&weights) {
            let scaled: [f64; SIGNALS] =
                std::array::from_fn(|signal| (values[signal] - means[signal]) / deviations[signal]);
            let sum: f64 = bias + factors.iter().zip(&scaled).map(|(a, b)| a * b).sum::<f64>();
            let error = (1.0 / (1.0 + (-sum).exp()) - f64::from(u8::from(row.answers))) * weight;
            down += error;
            for (down, value) in downs.iter_mut().zip(scaled) {
                *down += error * value;
            }
        }
        bias -= down;
        for signal in 0..SIGNALS {
            if chosen[signal] {
                factors[signal] -= downs[signal] + SHRINKING * factors[signal];
            }
        }
    }
    let weights: [f64; SIGNALS] =
        std::array::from_fn(|signal| factors[signal] / deviations[signal]);
    let shift: f64 = weights
        .iter()
        .zip(means)
        .map(|(weight, mean)| weight * mean)
        .sum();
    Fit {
        bias: bias - shift,
        weights,
    }
}

const STEPS: usize = 4000;

/// L2 regularisation, against coefficients that fit a few rows only.
const SHRINKING: f64 = 0.001;

/// The confidences of the rows that are answered, or of those that aren't, with the pairs weighed as in [`fit`].
pub(crate) fn scores(
    rows: &[Row],
    answers: bool,
    confidence: impl Fn(&Signals) -> f64,
) -> Vec<(f64, f64)> {
    let mut sizes: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    let rows: Vec<&Row> = rows.iter().filter(|row| row.answers == answers).collect();
    for row in &rows {
        *sizes.entry((&row.collection, &row.questions)).or_default() += 1.0;
    }
    let pairs = sizes.len() as f64;
    rows.iter()
        .map(|row| {
            let size = sizes[&(row.collection.as_str(), row.questions.as_str())];
            (confidence(&row.signals), 1.0 / size / pairs)
        })
        .collect()
}

/// The threshold that loses so much of what is answered, and how much of what isn't is below it.
pub(crate) fn point(answered: &[(f64, f64)], unanswered: &[(f64, f64)], lost: f64) -> (f64, f64) {
    let mut answered = answered.to_vec();
    answered.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut sum = 0.0;
    let threshold = answered
        .iter()
        .find(|(_, weight)| {
            sum += weight;
            sum > lost
        })
        .map_or(1.0, |(confidence, _)| *confidence);
    let below = unanswered
        .iter()
        .filter(|(confidence, _)| *confidence < threshold);
    (threshold, below.map(|(_, weight)| weight).sum())
}
