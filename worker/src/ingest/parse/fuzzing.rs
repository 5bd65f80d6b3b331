//! What the fuzzer calls: each takes any bytes and panics when a promise is broken.
//!
//! `fuzz/fuzz_targets` has a file of three lines for each; `make fuzz` runs them. To add one: a function here, a file
//! and a `[[bin]]` there, and maybe a folder of seeds in the Makefile.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use tokio::time::Instant;

use super::super::chunk::{ChunkSettings, Chunker};
use super::columns::in_order;
use super::headings::OutlineTitle;
use super::layout::compose;
use super::lines::Line;
use super::place::{Bounds, Frame};
use super::process::read_messages;
use super::style::Style;
use super::text::Sheet;
use super::{Heading, Page, ParseLimits, gate};
use crate::models::TokenCounter;

/// Enough to meet every limit, small enough to be quick.
fn limits() -> ParseLimits {
    ParseLimits {
        pages_max: 50,
        output_bytes_max: 64 << 10,
        ..ParseLimits::default()
    }
}

/// A file, as the gate judges and repairs it before PDFium may see it.
pub fn gate(bytes: &[u8]) {
    let limits = limits();
    let Ok(mut gated) = gate::inspect(bytes, None, &limits) else {
        return;
    };
    assert!((1..=limits.pages_max).contains(&gated.page_count()));
    assert!(gated.refused_pages.len() < gated.page_count() as usize);
    assert!(
        gated
            .title
            .as_ref()
            .is_none_or(|title| !title.contains('\0'))
    );
    if std::mem::take(&mut gated.needs_rewrite) {
        let pages = gated.page_count();
        if let Ok(rewritten) = gated.rewrite() {
            // What is written anew must not need it again.
            let again = gate::inspect(&rewritten, None, &limits).expect("our own copy is sound");
            assert_eq!(again.page_count(), pages, "pages of the copy");
        }
    }
}

/// A child's output, of which the parent believes nothing.
pub fn protocol(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let limits = limits();
    let mut told = 0;
    let mut on_page = |_| told += 1;
    let deadline = Instant::now() + Duration::from_secs(60);
    let reading = read_messages(bytes, &limits, deadline, &mut on_page);
    let Ok(document) = runtime.block_on(reading) else {
        return;
    };
    assert_eq!(document.pages.len(), told);
    assert!(document.pages.iter().all(Page::is_sound));
    assert!(
        document
            .pages
            .is_sorted_by(|one, next| one.number < next.number)
    );
    let texts = document.title.iter().chain(&document.notes);
    assert!(texts.into_iter().all(|text| !text.contains('\0')));
}

/// Lines that no PDF should have, made into pages.
pub fn layout(bytes: &[u8]) {
    // Bytes that are too few for what they begin make no case.
    let Ok(pages) = pages_of_lines(&mut Unstructured::new(bytes)) else {
        return;
    };
    let mut style = Style::default();
    for (sheet, _) in &pages {
        style.learn(sheet);
    }
    for (sheet, titles) in pages {
        let page = compose(&sheet, &style, &titles);
        assert!(page.is_sound(), "{page:?}");
    }
}

type PageOfLines = (Sheet, Vec<OutlineTitle>);

fn pages_of_lines(bytes: &mut Unstructured<'_>) -> Result<Vec<PageOfLines>> {
    let mut pages = Vec::new();
    for number in 1..=bytes.int_in_range(1..=4)? {
        let mut lines = Vec::new();
        for _ in 0..bytes.int_in_range(0..=20)? {
            lines.push(line(bytes)?);
        }
        let mut titles = Vec::new();
        for _ in 0..bytes.int_in_range(0..=3)? {
            titles.push(OutlineTitle::new(bytes.arbitrary()?, bytes.arbitrary()?));
        }
        let sheet = Sheet {
            number,
            frame: Frame {
                page: bounds(bytes)?,
                shown: bytes.int_in_range(0..=3)?,
                upright: bytes.int_in_range(0..=3)?,
            },
            lines: in_order(lines),
            has_pictures: false,
        };
        pages.push((sheet, titles));
    }
    Ok(pages)
}

fn line(bytes: &mut Unstructured<'_>) -> Result<Line> {
    // The text of a line has none, see `text`.
    let text: String = bytes
        .arbitrary::<&str>()?
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    Ok(Line {
        bounds: bounds(bytes)?,
        size: number(bytes)?,
        is_bold: bytes.arbitrary()?,
        is_hyphenated: bytes.arbitrary()?,
        characters: u32::try_from(text.chars().count()).unwrap_or(u32::MAX),
        text,
    })
}

fn bounds(bytes: &mut Unstructured<'_>) -> Result<Bounds> {
    Ok(Bounds {
        left: number(bytes)?,
        bottom: number(bytes)?,
        right: number(bytes)?,
        top: number(bytes)?,
    })
}

/// Mostly one as pages have them; sometimes any, which includes infinities and none at all.
fn number(bytes: &mut Unstructured<'_>) -> Result<f32> {
    if bytes.ratio(1, 8)? {
        bytes.arbitrary()
    } else {
        Ok(f32::from(bytes.arbitrary::<i16>()?) / 8.0)
    }
}

/// Pages of any text with any headings, cut into chunks.
pub fn chunks(tokens: &TokenCounter, bytes: &[u8]) {
    let Ok((pages, tokens_max)) = pages(&mut Unstructured::new(bytes)) else {
        return;
    };
    let settings = ChunkSettings {
        tokens: tokens_max,
        overlap_tokens: 0,
        embed_headings: true,
        join_pages: true,
    };
    let chunks = Chunker::new(tokens.clone(), settings)
        .chunks(&pages)
        .expect("a tokenizer takes any text");
    let words = |texts: Vec<&str>| -> String {
        let characters = texts.into_iter().flat_map(str::chars);
        characters.filter(|c| !c.is_whitespace()).collect()
    };
    assert_eq!(
        words(chunks.iter().map(|chunk| chunk.text.as_str()).collect()),
        words(pages.iter().map(|page| page.text.as_str()).collect()),
        "every word once and in order"
    );
    for chunk in &chunks {
        assert!(chunk.tokens <= tokens_max, "too long: {chunk:?}");
        let at_spans = chunk.spans.iter().map(|span| {
            let page = pages.iter().find(|page| page.number == span.page);
            let characters = page.expect("a page that there is").text.chars();
            characters
                .skip(span.start as usize)
                .take((span.end - span.start) as usize)
                .collect::<String>()
        });
        let at_spans: Vec<String> = at_spans.collect();
        assert_eq!(chunk.text, at_spans.join("\n"), "verbatim");
    }
}

fn pages(bytes: &mut Unstructured<'_>) -> Result<(Vec<Page>, usize)> {
    let tokens_max = bytes.int_in_range(16..=254)?;
    let mut pages = Vec::new();
    for number in 1..=bytes.int_in_range(1..=4)? {
        let headings = bytes.int_in_range(0..=6)?;
        let mut cuts: Vec<(u16, u16, u8)> = Vec::new();
        for _ in 0..headings {
            cuts.push((
                bytes.arbitrary()?,
                bytes.int_in_range(1..=60)?,
                bytes.int_in_range(1..=6)?,
            ));
        }
        let text = bytes.arbitrary::<&str>()?.replace('\0', " ");
        pages.push(Page {
            number,
            headings: headings_of(&text, &mut cuts),
            text,
            ..Page::default()
        });
    }
    Ok((pages, tokens_max))
}

/// Those of `cuts` (where, how long, which level) that make sound headings of `text`.
fn headings_of(text: &str, cuts: &mut [(u16, u16, u8)]) -> Vec<Heading> {
    cuts.sort_unstable();
    let mut after = 0;
    let mut headings = Vec::new();
    for &mut (start, length, level) in cuts {
        let (start, end) = (usize::from(start), usize::from(start) + usize::from(length));
        if start >= after && text.get(start..end).is_some() {
            headings.push(Heading { start, end, level });
            after = end;
        }
    }
    headings
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::any;
    use proptest::{collection::vec, proptest};

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_break_a_promise_of_the_gate_the_protocol_or_the_layout(bytes in vec(any::<u8>(), 0..2000)) {
            gate(&[b"%PDF-1.7\n", &bytes[..]].concat());
            protocol(&bytes);
            layout(&bytes);
        }
    }

    /// The seeds that the fuzzer begins with.
    #[test]
    fn no_file_of_the_tests_breaks_a_promise_of_the_gate() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files");
        for file in std::fs::read_dir(folder).unwrap() {
            gate(&std::fs::read(file.unwrap().path()).unwrap());
        }
    }
}
