//! nDCG, recall and reciprocal rank of rankings, and how long they took.

use std::collections::HashSet;

use lectern_shared::store::search::Passage;

use super::set::{Question, Relevant};
use crate::answer::Retrieved;

/// Sums over questions.
#[derive(Clone, Debug, Default)]
pub(super) struct Scores {
    pub(super) questions: f64,
    ndcg_10: f64,
    recall_5: f64,
    recall_20: f64,
    reciprocal_rank_10: f64,
}

/// Means over questions.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(super) struct Means {
    /// Järvelin and Kekäläinen (2002), with the grade as gain.
    pub(super) ndcg_10: f64,
    pub(super) recall_5: f64,
    pub(super) recall_20: f64,
    pub(super) mrr_10: f64,
}

impl Scores {
    /// What is ranked are pages, or records where there are none: a second passage of the same one doesn't count.
    pub(super) fn add(&mut self, question: &Question, passages: &[Passage]) {
        let mut seen = HashSet::new();
        let units: Vec<Unit<'_>> = passages
            .iter()
            .map(Unit::of)
            .filter(|unit| {
                seen.insert((
                    unit.document,
                    unit.rows.or(Some(unit.pages)).map(|range| range.0),
                ))
            })
            .collect();
        self.add_units(&question.relevant, &units);
    }

    fn add_units(&mut self, relevant: &[Relevant], units: &[Unit<'_>]) {
        self.questions += 1.0;
        let mut open: Vec<&Relevant> = relevant.iter().filter(|entry| entry.grade > 0.0).collect();
        let all = open.len();
        let mut ideal: Vec<f64> = open.iter().map(|entry| entry.grade).collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        let mut found = 0.0;
        let mut gain = 0.0;
        let mut first = None;
        for (place, unit) in units.iter().take(20).enumerate() {
            // Each is found once, by the first unit that has it.
            let best = open
                .iter()
                .enumerate()
                .filter(|(_, entry)| unit.has(entry))
                .max_by(|(_, a), (_, b)| a.grade.total_cmp(&b.grade))
                .map(|(at, _)| at);
            if let Some(at) = best {
                let entry = open.swap_remove(at);
                found += 1.0;
                first.get_or_insert(place);
                if place < 10 {
                    gain += entry.grade / discount(place);
                }
            }
            if place == 4 {
                self.recall_5 += found / count(all);
            }
        }
        if units.len() < 5 {
            self.recall_5 += found / count(all);
        }
        self.recall_20 += found / count(all);
        let most: f64 = ideal
            .iter()
            .take(10)
            .enumerate()
            .map(|(place, grade)| grade / discount(place))
            .sum();
        if most > 0.0 {
            self.ndcg_10 += gain / most;
        }
        if let Some(place) = first.filter(|place| *place < 10) {
            self.reciprocal_rank_10 += 1.0 / (count(place) + 1.0);
        }
    }

    pub(super) fn means(&self) -> Means {
        Means {
            ndcg_10: self.ndcg_10 / self.questions,
            recall_5: self.recall_5 / self.questions,
            recall_20: self.recall_20 / self.questions,
            mrr_10: self.reciprocal_rank_10 / self.questions,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a small count")]
fn count(number: usize) -> f64 {
    number as f64
}

fn discount(place: usize) -> f64 {
    (count(place) + 2.0).log2()
}

/// What is ranked.
#[derive(Clone, Copy, Debug)]
struct Unit<'a> {
    document: &'a str,
    pages: (u32, u32),
    rows: Option<(u32, u32)>,
}

impl<'a> Unit<'a> {
    fn of(passage: &'a Passage) -> Self {
        Self {
            document: &passage.document_name,
            pages: (
                passage.page_first.cast_unsigned(),
                passage.page_last.cast_unsigned(),
            ),
            rows: passage.place.as_deref().and_then(rows),
        }
    }

    fn has(&self, entry: &Relevant) -> bool {
        let overlap = |a: (u32, u32), b: (u32, u32)| a.0 <= b.1 && b.0 <= a.1;
        self.document == entry.document
            && entry.pages.is_none_or(|pages| overlap(self.pages, pages))
            && entry
                .rows
                .is_none_or(|wanted| self.rows.is_some_and(|rows| overlap(rows, wanted)))
    }
}

/// The numbers at the end of a place: of "record 17", "Costs, rows 12–30".
fn rows(place: &str) -> Option<(u32, u32)> {
    let numbers = place.rsplit(' ').next()?;
    let (first, last) = numbers.split_once('–').unwrap_or((numbers, numbers));
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// How long the stages of each search took, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    pub(super) embed: Vec<f64>,
    pub(super) words: Vec<f64>,
    pub(super) search: Vec<f64>,
    pub(super) rerank: Vec<f64>,
    pub(super) total: Vec<f64>,
}

impl Times {
    pub(super) fn add(&mut self, found: &Retrieved) {
        self.embed.push(found.embed_ms);
        self.words.push(found.words_ms);
        self.search.push(found.search_ms);
        self.rerank.push(found.rerank_ms);
        self.total
            .push(found.embed_ms.max(found.words_ms) + found.search_ms + found.rerank_ms);
    }
}

/// The smallest that this share of the numbers isn't above, by nearest rank; 0 of none.
pub(super) fn percentile(numbers: &[f64], share: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a small count"
    )]
    let rank = (count(sorted.len()) * share).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relevant(rows: u32, grade: f64) -> Relevant {
        Relevant {
            document: "corpus".to_owned(),
            pages: None,
            rows: Some((rows, rows)),
            grade,
        }
    }

    fn unit(row: u32) -> Unit<'static> {
        Unit {
            document: "corpus",
            pages: (1, 1),
            rows: Some((row, row)),
        }
    }

    fn means(relevant: &[Relevant], ranking: &[u32]) -> Means {
        let mut scores = Scores::default();
        let units: Vec<_> = ranking.iter().map(|row| unit(*row)).collect();
        scores.add_units(relevant, &units);
        scores.means()
    }

    #[test]
    fn the_right_order_is_a_full_score_and_a_wrong_one_less() {
        let wanted = [relevant(7, 3.0), relevant(9, 1.0)];
        let best = means(&wanted, &[7, 9, 1, 2, 3]);
        assert!((best.ndcg_10 - 1.0).abs() < 1e-9);
        assert!((best.recall_5 - 1.0).abs() < 1e-9);
        let swapped = means(&wanted, &[9, 7, 1, 2, 3]);
        // (1 + 3 / log2(3)) / (3 + 1 / log2(3))
        assert!(
            (swapped.ndcg_10 - 0.7967).abs() < 1e-3,
            "{}",
            swapped.ndcg_10
        );
        assert!((swapped.mrr_10 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_stands_further_down_counts_for_less_and_beyond_twenty_for_nothing() {
        let wanted = [relevant(7, 1.0)];
        let ranking: Vec<u32> = (100..105).chain([7]).collect();
        let sixth = means(&wanted, &ranking);
        assert!(sixth.recall_5.abs() < 1e-9 && (sixth.recall_20 - 1.0).abs() < 1e-9);
        assert!((sixth.mrr_10 - 1.0 / 6.0).abs() < 1e-9);
        let ranking: Vec<u32> = (100..120).chain([7]).collect();
        assert!(means(&wanted, &ranking).recall_20.abs() < 1e-9);
    }

    #[test]
    fn one_that_is_found_twice_counts_once() {
        let spans_two = Relevant {
            rows: Some((7, 8)),
            ..relevant(0, 1.0)
        };
        let found = means(&[spans_two], &[7, 8]);
        assert!((found.ndcg_10 - 1.0).abs() < 1e-9);
        assert!((found.recall_5 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_numbers_of_a_place_are_read() {
        assert_eq!(rows("record 17"), Some((17, 17)));
        assert_eq!(rows("Costs, rows 12–30"), Some((12, 30)));
        assert_eq!(rows("Slide"), None);
    }

    #[test]
    fn a_percentile_is_one_of_the_numbers() {
        let numbers = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert!((percentile(&numbers, 0.5) - 3.0).abs() < 1e-9);
        assert!((percentile(&numbers, 0.95) - 5.0).abs() < 1e-9);
        assert!(percentile(&[], 0.5).abs() < 1e-9);
    }
}
