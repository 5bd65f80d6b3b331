//! nDCG, recall and reciprocal rank, counted as `lectern-worker evaluate` counts them.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;

use super::set::Relevant;

/// What is ranked: pages of a document, or rows where it has none.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    document: String,
    pages: (u32, u32),
    rows: Option<(u32, u32)>,
}

impl Unit {
    pub(super) fn of(passage: &Value) -> Option<Self> {
        let page = |name: &str| u32::try_from(passage[name].as_u64()?).ok();
        Some(Self {
            document: passage["document_name"].as_str()?.to_owned(),
            pages: (page("page_first")?, page("page_last")?),
            rows: passage["place"].as_str().and_then(rows),
        })
    }

    fn answers(&self, entry: &Relevant) -> bool {
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

/// Sums over questions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scores {
    questions: u32,
    ndcg_10: f64,
    recall_5: f64,
    recall_20: f64,
    mrr_10: f64,
}

/// Means over questions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Means {
    pub(super) questions: u32,
    /// Järvelin and Kekäläinen (2002), with the grade as gain.
    pub(super) ndcg_10: f64,
    pub(super) recall_5: f64,
    pub(super) recall_20: f64,
    pub(super) mrr_10: f64,
}

impl Scores {
    /// A second passage of the same page doesn't count, and each relevant thing is found once, by the first that has it.
    pub(super) fn add(&mut self, relevant: &[Relevant], passages: &[Unit]) {
        self.questions += 1;
        let mut open: Vec<&Relevant> = relevant.iter().filter(|entry| entry.grade > 0.0).collect();
        let all = open.len();
        if all == 0 {
            return;
        }
        let best = ideal(&open);
        let mut seen = HashSet::new();
        let units = passages
            .iter()
            .filter(|unit| seen.insert((&unit.document, unit.rows.unwrap_or(unit.pages).0)));
        let mut gain = 0.0;
        let mut first = None;
        let mut found = Vec::new();
        for (place, unit) in units.take(20).enumerate() {
            let hit = (0..open.len())
                .filter(|&at| unit.answers(open[at]))
                .max_by(|&a, &b| open[a].grade.total_cmp(&open[b].grade));
            if let Some(at) = hit {
                let entry = open.swap_remove(at);
                found.push(place);
                first.get_or_insert(place);
                if place < 10 {
                    gain += entry.grade / discount(place);
                }
            }
        }
        let recall =
            |depth: usize| count(found.iter().filter(|place| **place < depth).count()) / count(all);
        self.ndcg_10 += gain / best;
        self.recall_5 += recall(5);
        self.recall_20 += recall(20);
        if let Some(place) = first.filter(|place| *place < 10) {
            self.mrr_10 += 1.0 / (count(place) + 1.0);
        }
    }

    pub(super) fn means(&self) -> Means {
        let questions = f64::from(self.questions);
        Means {
            questions: self.questions,
            ndcg_10: self.ndcg_10 / questions,
            recall_5: self.recall_5 / questions,
            recall_20: self.recall_20 / questions,
            mrr_10: self.mrr_10 / questions,
        }
    }
}

/// The gain of the best order of these.
fn ideal(entries: &[&Relevant]) -> f64 {
    let mut grades: Vec<f64> = entries.iter().map(|entry| entry.grade).collect();
    grades.sort_by(|a, b| b.total_cmp(a));
    let gains = grades.iter().take(10).enumerate();
    gains.map(|(place, grade)| grade / discount(place)).sum()
}

fn discount(place: usize) -> f64 {
    (count(place) + 2.0).log2()
}

#[expect(clippy::cast_precision_loss, reason = "a small count")]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relevant(row: u32, grade: f64) -> Relevant {
        Relevant {
            document: "corpus".to_owned(),
            pages: None,
            rows: Some((row, row)),
            grade,
        }
    }

    fn means(relevant: &[Relevant], ranking: &[u32]) -> Means {
        let unit = |row: &u32| Unit {
            document: "corpus".to_owned(),
            pages: (1, 1),
            rows: Some((*row, *row)),
        };
        let mut scores = Scores::default();
        scores.add(relevant, &ranking.iter().map(unit).collect::<Vec<_>>());
        scores.means()
    }

    #[test]
    fn the_right_order_is_a_full_score_and_a_wrong_one_less() {
        let wanted = [relevant(7, 3.0), relevant(9, 1.0)];
        let best = means(&wanted, &[7, 9, 1]);
        assert!((best.ndcg_10 - 1.0).abs() < 1e-9 && (best.recall_5 - 1.0).abs() < 1e-9);
        // (1 + 3 / log2(3)) / (3 + 1 / log2(3))
        let swapped = means(&wanted, &[9, 7, 1]);
        assert!((swapped.ndcg_10 - 0.7967).abs() < 1e-3);
    }

    #[test]
    fn what_stands_further_down_counts_for_less() {
        let sixth = means(&[relevant(7, 1.0)], &[1, 2, 3, 4, 5, 7]);
        assert!(sixth.recall_5.abs() < 1e-9 && (sixth.recall_20 - 1.0).abs() < 1e-9);
        assert!((sixth.mrr_10 - 1.0 / 6.0).abs() < 1e-9);
    }

    #[test]
    fn a_question_without_anything_relevant_gives_no_score() {
        let means = means(&[], &[1]);
        assert_eq!((means.questions, means.ndcg_10), (1, 0.0));
    }
}
