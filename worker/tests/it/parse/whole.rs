//! What holds for every page of every PDF: those beside the repository where they are, else the tests' own.

use std::fs;
use std::path::{Path, PathBuf};

use lectern_worker::ingest::{
    chunk::{ChunkSettings, Chunker},
    parse::{Bounds, Page, PlacedLine},
};
use lectern_worker::models::TokenCounter;

use super::{own, read};
use crate::support::model_settings;

fn pdfs() -> Vec<PathBuf> {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/eval/pdf");
    let own = own("handbook.pdf").parent().unwrap().to_owned();
    let mut files = Vec::new();
    for folder in [own, real].into_iter().filter(|folder| folder.exists()) {
        let entries = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|kind| kind == "pdf")));
    }
    files.sort();
    files
}

/// The parser's parent refuses pages whose parts don't fit each other; this is about what else readers rely on.
fn assert_placed(page: &Page, name: &str) {
    let mut at = 0;
    for line in &page.lines {
        let between = &page.text[at..line.start];
        assert!(
            between.trim().is_empty(),
            "{name}, page {}: {between:?} is nowhere",
            page.number
        );
        let text = &page.text[line.start..line.end];
        assert!(
            !text.trim().is_empty() && !text.contains('\n'),
            "{name}, page {}: {text:?}",
            page.number
        );
        at = line.end;
    }
    let rest = &page.text[at..];
    assert!(
        rest.trim().is_empty(),
        "{name}, page {}: {rest:?} is nowhere",
        page.number
    );
}

fn is_visible(line: &&PlacedLine) -> bool {
    let Bounds([left, top, right, bottom]) = line.bounds;
    left < right && top < bottom
}

#[tokio::test]
async fn every_line_has_its_box_and_every_passage_stands_verbatim_at_its_spans() {
    let tokens = TokenCounter::open(&model_settings().dir).unwrap();
    let chunker = Chunker::new(
        tokens,
        ChunkSettings {
            tokens: 256,
            overlap_tokens: 0,
            embed_headings: true,
            join_pages: true,
        },
    );
    let (mut pages, mut passages, mut lines, mut visible) = (0, 0, 0, 0);
    for path in pdfs() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // The hostile ones among the tests' own fail, as other tests say.
        let Ok(document) = read(&path).await else {
            continue;
        };
        for page in &document.pages {
            assert_placed(page, &name);
            lines += page.lines.len();
            visible += page.lines.iter().filter(is_visible).count();
        }
        for chunk in chunker.chunks(&document.pages).unwrap() {
            let mut rest = chunk.text.as_str();
            for span in &chunk.spans {
                let page = document
                    .pages
                    .iter()
                    .find(|page| page.number == span.page)
                    .unwrap();
                let characters = page.text.chars().skip(span.start as usize);
                let text: String = characters.take((span.end - span.start) as usize).collect();
                let after = rest.trim_start().strip_prefix(text.as_str());
                rest =
                    after.unwrap_or_else(|| panic!("{name}: {text:?} is not in {:?}", chunk.text));
                assert!(!span.boxes.is_empty(), "{name}: {text:?} is nowhere");
            }
            assert!(rest.trim().is_empty(), "{name}: {rest:?} is in no span");
            passages += 1;
        }
        pages += document.pages.len();
    }
    assert!(
        pages >= 20 && passages >= 20,
        "{pages} pages, {passages} passages"
    );
    // Files hold some text beside their pages: printers' marks, which readers don't see.
    assert!(visible * 100 >= lines * 98, "{visible} of {lines} boxes");
}
