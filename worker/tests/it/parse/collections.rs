//! Real PDFs and hostile ones, from collections beside the repository; without them these tests say so and pass.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table for whoever runs the tests with --nocapture"
)]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use lectern_worker::ingest::parse::ParseFailure;

use super::{Outcome, flat, read};

/// A folder of test files beside the repository; none in a clone that has no such neighbour.
fn shared(folder: &str) -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    if !shared.exists() {
        eprintln!("skipped: {} does not exist", shared.display());
        return None;
    }
    Some(shared.join("eval").join(folder))
}

#[tokio::test]
async fn real_pdfs_have_their_phrases_on_the_right_pages() {
    let Some(folder) = shared("pdf") else { return };
    let expected = [
        (
            "tracemonkey-paper.pdf",
            1,
            "Trace-based Just-in-Time Type Specialization for Dynamic Languages",
        ),
        (
            "tracemonkey-paper.pdf",
            1,
            "that identifies frequently executed loop traces at run-time",
        ),
        ("tracemonkey-paper.pdf", 3, "side exit if v5 is false"),
        (
            "geotopo-textbook-de.pdf",
            40,
            "Abbildung eines Torus auf eine Sphäre",
        ),
        (
            "debian-fhs-3-0.pdf",
            9,
            "files that differ in either of these respects should be located",
        ),
        (
            "debian-maint-guide-ja.pdf",
            30,
            "For certain common free software licenses",
        ),
        (
            "pd-kids-fairy-tales.pdf",
            20,
            "required to renew very often, and by charging a fee for this writing",
        ),
        (
            "french-olap-paper.pdf",
            3,
            "Comme notre langage de résumé de requêtes est adapté aux requêtes OLAP",
        ),
        (
            "siege-of-vicksburg-scan-ocr.pdf",
            3,
            "pretty well riddled with shot and shell",
        ),
        (
            "cweb-manual.pdf",
            1,
            "The CWEB System of Structured Documentation",
        ),
        ("lhc-ligatures-page.pdf", 1, "confi"),
        ("eu-eprtr-tables.pdf", 2, "Chlorinated organic substances"),
        ("linn-sandwich-ocr.pdf", 1, "the"),
    ];
    for (name, number, phrase) in expected {
        let document = read(&folder.join(name)).await.unwrap();
        let page = document
            .pages
            .iter()
            .find(|page| page.number == number)
            .unwrap();
        assert!(
            flat(page).contains(phrase),
            "{name}, page {number}, {phrase:?}"
        );
    }
    let scan = read(&folder.join("linn-scan-no-text.pdf")).await.unwrap();
    assert_eq!(scan.pages[0].text, "", "a scan without a text layer");
}

#[tokio::test]
async fn every_real_pdf_is_read_whole() {
    let Some(folder) = shared("pdf") else { return };
    let manifest = fs::read_to_string(folder.join("MANIFEST.csv")).unwrap();
    let rows = manifest
        .lines()
        .skip(1)
        .map(|row| row.split(',').collect::<Vec<_>>());
    let mut files = 0;
    for row in rows {
        let (name, pages) = (row[0], row[2].parse::<usize>().unwrap());
        let document = read(&folder.join(name)).await.unwrap();
        assert_eq!(
            (document.pages.len(), document.notes.len()),
            (pages, 0),
            "{name}"
        );
        files += 1;
    }
    assert_eq!(files, 38);
}

/// What a hostile file ends in.
enum Expected {
    /// This text on the first page that is read; an empty one for no text at all.
    Text(&'static str),
    Failure(ParseFailure),
    Damaged,
}

fn hostile_expectations() -> Vec<(&'static str, Expected)> {
    use Expected::{Damaged, Failure, Text};
    vec![
        ("cut-debian-maint-guide-en.pdf", Damaged),
        (
            "cut-tracemonkey-paper.pdf",
            Text("Trace-based Just-in-Time Type Specialization"),
        ),
        ("real-bomb-giant.pdf", Text("GIANT JBIG2 BOMB")),
        ("real-bug1020226.pdf", Failure(ParseFailure::NoPages)),
        (
            "real-copy-protected.pdf",
            Text("LayoutParser: A Unified Toolkit"),
        ),
        (
            "real-encrypted-aes256-r6.pdf",
            Failure(ParseFailure::PasswordRequired),
        ),
        (
            "real-encrypted-r3-empty-password.pdf",
            Text("pdf encryption test"),
        ),
        ("real-header-and-eof-only.pdf", Damaged),
        ("real-js-buttons.pdf", Text("Checkboxes")),
        ("real-no-eof.pdf", Text("")),
        ("real-no-trailer.pdf", Text("")),
        ("real-pages-tree-refs.pdf", Text("Pages loop")),
        (
            "real-pdf-rs-284-zero-pages.pdf",
            Failure(ParseFailure::NoPages),
        ),
        ("real-pdf-rs-crash-121-4.pdf", Text("design page")),
        ("real-pdf-rs-crash-122.pdf", Damaged),
        ("real-pdfium-bug-544880.pdf", Failure(ParseFailure::NoPages)),
        (
            "real-poppler-395-fuzzed.pdf",
            Failure(ParseFailure::NoPages),
        ),
        ("real-poppler-67295-page-count.pdf", Text("TestString123")),
        ("real-qpdf-fuzz-99999d.pdf", Text("")),
        (
            "real-stackoverflow-error.pdf",
            Failure(ParseFailure::NotAPdf),
        ),
        (
            "synth-bomb-flate-1g.pdf",
            Failure(ParseFailure::PageTooBig { max: 64 << 20 }),
        ),
        ("synth-count-lies-2g.pdf", Text("only one page here")),
        ("synth-deep-array-100k.pdf", Text("deep")),
        ("synth-empty-file.pdf", Failure(ParseFailure::Empty)),
        ("synth-header-only.pdf", Damaged),
        // Text is text, hidden or not: what it may do to an answer is the prompt's concern.
        (
            "synth-hidden-text-injection.pdf",
            Text("revenue was 12 million"),
        ),
        ("synth-html-named-pdf.pdf", Failure(ParseFailure::NotAPdf)),
        (
            "synth-js-openaction-inert.pdf",
            Text("a page with a script"),
        ),
        (
            "synth-junk-before-header.pdf",
            Text("junk before the header"),
        ),
        ("synth-no-xref-no-trailer.pdf", Text("objects only")),
        (
            "synth-pagetree-cycle.pdf",
            Text("page one of a cyclic tree"),
        ),
        ("synth-recursive-form-xobject.pdf", Text("visible text")),
        ("synth-truncated-mid-stream.pdf", Text("")),
        ("synth-xref-prev-loop.pdf", Text("prev loop")),
        ("synth-zero-pages.pdf", Failure(ParseFailure::NoPages)),
    ]
}

fn is_expected(outcome: &Outcome, expected: &Expected) -> bool {
    match (outcome, expected) {
        (Ok(document), Expected::Text("")) => {
            document.pages.iter().all(|page| page.text.is_empty())
        }
        (Ok(document), Expected::Text(text)) => document
            .pages
            .first()
            .is_some_and(|page| flat(page).contains(text)),
        (Err(failure), Expected::Failure(expected)) => failure == expected,
        (Err(ParseFailure::Damaged(_)), Expected::Damaged) => true,
        _ => false,
    }
}

#[tokio::test]
async fn every_hostile_pdf_ends_as_expected_within_its_limits() {
    let Some(folder) = shared("hostile") else {
        return;
    };
    let expectations = hostile_expectations();
    let files = fs::read_dir(&folder).unwrap().filter_map(Result::ok);
    let pdfs = files
        .filter(|file| {
            file.path()
                .extension()
                .is_some_and(|extension| extension == "pdf")
        })
        .count();
    assert_eq!(
        pdfs,
        expectations.len(),
        "a file without an expectation, or the other way round"
    );

    let (mut table, mut surprises) = (String::new(), Vec::new());
    for (name, expected) in &expectations {
        let start = Instant::now();
        let outcome = read(&folder.join(name)).await;
        let seconds = start.elapsed().as_secs_f32();
        let shown = match &outcome {
            Ok(document) => format!("{} pages, {:?}", document.pages.len(), document.notes),
            Err(failure) => failure.to_string(),
        };
        writeln!(table, "{name:40} {seconds:5.2} s  {shown}").unwrap();
        if !is_expected(&outcome, expected) || seconds > 20.0 {
            surprises.push(*name);
        }
    }
    println!("{table}");
    assert_eq!(surprises, [""; 0]);
}
