//! Chunks: of any text, every word once, none too long, each standing where its spans say.

use std::path::Path;

use lectern_shared::store::chunks::Span;
use lectern_worker::{
    ingest::{
        chunk::{Chunk, ChunkSettings, Chunker},
        parse::{self, Bounds, Heading, Page, ParseLimits, PlacedLine, Rows},
    },
    models::TokenCounter,
};
use proptest::{
    prelude::{Just, ProptestConfig, Strategy, prop_oneof},
    proptest,
};
use serde_json::json;

use crate::support::{Lectern, evaluation_file, model_settings, own_file, pdfium_path};

fn tokens() -> TokenCounter {
    TokenCounter::open(&model_settings().dir).unwrap()
}

fn chunker(counter: TokenCounter, tokens: usize) -> Chunker {
    let settings = ChunkSettings {
        tokens,
        overlap_tokens: 0,
        embed_headings: true,
        join_pages: true,
    };
    Chunker::new(counter, settings)
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
    let cut = |span: &Span| {
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

/// A page whose every part is of one kind.
#[derive(Clone, Debug)]
enum Part {
    Text,
    Furniture,
    Heading(u8),
    Row,
}

fn page_of(number: u32, parts: &[(Part, String)]) -> Page {
    let mut page = Page {
        number,
        ..Page::default()
    };
    let mut rows = Vec::new();
    for (part, text) in parts {
        let (start, end) = (page.text.len(), page.text.len() + text.len());
        page.text.push_str(text);
        match part {
            Part::Text => {}
            Part::Furniture => page.furniture.push(start..end),
            Part::Heading(level) => page.headings.push(Heading {
                start,
                end,
                level: *level,
            }),
            Part::Row => rows.push((start, u32::try_from(rows.len()).unwrap() + 1)),
        }
        // Each line says in its box which bytes it is of.
        page.lines.push(PlacedLine {
            start,
            end,
            bounds: Bounds([start as f32, 0.0, end as f32, 0.0]),
        });
    }
    if !rows.is_empty() {
        page.rows = Some(Rows {
            noun: "rows".to_owned(),
            starts: rows,
        });
    }
    page
}

/// Where the characters that chunks should hold stand: page, and place among its characters.
fn wanted(pages: &[Page]) -> Vec<(u32, u32)> {
    let mut wanted = Vec::new();
    for page in pages {
        for (place, (byte, c)) in (0..).zip(page.text.char_indices()) {
            let is_furniture = page.furniture.iter().any(|range| range.contains(&byte));
            if !c.is_whitespace() && !is_furniture {
                wanted.push((page.number, place));
            }
        }
    }
    wanted
}

/// Where those that a chunk holds stand.
fn held(pages: &[Page], chunk: &Chunk) -> Vec<(u32, u32)> {
    let mut held = Vec::new();
    for span in &chunk.spans {
        let page = pages.iter().find(|page| page.number == span.page).unwrap();
        for (place, c) in (0..).zip(page.text.chars()) {
            if (span.start..span.end).contains(&place) && !c.is_whitespace() {
                held.push((span.page, place));
            }
        }
    }
    held
}

fn boxes_of(page: &Page, span: &Span) -> Vec<Bounds> {
    let byte = |place: u32| {
        let mut all = page.text.char_indices().map(|(byte, _)| byte);
        all.nth(place as usize).unwrap_or(page.text.len())
    };
    let (start, end) = (byte(span.start), byte(span.end));
    let lines = page.lines.iter();
    lines
        .filter(|line| line.start < end && start < line.end)
        .map(|line| line.bounds)
        .collect()
}

fn check(tokens: &TokenCounter, pages: &[Page], settings: ChunkSettings) {
    let chunks = Chunker::new(tokens.clone(), settings)
        .chunks(pages)
        .unwrap();
    let mut all: Vec<_> = chunks.iter().flat_map(|chunk| held(pages, chunk)).collect();
    if settings.overlap_tokens > 0 {
        all.sort_unstable();
        all.dedup();
    }
    assert_eq!(
        all,
        wanted(pages),
        "every word once and in order, and no furniture"
    );
    for chunk in &chunks {
        assert_eq!(chunk.text, at_spans(pages, chunk));
        assert!(
            chunk.tokens <= settings.tokens,
            "{} tokens in {chunk:?}",
            chunk.tokens
        );
        let embedded = chunk.embedded();
        assert!(embedded.ends_with(&chunk.text));
        assert!(tokens.count(&embedded).unwrap() <= tokens.text_tokens_max());
        assert!(!chunk.text.trim().is_empty());
        assert!(chunk.page_first() <= chunk.page_last());
        for span in &chunk.spans {
            let page = pages.iter().find(|page| page.number == span.page).unwrap();
            assert_eq!(span.boxes, boxes_of(page, span));
        }
    }
}

/// Text as it comes out of PDFs, and as it should not: scripts without blanks, endless words, lone marks.
fn text(pieces_max: usize) -> impl Strategy<Value = String> {
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
    proptest::collection::vec(piece, 0..pieces_max).prop_map(|pieces| pieces.concat())
}

fn parts() -> impl Strategy<Value = Vec<(Part, String)>> {
    let part = prop_oneof![
        4 => Just(Part::Text),
        2 => Just(Part::Furniture),
        2 => (1..=6_u8).prop_map(Part::Heading),
        1 => Just(Part::Row),
    ];
    proptest::collection::vec((part, text(20)), 0..8)
}

#[test]
fn of_any_text_every_word_stands_once_in_a_chunk_that_is_not_too_long() {
    let tokens = tokens();
    let pages = proptest::collection::vec(parts(), 1..4);
    let cases = ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(cases, |(pages in pages, tokens_max in 16_usize..254, overlap in prop_oneof![Just(0), 1..60_usize], embed_headings: bool, join_pages: bool)| {
        let pages: Vec<_> = (1..).zip(&pages).map(|(number, parts)| page_of(number, parts)).collect();
        let settings = ChunkSettings { tokens: tokens_max, overlap_tokens: overlap, embed_headings, join_pages };
        check(&tokens, &pages, settings);
    });
}

#[tokio::test]
async fn every_passage_of_real_pdfs_stands_verbatim_where_its_spans_say() {
    let folders = evaluation_file("retrieval/squad-pdf/pdf").into_iter();
    let files = folders.chain([own_file("")]).flat_map(|folder| {
        let files = std::fs::read_dir(folder).unwrap();
        files.map(|file| file.unwrap().path())
    });
    let tokens = tokens();
    let mut chunks_seen = 0;
    for path in files.filter(|path| path.extension().is_some_and(|kind| kind == "pdf")) {
        let parsed = parse::parse(
            std::fs::File::open(&path).unwrap(),
            lectern_shared::media::MediaType::Pdf,
            Path::new(env!("CARGO_BIN_EXE_lectern-worker")),
            &pdfium_path(),
            &ParseLimits::default(),
            None,
            &mut |_| {},
        )
        .await;
        // Those of our own that can't be read have tests of their own.
        let Ok(parsed) = parsed else { continue };
        let chunks = chunker(tokens.clone(), 200).chunks(&parsed.pages).unwrap();
        for chunk in &chunks {
            assert_eq!(chunk.text, at_spans(&parsed.pages, chunk), "{path:?}");
        }
        chunks_seen += chunks.len();
    }
    assert!(chunks_seen > 0);
}

#[test]
fn sentences_are_not_cut_and_do_not_end_at_the_ends_of_lines() {
    let text = "The pump is\nprimed first. Then the valve\nis opened by hand. After a minute the lamp goes out.";
    let chunks = chunker(tokens(), 16).chunks(&[page(1, text, &[])]).unwrap();
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
    let chunks = chunker(tokens(), 100)
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
    let chunks = chunker(tokens, tokens_max).chunks(&pages).unwrap();
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
    let chunks = chunker(tokens(), 100).chunks(&pages).unwrap();
    assert_eq!(chunks.len(), 1);
    assert_eq!((chunks[0].page_first(), chunks[0].page_last()), (3, 4));
    assert_eq!(
        chunks[0].text,
        "The valve is opened\nby hand and closed by a spring."
    );
}

#[test]
fn a_sentence_goes_on_after_a_page_break_and_the_running_head() {
    let pages = [
        page_of(
            1,
            &[
                (Part::Text, "It is old. The valve is opened".to_owned()),
                (Part::Furniture, "\n\n7".to_owned()),
            ],
        ),
        page_of(
            2,
            &[
                (Part::Furniture, "Pumps\n\n".to_owned()),
                (
                    Part::Text,
                    "by hand and closed by a spring. A lamp goes out after a minute.".to_owned(),
                ),
            ],
        ),
    ];
    let chunks = chunker(tokens(), 18).chunks(&pages).unwrap();
    let texts: Vec<_> = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "It is old. The valve is opened\nby hand and closed by a spring.",
            "A lamp goes out after a minute."
        ]
    );
    assert_eq!(chunks[0].text, at_spans(&pages, &chunks[0]));
    assert_eq!((chunks[0].page_first(), chunks[0].page_last()), (1, 2));
}

/// Sections with a sentence each.
fn sections(titles: &[(u8, &str)]) -> Page {
    let body =
        "It is opened by hand and closed by a spring, after which the lamp beside it goes out. ";
    let parts = titles.iter().flat_map(|&(level, title)| {
        [
            (Part::Heading(level), title.to_owned()),
            (Part::Text, format!("\n\n{}\n\n", body.repeat(3))),
        ]
    });
    page_of(1, &parts.collect::<Vec<_>>())
}

#[test]
fn a_chunk_knows_the_titles_above_it_and_the_model_reads_those_that_it_does_not_show() {
    let titles = [
        (1, "3 Methods"),
        (2, "3.1 Scope"),
        (2, "3.2 Data"),
        (1, "4 End"),
    ];
    let chunks = chunker(tokens(), 80).chunks(&[sections(&titles)]).unwrap();
    let headings: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk.heading.as_deref())
        .collect();
    assert_eq!(
        headings,
        [
            "3 Methods",
            "3 Methods › 3.1 Scope",
            "3 Methods › 3.2 Data",
            "4 End"
        ]
    );
    assert!(chunks[2].text.starts_with("3.2 Data"));
    assert_eq!(
        chunks[2].embedded(),
        format!("3 Methods\n{}", chunks[2].text)
    );
    assert_eq!(chunks[3].embedded(), chunks[3].text);
}

#[test]
fn rows_are_not_cut_and_the_place_names_them() {
    let rows: Vec<_> = (1..=20)
        .map(|row| (Part::Row, format!("Item {row}. It costs {row} euros.\n")))
        .collect();
    let mut sheet = page_of(1, &rows);
    sheet.label = Some("Costs".to_owned());
    let chunks = chunker(tokens(), 40).chunks(&[sheet]).unwrap();
    assert!(chunks.len() > 2);
    for chunk in &chunks {
        assert!(
            chunk.text.starts_with("Item") && chunk.text.ends_with("euros."),
            "{chunk:?}"
        );
        let place = chunk.place.as_deref().unwrap();
        let first = chunk.text.split(['.', ' ']).nth(1).unwrap();
        assert!(
            place.starts_with(&format!("Costs, rows {first}–")),
            "{place}: {chunk:?}"
        );
    }
    assert!(
        chunks
            .last()
            .unwrap()
            .place
            .as_deref()
            .unwrap()
            .ends_with("–20")
    );
}

#[test]
fn an_overlap_repeats_whole_sentences_of_the_same_section() {
    let settings = ChunkSettings {
        tokens: 64,
        overlap_tokens: 22,
        embed_headings: true,
        join_pages: true,
    };
    let pages = [sections(&[(1, "Valves"), (1, "Pumps")])];
    let chunks = Chunker::new(tokens(), settings).chunks(&pages).unwrap();
    let sentence =
        "It is opened by hand and closed by a spring, after which the lamp beside it goes out.";
    let starts: Vec<_> = chunks
        .iter()
        .map(|chunk| (chunk.spans[0].start, chunk.text.matches(sentence).count()))
        .collect();
    assert_eq!(chunks.len(), 4, "{chunks:?}");
    assert!(chunks[1].text.starts_with(sentence), "{starts:?}");
    assert!(
        chunks[1].spans[0].start < chunks[0].spans[0].end,
        "{starts:?}"
    );
    assert!(chunks[2].text.starts_with("Pumps"), "{starts:?}");
}

#[tokio::test]
async fn the_settings_of_a_collection_say_how_its_documents_are_cut() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let own = lectern.add_ready(&own_file("handbook.pdf")).await;
    let body = json!({"settings": {"chunk_tokens": 24}});
    let changed = lectern
        .request("PATCH", "/api/v1/collections/default")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(changed.status(), 200);
    let document = own["id"].as_str().unwrap();
    let path = format!("/api/v1/documents/{document}/reingest");
    let again = lectern.request("POST", &path).send().await.unwrap();
    assert_eq!(again.status(), 202);
    let cut = lectern.settled(document).await;
    assert!(
        cut["chunks"].as_u64() > own["chunks"].as_u64(),
        "{cut} {own}"
    );
    let longest: i32 =
        sqlx::query_scalar("select max(tokens) from chunks where document_id = $1::uuid")
            .bind(document)
            .fetch_one(&lectern.place.pool)
            .await
            .unwrap();
    assert!(longest <= 24, "{longest}");
}
