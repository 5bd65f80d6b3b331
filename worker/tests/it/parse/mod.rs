//! Files in, pages or a reason out.

mod collections;
mod formats;
mod layouts;
mod places;
pub(crate) mod processes;
mod whole;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lectern_shared::media::MediaType;
use lectern_worker::ingest::parse::{
    Page, PageProgress, ParseFailure, ParseLimits, ParsedDocument, parse,
};

use crate::support::pdfium_path;

type Outcome = Result<ParsedDocument, ParseFailure>;

const WORKER: &str = env!("CARGO_BIN_EXE_lectern-worker");

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/files")
        .join(name)
}

async fn read_with(path: &Path, limits: &ParseLimits, password: Option<&str>) -> Outcome {
    read_as(MediaType::Pdf, path, limits, password).await
}

async fn read_as(
    media_type: MediaType,
    path: &Path,
    limits: &ParseLimits,
    password: Option<&str>,
) -> Outcome {
    let file = File::open(path).expect("a file of the test's");
    parse(
        file,
        media_type,
        Path::new(WORKER),
        &pdfium_path(),
        limits,
        password,
        &mut |_| {},
    )
    .await
}

async fn read(path: &Path) -> Outcome {
    read_with(path, &ParseLimits::default(), None).await
}

fn headings(page: &Page) -> Vec<(&str, u8)> {
    let titles = page.headings.iter();
    titles
        .map(|heading| (&page.text[heading.start..heading.end], heading.level))
        .collect()
}

/// On one line, as people remember phrases.
fn flat(page: &Page) -> String {
    page.text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_handbook_gives_its_title_its_headings_and_its_facts_page_by_page() {
    let file = File::open(own("handbook.pdf")).unwrap();
    let mut progress = Vec::new();
    let mut on_page = |page| progress.push(page);
    let limits = ParseLimits::default();
    let document = parse(
        file,
        MediaType::Pdf,
        Path::new(WORKER),
        &pdfium_path(),
        &limits,
        None,
        &mut on_page,
    )
    .await
    .unwrap();

    assert_eq!(document.title.as_deref(), Some("Fernhill Travel Policy"));
    assert_eq!(document.notes, [""; 0]);
    assert_eq!(
        progress,
        [1, 2, 3].map(|done| PageProgress { done, total: 3 })
    );
    let pages = &document.pages;
    assert_eq!(
        pages.iter().map(|page| page.number).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    let first = [
        ("Travel Policy of Fernhill Instruments", 1),
        ("1. Planning a trip", 1),
        ("2. Trains and flights", 1),
    ];
    assert_eq!(headings(&pages[0]), first);
    assert_eq!(
        headings(&pages[1]),
        [("3. Hotels", 1), ("4. Daily allowance", 1), ("5. Cars", 1)]
    );
    assert!(
        flat(&pages[0]).contains("the company doctor, Dr. Amara Lindqvist"),
        "a word cut at a line end"
    );
    assert!(flat(&pages[1]).contains("In Zurich, London and Copenhagen the limit is 175 euros."));
    assert!(
        flat(&pages[1])
            .contains("Where breakfast is included in the price of the room, 5.60 euros")
    );
    assert!(flat(&pages[2]).contains("insured under policy FI-20881"));
    assert!(
        pages[2]
            .text
            .starts_with("6. Settling the costs\n\nCosts are entered in Quill"),
        "paragraphs"
    );
}

#[tokio::test]
async fn without_an_outline_headings_are_told_by_their_size() {
    let document = read(&own("coffee.pdf")).await.unwrap();
    let first = [
        ("Bramble 600 Coffee Machine: Operating Manual", 1),
        ("First use", 3),
        ("Making coffee", 3),
        ("Daily care", 3),
    ];
    assert_eq!(headings(&document.pages[0]), first);
    assert_eq!(
        headings(&document.pages[1]),
        [("Error codes", 3), ("Descaling", 3), ("Warranty", 3)]
    );
    assert!(flat(&document.pages[1]).contains("ERR-4711 means that the water tank is empty"));
}

#[tokio::test]
async fn codes_numbers_and_addresses_in_hebrew_are_read_as_they_were_written() {
    let text = read(&own("hebrew.pdf")).await.unwrap().pages[0]
        .text
        .clone();
    for line in [
        "(דגם KX-4711) נמצא",
        "מתחת ל-2.5 בר.",
        "ראו https://example.org/pump או",
        "לטלפון 03-1234567 בין השעות 8:00 ל-16:30.\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn an_encrypted_pdf_is_read_with_its_password_and_with_no_other() {
    let read =
        async |password| read_with(&own("locked.pdf"), &ParseLimits::default(), password).await;
    assert_eq!(read(None).await, Err(ParseFailure::PasswordRequired));
    assert_eq!(
        read(Some("open barley")).await,
        Err(ParseFailure::PasswordWrong)
    );
    let document = read(Some("open sesame")).await.unwrap();
    assert!(flat(&document.pages[0]).contains("is kept by Ms. Okonkwo."));
}

#[tokio::test]
async fn a_cut_file_gives_the_pages_that_are_left_and_says_so() {
    let document = read(&own("cut.pdf")).await.unwrap();
    assert_eq!(document.pages.len(), 3);
    assert!(flat(&document.pages[2]).contains("policy FI-20881"));
    assert!(
        !flat(&document.pages[2]).contains("compensation from the airline"),
        "behind the cut"
    );
    assert!(
        document.notes.iter().any(|note| note.contains("cut file")),
        "{:?}",
        document.notes
    );
}

#[tokio::test]
async fn a_file_with_a_broken_table_is_read_as_the_gate_understood_it() {
    // PDFium mends such files too, but maybe not in the same way: it must read what was judged.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.pdf");
    let mut bytes = fs::read(own("handbook.pdf")).unwrap();
    let table = bytes
        .windows(5)
        .position(|window| window == b"xref\n")
        .unwrap();
    bytes[table..table + 4].copy_from_slice(b"oops");
    fs::write(&path, bytes).unwrap();
    let document = read(&path).await.unwrap();
    assert_eq!(
        document.pages,
        read(&own("handbook.pdf")).await.unwrap().pages
    );
    assert_eq!(
        document.notes,
        [
            "rebuilt the cross-reference table",
            "read from a repaired copy"
        ]
    );
}

#[tokio::test]
async fn a_page_without_text_is_a_page_with_an_empty_text() {
    let document = read(&own("no-text.pdf")).await.unwrap();
    assert_eq!(
        document.pages,
        [Page {
            number: 1,
            has_pictures: true,
            ..Page::default()
        }],
        "what it has instead may show some"
    );
}

#[tokio::test]
async fn the_lines_of_a_page_shown_turned_make_paragraphs() {
    let document = read(&own("turned.pdf")).await.unwrap();
    let text = "The first line of a turned page\nand the second one below it.\n\nA new paragraph.";
    assert_eq!(document.pages[0].text, text);
}

#[tokio::test]
async fn a_page_tree_that_contains_itself_ends() {
    let document = read(&own("cycle.pdf")).await.unwrap();
    assert_eq!(document.pages.len(), 1);
    assert_eq!(document.pages[0].text, "The only page.");
}

#[tokio::test]
async fn a_page_that_expands_too_far_is_left_out_and_the_others_are_read() {
    let document = read(&own("bomb.pdf")).await.unwrap();
    assert_eq!(document.pages.len(), 1);
    assert_eq!(
        (document.pages[0].number, document.pages[0].text.as_str()),
        (2, "This page is fine.")
    );
    assert!(
        document.notes[0].starts_with("page 1 left out"),
        "{:?}",
        document.notes
    );
}

#[tokio::test]
async fn a_drawing_that_expands_too_far_is_left_out_of_its_page() {
    let document = read(&own("form-bomb.pdf")).await.unwrap();
    assert_eq!(document.pages[0].text, "This page is fine.");
    assert!(
        document.notes[0].starts_with("left out drawings"),
        "{:?}",
        document.notes
    );
}

#[tokio::test]
async fn a_file_that_eats_all_its_memory_fails_for_that_alone() {
    assert_eq!(
        read(&own("hungry.pdf")).await,
        Err(ParseFailure::MemoryExceeded)
    );
}

#[tokio::test]
async fn too_little_memory_for_even_a_small_file_is_a_failure_and_no_crash() {
    for megabytes in [8, 24, 48] {
        let limits = ParseLimits {
            memory_bytes_max: megabytes << 20,
            ..ParseLimits::default()
        };
        let outcome = read_with(&own("handbook.pdf"), &limits, None).await;
        assert_eq!(
            outcome,
            Err(ParseFailure::MemoryExceeded),
            "{megabytes} MiB"
        );
    }
}

#[tokio::test]
async fn each_limit_has_its_own_failure() {
    let handbook = own("handbook.pdf");
    let default = ParseLimits::default;
    let pages = read_with(
        &handbook,
        &ParseLimits {
            pages_max: 2,
            ..default()
        },
        None,
    )
    .await;
    assert_eq!(pages, Err(ParseFailure::TooManyPages { pages: 3, max: 2 }));
    let bytes = fs::metadata(&handbook).unwrap().len();
    let size = read_with(
        &handbook,
        &ParseLimits {
            file_bytes_max: bytes - 1,
            ..default()
        },
        None,
    )
    .await;
    assert_eq!(
        size,
        Err(ParseFailure::TooBig {
            bytes,
            max: bytes - 1
        })
    );
    let output = read_with(
        &handbook,
        &ParseLimits {
            output_bytes_max: 2000,
            ..default()
        },
        None,
    )
    .await;
    assert_eq!(output, Err(ParseFailure::OutputTooBig { max: 2000 }));
    let no_time = ParseLimits {
        wall_base: Duration::ZERO,
        wall_per_page: Duration::ZERO,
        ..default()
    };
    assert_eq!(
        read_with(&own("hungry.pdf"), &no_time, None).await,
        Err(ParseFailure::TimedOut)
    );
}

#[tokio::test]
async fn what_is_no_pdf_is_told_from_what_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let read_bytes = async |bytes: &[u8]| {
        let path = folder.path().join("file.pdf");
        fs::write(&path, bytes).unwrap();
        read(&path).await
    };
    assert_eq!(read_bytes(b"").await, Err(ParseFailure::Empty));
    assert_eq!(
        read_bytes(b"<html>report.pdf</html>").await,
        Err(ParseFailure::NotAPdf)
    );
    assert!(matches!(
        read_bytes(b"%PDF-1.7\n").await,
        Err(ParseFailure::Damaged(_))
    ));
}

#[tokio::test]
async fn a_parser_that_cannot_be_started_is_not_the_files_fault() {
    let start = async |program: &str, pdfium: &Path| {
        let file = File::open(own("handbook.pdf")).unwrap();
        parse(
            file,
            MediaType::Pdf,
            Path::new(program),
            pdfium,
            &ParseLimits::default(),
            None,
            &mut |_| {},
        )
        .await
    };
    let outcomes = [
        start("/no/such/worker", &pdfium_path()).await,
        start(WORKER, Path::new("/no/libpdfium.so")).await,
    ];
    for outcome in outcomes {
        assert!(
            matches!(outcome, Err(ParseFailure::Unavailable(_))),
            "{outcome:?}"
        );
    }
}
