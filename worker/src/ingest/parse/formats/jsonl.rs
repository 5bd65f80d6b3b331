//! JSON Lines, for loading many texts at once: a record a line, `{"text": …}` with perhaps a `title` and an `id` or a
//! `url`. The file may be packed by gzip.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;

use super::super::{ParseFailure, ParseLimits, ParsedDocument};
use super::parts::{Parts, clean};
use super::{damaged, text};

#[derive(Deserialize)]
struct Record {
    text: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    url: Option<String>,
}

impl Record {
    /// What people would know it by.
    fn name(&self) -> Option<String> {
        let title = self.title.clone().filter(|title| !title.trim().is_empty());
        title.or_else(|| self.url.clone()).or_else(|| {
            let id = self.id.as_ref()?;
            Some(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
        })
    }
}

pub(super) fn read(bytes: &[u8], limits: &ParseLimits) -> Result<ParsedDocument, ParseFailure> {
    let unpacked;
    let bytes = if bytes.starts_with(b"\x1f\x8b") {
        unpacked = unpack(bytes, limits)?;
        &unpacked
    } else {
        bytes
    };
    let text = text::decode(bytes);
    let mut parts = Parts::new(limits, Some("records"));
    let mut unusable = Vec::new();
    let mut records = 0_u32;
    for (number, line) in (1_u32..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let Ok(record) = serde_json::from_str::<Record>(line) else {
            unusable.push(number);
            continue;
        };
        records += 1;
        if let Some(name) = record.name() {
            parts.write(&clean(&name).replace('\n', " "), Some(1), &[(0, number)])?;
        }
        parts.write(&clean(&record.text), None, &[(0, number)])?;
    }
    if records == 0 && !unusable.is_empty() {
        return Err(damaged("no line is a record with a text"));
    }
    let notes = match unusable.as_slice() {
        [] => Vec::new(),
        [line] => vec![format!("line {line} left out: it is no record with a text")],
        [first, ..] => {
            let count = unusable.len();
            vec![format!(
                "{count} lines left out, first line {first}: they are no records with a text"
            )]
        }
    };
    parts.finish(None, notes)
}

fn unpack(bytes: &[u8], limits: &ParseLimits) -> Result<Vec<u8>, ParseFailure> {
    let max = limits.unpacked_bytes_max;
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(max.saturating_add(1))
        .read_to_end(&mut unpacked)
        .map_err(damaged)?;
    if unpacked.len() as u64 > max {
        return Err(ParseFailure::UnpackedTooBig { max });
    }
    Ok(unpacked)
}
