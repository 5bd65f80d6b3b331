//! The test set: files, questions, and the pages that answer them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

/// A question and where its answer stands.
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) file: String,
    pub(crate) page_from: u32,
    pub(crate) page_to: u32,
    /// What counts as the answer, where somebody has written it down.
    pub(crate) answers: Vec<String>,
}

pub(crate) struct TestSet {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) questions: Vec<Question>,
}

#[derive(Deserialize)]
struct QuestionLine {
    id: String,
    text: String,
}

#[derive(Deserialize)]
struct AnswerLine {
    id: String,
    answers: Vec<String>,
}

/// Reads `pdf/`, `queries.jsonl.gz` and `qrels.tsv` of a folder, and the answers of the collection beside it that
/// the English questions are from.
pub(crate) fn read(folder: &Path) -> TestSet {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join("pdf"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let texts: HashMap<String, String> = lines::<QuestionLine>(&folder.join("queries.jsonl.gz"))
        .map(|line| (line.id, line.text))
        .collect();
    let mut answers: HashMap<String, Vec<String>> =
        lines::<AnswerLine>(&folder.join("../squad-dev/answers.jsonl.gz"))
            .map(|line| (line.id, line.answers))
            .collect();
    let relevant = std::fs::read_to_string(folder.join("qrels.tsv")).unwrap();
    let questions = relevant
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            Question {
                text: texts[fields[0]].clone(),
                file: fields[1].to_owned(),
                page_from: fields[2].parse().unwrap(),
                page_to: fields[3].parse().unwrap(),
                answers: answers.remove(fields[0]).unwrap_or_default(),
            }
        })
        .collect();
    TestSet { files, questions }
}

fn lines<T: for<'a> Deserialize<'a>>(path: &Path) -> impl Iterator<Item = T> + use<T> {
    let unpacked = Command::new("gzip").arg("-dc").arg(path).output().unwrap();
    assert!(unpacked.status.success(), "{}", path.display());
    String::from_utf8(unpacked.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect::<Vec<T>>()
        .into_iter()
}
