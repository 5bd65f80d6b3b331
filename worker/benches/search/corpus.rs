//! The corpus: shards of JSON Lines, which go in as documents of a thousand records, with their source as metadata.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use crate::kept::Place;

/// Where it is.
pub(crate) const COLLECTION: &str = "load";

const RECORDS: usize = 1000;

/// Imports what isn't there yet.
pub(crate) async fn import(place: &Place, shards: &Path) {
    let folder = place.folder.join("corpus");
    if !folder.exists() {
        let partial = place.folder.join("corpus.partial");
        let _ = fs::remove_dir_all(&partial);
        split(shards, &partial);
        fs::rename(&partial, &folder).unwrap();
    }
    place.make_collection(COLLECTION).await;
    for source in sorted(&folder) {
        let name = source.file_name().unwrap().to_string_lossy();
        let metadata = json!({ "source": name }).to_string();
        place.import(COLLECTION, Some(&metadata), &source);
    }
}

/// A folder for each source.
fn split(shards: &Path, folder: &Path) {
    let mut sources: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for shard in sorted(shards) {
        if shard.extension().is_none_or(|extension| extension != "gz") {
            continue;
        }
        let lines = BufReader::new(MultiGzDecoder::new(File::open(shard).unwrap())).lines();
        for line in lines {
            let line = line.unwrap();
            let record: Value = serde_json::from_str(&line).unwrap();
            let source = record["src"].as_str().unwrap().to_owned();
            sources.entry(source).or_default().push(line);
        }
    }
    for (source, lines) in sources {
        let folder = folder.join(&source);
        fs::create_dir_all(&folder).unwrap();
        for (number, records) in lines.chunks(RECORDS).enumerate() {
            let path = folder.join(format!("{source}-{number:03}.jsonl"));
            let mut file = BufWriter::new(File::create(path).unwrap());
            for record in records {
                writeln!(file, "{record}").unwrap();
            }
        }
    }
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}
