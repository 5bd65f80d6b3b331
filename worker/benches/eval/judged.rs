//! Collections with relevance judgments, as `lectern-worker evaluate` reads them.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

/// A JSON object a line for each question that something is relevant to.
pub(crate) fn questions(folder: &Path) -> String {
    let judgments = fs::read_to_string(folder.join("qrels.tsv")).unwrap();
    let judgments = judgments
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let mut relevant: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let rows = if folder.join("pdf").exists() {
        BTreeMap::new()
    } else {
        records(&folder.join("corpus.jsonl.gz"))
    };
    for fields in judgments {
        let entry = match fields[..] {
            // query, file, first page, last page, paragraph
            [_, file, first, last, _] => {
                json!({"document": file, "pages": [number(first), number(last)]})
            }
            // query, record, grade
            [_, record, grade] => {
                let row = rows[record];
                json!({"document": "corpus.jsonl.gz", "rows": [row, row], "grade": number(grade)})
            }
            _ => panic!("{fields:?}"),
        };
        relevant.entry(fields[0]).or_default().push(entry);
    }
    let mut text = String::new();
    for line in lines(&folder.join("queries.jsonl.gz")) {
        let query: Value = serde_json::from_str(&line).unwrap();
        if let Some(relevant) = relevant.get(query["id"].as_str().unwrap()) {
            let question = json!({"question": query["text"], "relevant": relevant});
            writeln!(text, "{question}").unwrap();
        }
    }
    text
}

/// The line of each record, by its id.
fn records(corpus: &Path) -> BTreeMap<String, u32> {
    (1..)
        .zip(lines(corpus))
        .map(|(number, line)| {
            let record: Value = serde_json::from_str(&line).unwrap();
            (record["id"].as_str().unwrap().to_owned(), number)
        })
        .collect()
}

fn lines(path: &Path) -> impl Iterator<Item = String> {
    let file = BufReader::new(MultiGzDecoder::new(File::open(path).unwrap()));
    file.lines().map(Result::unwrap)
}

fn number(field: &str) -> u32 {
    field.trim().parse().unwrap()
}
