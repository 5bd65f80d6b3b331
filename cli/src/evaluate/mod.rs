//! `lectern eval`: how far up the search brings what answers a question, through the same door as everybody's.
//!
//! The set is that of `lectern-worker evaluate`, which also measures the search part by part; this one needs a key alone.

mod scores;
mod set;

use std::{fs::File, io::BufReader, path::Path};

use serde_json::{Value, json};

use self::{
    scores::{Scores, Unit},
    set::Question,
};
use crate::{
    Session,
    config::Eval,
    error::{Error, Result},
    output::table,
};

pub(crate) async fn run(session: &Session, mut wanted: Eval) -> Result<()> {
    wanted.collection = session.collection(wanted.collection);
    let mut questions = read(&wanted.set)?;
    if let Some(limit) = wanted.limit {
        questions.truncate(limit);
    }
    if questions.is_empty() {
        return Err(Error::Usage("there are no questions in it".into()));
    }
    let bar = session
        .out
        .bars
        .add(indicatif::ProgressBar::new(questions.len() as u64));
    let mut scores = Scores::default();
    for question in &questions {
        let body = body(question, &wanted);
        let found: Value = session.client.post(&["search"], &body).await?;
        let passages = found["passages"].as_array().cloned().unwrap_or_default();
        let units: Vec<Unit> = passages.iter().filter_map(Unit::of).collect();
        scores.add(&question.relevant, &units);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let means = scores.means();
    if session.out.json {
        return session.out.value(&means);
    }
    let shown = |number: f64| format!("{number:.4}");
    let row = vec![
        means.questions.to_string(),
        shown(means.ndcg_10),
        shown(means.recall_5),
        shown(means.recall_20),
        shown(means.mrr_10),
    ];
    let titles = ["QUESTIONS", "NDCG@10", "RECALL@5", "RECALL@20", "MRR@10"];
    session.out.line(&table(&titles, &[row]))
}

fn body(question: &Question, wanted: &Eval) -> Value {
    let mut body = json!({"question": question.question, "passages": wanted.passages});
    if let Some(collection) = &wanted.collection {
        body["collection"] = collection.clone().into();
    }
    if let Some(filter) = &question.filter {
        body["filter"] = filter.clone();
    }
    body
}

fn read(path: &Path) -> Result<Vec<Question>> {
    if path == Path::new("-") {
        return set::read(std::io::stdin().lock());
    }
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::Missing(format!("there is no file {}", path.display()))
        }
        _ => Error::local(
            format!("{} can't be read: {error}", path.display()),
            "Check its permissions.",
        ),
    })?;
    set::read(BufReader::new(file))
}
