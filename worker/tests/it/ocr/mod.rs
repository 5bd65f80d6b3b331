//! Scans in, text with its places out; with the real Tesseract, and with programs that only say they are it.

mod ends;
pub(crate) mod scans;

use std::{fs::File, path::Path};

use clap::Parser;
use lectern_shared::{failure::Failure, store::chunks::Bounds};
use lectern_worker::{
    config::OcrSettings,
    ingest::{
        ocr::{self, Ocr},
        parse::{Page, PageProgress, ParseLimits, ParsedDocument, parse},
    },
};
use serde_json::json;
use tokio::sync::Semaphore;

use self::scans::{WORKER, require_tesseract, scan};
use crate::support::{Lectern, evaluation_file, own_file, pdfium_path};

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    ocr: OcrSettings,
}

fn settings(arguments: &[&str]) -> OcrSettings {
    Settings::parse_from([&["test"], arguments].concat()).ocr
}

struct Outcome {
    document: ParsedDocument,
    why_none: Failure,
    progress: Vec<PageProgress>,
}

/// Parses and then recognises, as an ingest does.
async fn read(path: &Path, arguments: &[&str]) -> Outcome {
    let open = || File::open(path).unwrap();
    let (limits, pdfium) = (ParseLimits::default(), pdfium_path());
    let worker = Path::new(WORKER);
    let mut document = parse(
        open(),
        lectern_shared::media::MediaType::Pdf,
        worker,
        &pdfium,
        &limits,
        None,
        &mut |_| {},
    )
    .await
    .unwrap();
    let mut progress = Vec::new();
    let settings = settings(arguments);
    let ocr = Ocr {
        program: worker,
        pdfium: &pdfium,
        limits: &limits,
        password: None,
        settings: &settings,
        places: &Semaphore::new(settings.places()),
    };
    let mut on_page = |page| progress.push(page);
    let why_none = ocr::read(&mut document, open(), &ocr, &mut on_page).await;
    Outcome {
        document,
        why_none,
        progress,
    }
}

fn flat(page: &Page) -> String {
    page.text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where the line with these words stands.
fn place(page: &Page, words: &str) -> [f32; 4] {
    let line = page
        .lines
        .iter()
        .find(|line| page.text[line.start..line.end].contains(words));
    let Bounds(bounds) = line
        .unwrap_or_else(|| panic!("no {words:?} in {page:?}"))
        .bounds;
    bounds
}

fn assert_near(found: [f32; 4], expected: [f32; 4]) {
    let is_near = found
        .iter()
        .zip(expected)
        .all(|(found, expected)| (found - expected).abs() < 0.008);
    assert!(is_near, "{found:?} is not near {expected:?}");
}

/// The first line of the handbook's second page under its title, as `make.py` has set it: 11 points high letters from
/// 72 points on, on a line 744 points above the lower edge of 842.
const FIRST_LINE: &str = "A night may cost up to 138 euros";
const FIRST_LINE_PLACE: [f32; 4] = [72.0 / 595.0, 1.0 - 752.5 / 842.0, 0.81, 1.0 - 741.5 / 842.0];

#[tokio::test]
async fn a_scanned_page_is_found_and_cited_at_its_place_among_pages_with_text() {
    require_tesseract();
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let file = scan(&own_file("handbook.pdf"), &[2], 0).await;
    let document = lectern.add_ready(file.path()).await;
    let notes = document["notes"].to_string();
    assert!(
        notes.contains("page 2: read by OCR (English), 9"),
        "{notes}"
    );

    let events = lectern
        .events(
            &format!(
                "/api/v1/documents/{}/events",
                document["id"].as_str().unwrap()
            ),
            None,
        )
        .await
        .rest()
        .await;
    let progress =
        |event: &&crate::support::Event| event.name == "progress" && event.data["stage"] == "ocr";
    let last = events.iter().rfind(progress).unwrap();
    assert_eq!(
        (&last.data["done"], &last.data["total"]),
        (&json!(1), &json!(1))
    );

    let answer = lectern
        .answer("How much may a hotel night cost in Zurich?")
        .await;
    assert!(
        answer["answer"].as_str().unwrap().contains("175 euros"),
        "{answer}"
    );
    let source = &answer["sources"][0];
    assert_eq!(source["page_last"], 2);
    let boxes: Vec<[f32; 4]> = source["spans"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|span| span["boxes"].as_array().cloned().unwrap_or_default())
        .map(|bounds| serde_json::from_value(bounds).unwrap())
        .collect();
    let is_there = |found: &[f32; 4]| (found[3] - FIRST_LINE_PLACE[3]).abs() < 0.008;
    assert!(boxes.iter().any(is_there), "{source}");
}

#[tokio::test]
async fn the_text_of_a_scan_has_its_words_lines_paragraphs_and_places() {
    require_tesseract();
    let file = scan(&own_file("handbook.pdf"), &[2, 3], 0).await;
    let Outcome {
        document, progress, ..
    } = read(file.path(), &[]).await;
    let page = &document.pages[1];
    assert!(flat(page).contains("In Zurich, London and Copenhagen the limit is 175 euros."));
    assert!(
        flat(page).contains("Where breakfast is included"),
        "a word cut at a line end"
    );
    assert!(
        page.text.contains("full price then.\n\n4. Daily allowance"),
        "{}",
        page.text
    );
    assert_near(place(page, FIRST_LINE), FIRST_LINE_PLACE);
    let mut told: Vec<_> = progress
        .iter()
        .map(|page| (page.done, page.total))
        .collect();
    told.dedup();
    assert_eq!(told, [(0, 2), (1, 2), (2, 2)]);

    assert!(document.notes[0].starts_with("pages 2–3: read by OCR (English), 9"));
}

#[tokio::test]
async fn a_scan_that_is_shown_turned_is_read_and_its_boxes_are_of_the_page_as_shown() {
    require_tesseract();
    // Turned by the file, so that the page as shown lies on its side, as from a scanner that was fed so.
    let file = scan(&own_file("handbook.pdf"), &[2], 90).await;
    let Outcome { document, .. } = read(file.path(), &[]).await;
    let [left, top, right, bottom] = place(&document.pages[1], FIRST_LINE);
    let [x, upper, end, lower] = FIRST_LINE_PLACE;
    assert_near(
        [left, top, right, bottom],
        [1.0 - lower, x, 1.0 - upper, end],
    );
}

#[tokio::test]
async fn ocr_reads_pages_without_text_or_all_or_none_as_it_is_told() {
    require_tesseract();
    let file = scan(&own_file("handbook.pdf"), &[2], 0).await;

    let auto = read(file.path(), &["--ocr=auto"]).await.document;
    assert!(flat(&auto.pages[1]).contains("175 euros"));
    assert!(
        auto.pages[0].headings.len() > 1,
        "page 1 keeps its own text"
    );

    let off = read(file.path(), &["--ocr=off"]).await;
    assert_eq!(off.document.pages[1].text, "");
    assert_eq!(off.why_none, Failure::OcrOff);
    assert!(off.progress.is_empty());
    let note = &off.document.notes[0];
    assert!(
        note.starts_with("page 2: no text") && note.contains("LECTERN_OCR=auto"),
        "{note}"
    );

    let force = read(&own_file("turned.pdf"), &["--ocr=force"])
        .await
        .document;
    let note = &force.notes[0];
    assert!(note.starts_with("page 1: read by OCR"), "{note}");
    assert!(flat(&force.pages[0]).contains("The first line of a turned page"));
}

#[tokio::test]
async fn pages_beyond_the_limit_stay_without_text_and_are_named() {
    require_tesseract();
    let file = scan(&own_file("handbook.pdf"), &[1, 2, 3], 0).await;
    let outcome = read(file.path(), &["--ocr-pages-max=1"]).await;
    assert!(flat(&outcome.document.pages[0]).contains("Travel Policy"));
    assert_eq!(outcome.document.pages[2].text, "");
    let notes = outcome.document.notes.join("\n");
    assert!(notes.contains("pages 2–3: not read by OCR"), "{notes}");
    assert!(notes.contains("LECTERN_OCR_PAGES_MAX"), "{notes}");
}

#[tokio::test]
async fn a_picture_without_words_has_no_text_and_the_failure_is_that_none_was_found() {
    require_tesseract();
    let outcome = read(&own_file("no-text.pdf"), &[]).await;
    assert_eq!(
        (outcome.document.pages[0].text.as_str(), outcome.why_none),
        ("", Failure::NoText)
    );
    assert_eq!(outcome.document.notes, ["page 1: OCR found no text"]);
}

#[tokio::test]
async fn a_real_scan_is_read_nearly_without_mistakes() {
    require_tesseract();
    let (Some(scan), Some(truth)) = (
        evaluation_file("pdf/linn-scan-no-text.pdf"),
        evaluation_file("pdf/groundtruth/linn-scan-no-text.txt"),
    ) else {
        tracing::warn!("skipped: no evaluation data beside this checkout");
        return;
    };
    let truth = std::fs::read_to_string(truth).unwrap();
    let document = read(&scan, &[]).await.document;
    let f1 = token_f1(&document.pages[0].text, &truth);
    assert!(f1 > 0.97, "{f1}");
}

/// How many words two texts have in common, as the harmonic mean of precision and recall.
fn token_f1(found: &str, truth: &str) -> f64 {
    let words = |text: &str| {
        let mut counts = std::collections::HashMap::<String, usize>::new();
        let lower = text.to_lowercase();
        for word in lower
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
        {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
        counts
    };
    let (found, truth) = (words(found), words(truth));
    let common: usize = found
        .iter()
        .map(|(word, &count)| count.min(truth.get(word).copied().unwrap_or(0)))
        .sum();
    let all: usize = found.values().chain(truth.values()).sum();
    2.0 * common as f64 / all as f64
}
