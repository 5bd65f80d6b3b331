//! How good a ranking of passages is.

use crate::set::Question;

/// A passage as the ranking sees it.
pub(crate) struct Ranked<'a> {
    pub(crate) file: &'a str,
    pub(crate) page_first: u32,
    pub(crate) page_last: u32,
    pub(crate) text: &'a str,
    pub(crate) tokens: usize,
}

/// Passages that are looked at, the best first.
pub(crate) const DEPTH: usize = 20;

/// Tokens of passages that an answer is made from, for [`Scores::answer_in_budget`].
const BUDGET: usize = 1000;

/// Sums over questions; [`Scores::row`] divides.
#[derive(Default)]
pub(crate) struct Scores {
    questions: f64,
    ndcg: f64,
    recall: [f64; 3],
    mrr: f64,
    answerable: f64,
    answer: f64,
    answer_in_budget: f64,
}

impl Scores {
    pub(crate) const COLUMNS: &'static str =
        "nDCG@10 | recall@1 | recall@5 | recall@20 | MRR@10 | answer@5 | answer in 1,000 tokens";

    /// A passage hits when it touches one of the question's pages. The first hit counts: a question asks for one
    /// paragraph.
    pub(crate) fn add(&mut self, question: &Question, ranked: &[Ranked<'_>]) {
        self.questions += 1.0;
        let hits = |passage: &Ranked<'_>| {
            passage.file == question.file
                && passage.page_first <= question.page_to
                && question.page_from <= passage.page_last
        };
        if let Some(at) = ranked.iter().take(DEPTH).position(hits) {
            let rank = at as f64 + 1.0;
            if at < 10 {
                self.ndcg += 1.0 / (rank + 1.0).log2();
                self.mrr += 1.0 / rank;
            }
            for (sum, depth) in self.recall.iter_mut().zip([1, 5, DEPTH]) {
                *sum += f64::from(at < depth);
            }
        }
        if question.answers.is_empty() {
            return;
        }
        self.answerable += 1.0;
        let answers: Vec<String> = question.answers.iter().map(|text| plain(text)).collect();
        let tells = |passage: &Ranked<'_>| {
            let text = plain(passage.text);
            hits(passage) && answers.iter().any(|answer| text.contains(answer))
        };
        if let Some(at) = ranked.iter().position(tells) {
            self.answer += f64::from(at < 5);
            let tokens: usize = ranked[..=at].iter().map(|passage| passage.tokens).sum();
            self.answer_in_budget += f64::from(tokens <= BUDGET);
        }
    }

    pub(crate) fn row(&self) -> String {
        let shares = [
            self.ndcg / self.questions,
            self.recall[0] / self.questions,
            self.recall[1] / self.questions,
            self.recall[2] / self.questions,
            self.mrr / self.questions,
            self.answer / self.answerable,
            self.answer_in_budget / self.answerable,
        ];
        shares.map(|share| format!("{share:.4}")).join(" | ")
    }
}

/// For comparing: line ends, hyphens at them and case don't matter.
fn plain(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}
