//! The collections: documents, and questions that they answer.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    process::Command,
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Documents with the questions that they answer.
pub(crate) struct Set {
    pub(crate) name: String,
    /// Title and text.
    pub(crate) documents: Vec<(String, String)>,
    pub(crate) questions: Vec<Question>,
}

pub(crate) struct Question {
    pub(crate) id: String,
    pub(crate) text: String,
}

#[derive(Deserialize)]
struct DocumentLine {
    id: String,
    title: String,
    text: String,
}

#[derive(Deserialize)]
struct QuestionLine {
    id: String,
    text: String,
}

/// `xquad` is a part of `squad` in other words and languages, so these don't leave each other's questions unanswered.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    let is_wikipedia = |name: &str| name.starts_with("squad") || name.starts_with("xquad");
    let is_half = |name: &str| name.starts_with("squad");
    is_wikipedia(one) && is_wikipedia(other) && !(is_half(one) && is_half(other))
}

/// `squad` comes in two halves by its articles: questions of one style about other things are the hardest to refuse.
/// `others` are taken whole.
pub(crate) fn read(
    folder: &Path,
    others: &[String],
    questions_max: usize,
    documents_max: usize,
) -> Vec<Set> {
    let squad =
        |half: u32| move |id: &str| hash(id.split('#').next().unwrap_or_default()) % 2 == half;
    let all = |_: &str| true;
    let mut sets = vec![
        set(
            folder,
            "squad-dev",
            "squad-a",
            squad(0),
            questions_max,
            documents_max,
        ),
        set(
            folder,
            "squad-dev",
            "squad-b",
            squad(1),
            questions_max,
            documents_max,
        ),
    ];
    for name in others {
        sets.push(set(folder, name, name, all, questions_max, documents_max));
    }
    sets
}

/// Known without a seed, and in no order.
pub(crate) fn hash(text: &str) -> u32 {
    let digest = Sha256::digest(text);
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

fn set(
    folder: &Path,
    source: &str,
    name: &str,
    is_in: impl Fn(&str) -> bool,
    questions_max: usize,
    documents_max: usize,
) -> Set {
    let folder = folder.join(source);
    let qrels = std::fs::read_to_string(folder.join("qrels.tsv")).unwrap();
    let mut answered_by: HashMap<&str, Vec<&str>> = HashMap::new();
    for line in qrels.lines().skip(1) {
        let mut fields = line.split('\t');
        let (question, document) = (fields.next().unwrap(), fields.next().unwrap());
        answered_by.entry(question).or_default().push(document);
    }
    let mut questions: Vec<QuestionLine> = lines(&folder.join("queries.jsonl.gz"));
    questions.retain(|question| {
        let documents = answered_by.get(question.id.as_str());
        documents.is_some_and(|documents| documents.iter().any(|id| is_in(id)))
    });
    questions.sort_by_key(|question| hash(&question.text));
    questions.truncate(questions_max);
    let needed: HashSet<&str> = questions
        .iter()
        .flat_map(|question| answered_by[question.id.as_str()].iter().copied())
        .collect();
    let mut documents: Vec<DocumentLine> = lines(&folder.join("corpus.jsonl.gz"));
    documents.retain(|document| is_in(&document.id) && !document.text.trim().is_empty());
    documents.sort_by_key(|document| (!needed.contains(document.id.as_str()), hash(&document.id)));
    documents.truncate(documents_max.max(needed.len()));
    Set {
        name: name.to_owned(),
        documents: documents
            .into_iter()
            .map(|line| (line.title, line.text))
            .collect(),
        questions: questions
            .into_iter()
            .map(|line| Question {
                id: line.id,
                text: line.text,
            })
            .collect(),
    }
}

fn lines<T: for<'a> Deserialize<'a>>(path: &Path) -> Vec<T> {
    let unpacked = Command::new("gzip").arg("-dc").arg(path).output().unwrap();
    assert!(unpacked.status.success(), "{}", path.display());
    let text = String::from_utf8(unpacked.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
