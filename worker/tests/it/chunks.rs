//! Chunks: of any text, every word once, none too long, each standing where its spans say.

use lectern_worker::{
    ingest::{
        chunk::{Chunk, Chunker},
        parse::{Heading, Page},
    },
    models::TokenCounter,
};
use proptest::{
    prelude::{Just, ProptestConfig, Strategy, prop_oneof},
    proptest,
};

use crate::support::model_settings;

fn tokens() -> TokenCounter {
    TokenCounter::open(&model_settings().dir).unwrap()
}

fn page(number: u32, text: &str, titles: &[&str]) -> Page {
    let headings = titles.iter().map(|title| {
        let start = text.find(title).unwrap();
        Heading {
            start,
            end: start + title.len(),
            level: 1,
        }
    });
    Page {
        number,
        text: text.to_owned(),
        headings: headings.collect(),
        ..Page::default()
    }
}

/// What a reader would find at the chunk's spans.
fn at_spans(pages: &[Page], chunk: &Chunk) -> String {
    let cut = |span: &lectern_shared::store::chunks::Span| {
        let page = pages.iter().find(|page| page.number == span.page).unwrap();
        let length = (span.end - span.start) as usize;
        page.text
            .chars()
            .skip(span.start as usize)
            .take(length)
            .collect::<String>()
    };
    chunk.spans.iter().map(cut).collect::<Vec<_>>().join("\n")
}

fn words<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts
        .flat_map(|text| text.chars().filter(|c| !c.is_whitespace()))
        .collect()
}

fn check(tokens: &TokenCounter, pages: &[Page], tokens_max: usize) {
    let chunks = Chunker::new(tokens.clone(), tokens_max)
        .chunks(pages)
        .unwrap();
    assert_eq!(
        words(chunks.iter().map(|chunk| chunk.text.as_str())),
        words(pages.iter().map(|page| page.text.as_str())),
        "every word once and in order"
    );
    for chunk in &chunks {
        assert_eq!(chunk.text, at_spans(pages, chunk));
        assert!(
            chunk.tokens <= tokens_max,
            "{} tokens in {chunk:?}",
            chunk.tokens
        );
        assert!(!chunk.text.trim().is_empty());
        assert!(chunk.page_first() <= chunk.page_last());
    }
}

/// Text as it comes out of PDFs, and as it should not: scripts without blanks, endless words, lone marks.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,12}",
        "[A-Z][a-z]{2,8}\\. ",
        "[\u{4e00}-\u{4e40}]{1,40}",
        "[\u{0e01}-\u{0e30}]{1,30}",
        "[a-f0-9]{200,900}",
        "\\PC{0,6}",
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("e\u{301} 👩‍👩‍👧 ".to_owned()),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

#[test]
fn of_any_text_every_word_stands_once_in_a_chunk_that_is_not_too_long() {
    let tokens = tokens();
    proptest!(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }, |(texts in proptest::collection::vec(text(), 1..4), tokens_max in 16_usize..254)| {
        let pages: Vec<_> = (1..).zip(&texts).map(|(number, text)| page(number, text, &[])).collect();
        check(&tokens, &pages, tokens_max);
    });
}

#[test]
fn sentences_are_not_cut_and_do_not_end_at_the_ends_of_lines() {
    let text = "The pump is\nprimed first. Then the valve\nis opened by hand. After a minute the lamp goes out.";
    let chunks = Chunker::new(tokens(), 16)
        .chunks(&[page(1, text, &[])])
        .unwrap();
    let texts: Vec<_> = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "The pump is\nprimed first. Then the valve\nis opened by hand.",
            "After a minute the lamp goes out."
        ]
    );
}

#[test]
fn a_heading_begins_a_chunk_and_gives_it_its_name() {
    let body =
        "It is opened by hand and closed by a spring, after which the lamp beside it goes out. "
            .repeat(3);
    let text = format!("Valves\n\n{body}\n\nPumps\n\n{body}");
    let chunks = Chunker::new(tokens(), 100)
        .chunks(&[page(1, &text, &["Valves", "Pumps"])])
        .unwrap();
    assert_eq!(chunks.len(), 2, "{chunks:?}");
    assert!(chunks[0].text.starts_with("Valves") && chunks[1].text.starts_with("Pumps"));
    assert_eq!(chunks[1].heading.as_deref(), Some("Pumps"));
}

#[test]
fn a_heading_at_the_end_of_a_chunk_goes_with_what_it_heads() {
    // Too little before the heading for it to begin a chunk by itself, and too much after it to fit in.
    let sentence = "A pump that runs dry is stopped at once by its guard, which looks at the level in the tank, at the \
                    pressure behind the valve and at the warmth of the bearings ten times in a second.";
    let pages = [page(
        1,
        &format!("See below.\n\nPumps\n\n{sentence}"),
        &["Pumps"],
    )];
    let tokens = tokens();
    let tokens_max = tokens.count("Pumps").unwrap() + tokens.count(sentence).unwrap();
    let chunks = Chunker::new(tokens, tokens_max).chunks(&pages).unwrap();
    assert_eq!(chunks.len(), 2, "{chunks:?}");
    assert_eq!(chunks[0].text, "See below.");
    assert!(chunks[1].text.starts_with("Pumps"));
}

#[test]
fn a_chunk_over_two_pages_names_both() {
    let pages = [
        page(3, "The valve is opened", &[]),
        page(4, "by hand and closed by a spring.", &[]),
    ];
    let chunks = Chunker::new(tokens(), 100).chunks(&pages).unwrap();
    assert_eq!(chunks.len(), 1);
    assert_eq!((chunks[0].page_first(), chunks[0].page_last()), (3, 4));
    assert_eq!(
        chunks[0].text,
        "The valve is opened\nby hand and closed by a spring."
    );
}
