//! Fits the confidence of answers, and measures how well it tells questions that the documents answer from others.
//!
//! `make eval-confidence` imports collections of `../shared/eval/retrieval` through the API, has a worker embed them, and
//! asks each the questions that it answers and those of the others, which it doesn't, by `POST /api/v1/search`: the
//! signals come from the product's own path, however that ranks. A part of the questions is fitted to, and the others
//! are measured. Afterwards it prints what belongs into `worker/src/answer/confidence.rs`.
//! README.md here has the results.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement's output, and it ends at the first error"
)]

mod asked;
mod fit;
mod sets;

use std::path::{Path, PathBuf};

use clap::Parser;
use lectern_worker::answer::confidence::{SIGNALS, Signals};
use serde::{Deserialize, Serialize};

#[derive(Parser)]
struct Arguments {
    /// Questions of a set, at the most; of those that a collection doesn't answer, a third of it from each set
    #[arg(long, default_value_t = 150)]
    questions: usize,
    /// Documents of a collection: those that answer, filled up with others
    #[arg(long, default_value_t = 600)]
    documents: usize,
    /// Collections beside squad-dev; of questions in another language, as xquad-es-to-en, for a model that knows both
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "cranfield,scifact,xquad-en,xquad-es"
    )]
    collections: Vec<String>,
    /// Use the signals that the run before has kept, and only fit
    #[arg(long)]
    again: bool,
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a search has told of a question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The documents that were searched.
    pub(crate) collection: String,
    /// The set that the question is of.
    pub(crate) questions: String,
    /// Whether the documents answer it.
    pub(crate) answers: bool,
    /// Fitted to, or else measured.
    pub(crate) fitted: bool,
    pub(crate) confidence: f64,
    pub(crate) signals: Signals,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("confidence.jsonl");
    let rows = if arguments.again {
        let lines = std::fs::read_to_string(&kept).expect("a run without --again comes first");
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    } else {
        let folder: PathBuf =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/eval/retrieval");
        let sets = sets::read(
            &folder,
            &arguments.collections,
            arguments.questions,
            arguments.documents,
        );
        let rows = asked::rows(&sets, arguments.questions / 3).await;
        let lines: Vec<_> = rows
            .iter()
            .map(|row| serde_json::to_string(row).unwrap())
            .collect();
        std::fs::write(&kept, lines.join("\n")).unwrap();
        rows
    };
    report(&rows);
}

fn report(rows: &[Row]) {
    let (fitted, measured): (Vec<Row>, Vec<Row>) = rows.iter().cloned().partition(|row| row.fitted);
    println!(
        "\n{} questions fitted to, {} measured\n",
        fitted.len(),
        measured.len()
    );
    let all = fit::fit(&fitted, [true; SIGNALS]);
    let vectors = fit::fit(&fitted, [true, true, true, true, true, false, false]);
    let mut words = fit::fit(&fitted, [false, false, true, true, true, false, false]);
    // Moved, so that a threshold of 0.5 loses no more of what is answered for a model that nothing is fitted for.
    let scores = |answers: bool| fit::scores(&fitted, answers, |signals| words.confidence(signals));
    let (threshold, _) = fit::point(&scores(true), &scores(false), 0.03);
    words.bias -= (threshold / (1.0 - threshold)).ln();
    println!(
        "| confidence by | answerable ones lost | threshold | unanswerable ones abstained |\n|---|---|---|---|"
    );
    for (name, fit) in [
        ("tokens, cosines and words", &all),
        ("cosines and words", &vectors),
        ("words alone", &words),
    ] {
        for lost in [0.02, 0.03, 0.05] {
            let scores =
                |answers: bool| fit::scores(&measured, answers, |signals| fit.confidence(signals));
            let (threshold, abstained) = fit::point(&scores(true), &scores(false), lost);
            println!(
                "| {name} | {:.1} % | {threshold:.3} | {:.1} % |",
                lost * 100.0,
                abstained * 100.0
            );
        }
    }
    println!(
        "\nAt a threshold of 0.5, by the coefficients that Lectern has now, and by those fitted here:\n"
    );
    println!(
        "| documents | questions | number | abstained now | abstained as fitted |\n|---|---|---|---|---|"
    );
    let mut groups: Vec<_> = measured
        .iter()
        .map(|row| {
            (
                !row.answers,
                row.collection.as_str(),
                row.questions.as_str(),
            )
        })
        .collect();
    groups.sort_unstable();
    groups.dedup();
    let line = |collection: &str, questions: &str, rows: &[&Row]| {
        let count = rows.len() as f64;
        let share = |below: &dyn Fn(&Row) -> bool| {
            100.0 * rows.iter().filter(|row| below(row)).count() as f64 / count
        };
        println!(
            "| {collection} | {questions} | {} | {:.1} % | {:.1} % |",
            rows.len(),
            share(&|row| row.confidence < 0.5),
            share(&|row| all.confidence(&row.signals) < 0.5),
        );
    };
    for (_, collection, questions) in &groups {
        let is_of = |row: &&Row| row.collection == *collection && row.questions == *questions;
        let rows: Vec<_> = measured.iter().filter(is_of).collect();
        line(collection, questions, &rows);
    }
    for (name, answers) in [("all answerable", true), ("all unanswerable", false)] {
        let rows: Vec<_> = measured
            .iter()
            .filter(|row| row.answers == answers)
            .collect();
        line(name, "", &rows);
    }
    for (name, fit) in [
        ("tokens", &all),
        ("vectors", &vectors),
        ("WORDS_ALONE", &words),
    ] {
        let weights = fit.weights.map(|weight| format!("{weight:.3}")).join(", ");
        println!(
            "\n{name}: Fit {{ bias: {:.3}, weights: [{weights}] }}",
            fit.bias
        );
    }
}
