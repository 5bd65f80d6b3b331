//! Every other format than PDF: what is read of an ordinary file, and how a hostile one ends.

use std::fs;
use std::path::Path;

use lectern_shared::media::MediaType;
use lectern_worker::ingest::parse::{Page, ParseFailure, ParseLimits, ParsedDocument};

use super::{Outcome, headings, own, read_as};

/// As an upload of this name is read.
async fn read_upload(path: &Path) -> Outcome {
    let name = path.file_name().and_then(|name| name.to_str());
    let media_type = MediaType::detect(&fs::read(path).unwrap(), name.unwrap_or_default());
    let media_type = media_type.expect("a type that is supported");
    read_as(media_type, path, &ParseLimits::default(), None).await
}

async fn read_own(name: &str) -> ParsedDocument {
    read_upload(&own(name)).await.unwrap()
}

async fn read_bytes(name: &str, bytes: &[u8]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    read_upload(&path).await
}

fn labels(document: &ParsedDocument) -> Vec<Option<&str>> {
    let pages = document.pages.iter();
    pages.map(|page| page.label.as_deref()).collect()
}

/// The number of the row that begins with these words, and what rows are called.
fn row<'a>(page: &'a Page, words: &str) -> (&'a str, u32) {
    let rows = page.rows.as_ref().expect("rows");
    let start = page.text.find(words).expect(words);
    let row = rows.starts.iter().find(|&&(at, _)| at == start);
    (&rows.noun, row.expect("a row that begins here").1)
}

#[tokio::test]
async fn a_text_is_read_in_its_encoding_and_its_lines_are_counted() {
    let document = read_own("minutes.txt").await;
    let [page] = &document.pages[..] else {
        panic!("{document:?}")
    };
    assert!(
        page.text
            .contains("Herr Größler asks for a second water dispenser.")
    );
    assert!(
        page.text.contains("\n\n2. Parking\nThe spaces"),
        "{}",
        page.text
    );
    assert_eq!(row(page, "2. Parking"), ("lines", 9));
}

#[tokio::test]
async fn markdown_is_read_as_it_is_shown_and_placed_by_its_lines() {
    let document = read_own("guide.md").await;
    assert_eq!(document.title.as_deref(), Some("Running the Kestrel pump"));
    let [page] = &document.pages[..] else {
        panic!("{document:?}")
    };
    assert_eq!(
        headings(page),
        [
            ("Kestrel pump", 1),
            ("Starting it", 2),
            ("When it stalls", 3)
        ]
    );
    assert_eq!(
        page.text,
        "Kestrel pump\n\nStarting it\n\n1. Open the intake valve.\n\n2. Press the green button for three seconds.\n\n\
         - It blinks twice.\n\nWhen it stalls\n\nRun kestrelctl reset --hard and wait.\n\nLamp | Meaning\n\n\
         red | The bearing is hotter than 95 degrees\n\nblue | The filter is clogged\n\nForty seconds at most."
    );
    assert_eq!(row(page, "Starting it"), ("lines", 9));
    assert_eq!(row(page, "blue"), ("lines", 22));
}

#[tokio::test]
async fn a_web_page_gives_its_content_without_menu_and_scripts() {
    let document = read_own("garden.html").await;
    assert_eq!(
        document.title.as_deref(),
        Some("The school garden – Linden School")
    );
    let [page] = &document.pages[..] else {
        panic!("{document:?}")
    };
    assert_eq!(
        headings(page),
        [("The school garden", 1), ("What grows where", 2)]
    );
    assert_eq!(
        page.text,
        "The school garden\n\nEvery class has a bed of its own. Watering is done before eight in the morning.\n\n\
         What grows where\n\nClass | Plant\n\n5b | Runner beans\n\n7a | Purple carrots\n\n\
         Plan of the garden with the compost in the north"
    );
    assert_eq!(row(page, "5b"), ("paragraphs", 5));
}

#[tokio::test]
async fn a_word_file_gives_titles_lists_and_tables() {
    let document = read_own("report.docx").await;
    assert_eq!(document.title.as_deref(), Some("Bridge inspection 2024"));
    let [page] = &document.pages[..] else {
        panic!("{document:?}")
    };
    assert_eq!(
        headings(page),
        [
            ("Inspection of the Tannberg bridge", 1),
            ("Findings", 1),
            ("Measures", 2)
        ]
    );
    assert!(
        page.text
            .ends_with("Part | Load\n\nDeck | 40 tonnes\n\nFootway | 5 tonnes"),
        "{}",
        page.text
    );
    assert!(page.text.contains("Seal the cracks with resin.\n\n"));
}

#[tokio::test]
async fn a_word_file_in_another_language_has_its_titles_and_footnotes_and_nothing_deleted() {
    let document = read_own("contract.docx").await;
    let page = &document.pages[0];
    assert_eq!(headings(page), [("§ 1 Mietsache", 1), ("Fristen", 2)]);
    assert_eq!(
        page.text,
        "§ 1 Mietsache\n\nVermietet wird die Wohnung im zweiten Stock ohne Keller.\n\nFristen\n\n\
         Die Frist beträgt sechs Wochen.\n\nGemessen ab Zugang.\n\nEntwurf vom 2. Mai"
    );
}

#[tokio::test]
async fn a_workbook_is_read_sheet_by_sheet_and_placed_by_its_rows() {
    let document = read_own("budget.xlsx").await;
    assert_eq!(document.title.as_deref(), Some("Budget of the festival"));
    assert_eq!(labels(&document), [Some("Costs"), Some("People")]);
    let costs = &document.pages[0];
    assert_eq!(headings(costs), [("Costs", 1), ("Item | Due | Euros", 2)]);
    assert_eq!(
        costs.text,
        "Costs\n\nItem | Due | Euros\n\nStage | 2024-05-17 | 12500\n\nFireworks | 2024-06-01 22:30 | 3999.9\n\n\
         Insurance |  | 0.3"
    );
    assert_eq!(row(costs, "Insurance"), ("rows", 12));
}

#[tokio::test]
async fn a_show_is_read_slide_by_slide_with_its_notes() {
    let document = read_own("talk.pptx").await;
    assert_eq!(document.title.as_deref(), Some("Night trains"));
    assert_eq!(
        labels(&document),
        [Some("Slide 1"), Some("Slide 2"), Some("Slide 3")]
    );
    let [first, second, third] = &document.pages[..] else {
        panic!("{document:?}")
    };
    assert_eq!(headings(first), [("Night trains", 1)]);
    assert_eq!(
        second.text,
        "Who travels\n\nBerth | Share\n\nCouchette | 61 percent\n\nNotes: Mention the survey of 1,204 passengers."
    );
    assert_eq!(third.text, "Map of the line from Basel to Malmö");
    assert!(third.has_pictures && !second.has_pictures);
}

#[tokio::test]
async fn a_book_is_read_in_its_order_and_its_chapters_have_their_names() {
    let document = read_own("tale.epub").await;
    assert_eq!(
        document.title.as_deref(),
        Some("The Lamplighter & the Gull")
    );
    assert_eq!(
        labels(&document),
        [Some("The harbour"), Some("The harbour"), Some("The storm")]
    );
    assert_eq!(headings(&document.pages[0]), [("The harbour", 1)]);
    assert_eq!(document.pages[1].text, "It was the gull he called Admiral.");
    assert_eq!(row(&document.pages[2], "On the ninth"), ("paragraphs", 2));
}

#[tokio::test]
async fn separated_values_are_read_row_by_row_under_their_names() {
    let document = read_own("cities.csv").await;
    let page = &document.pages[0];
    assert_eq!(headings(page), [("City | Hotel limit | Remark", 1)]);
    assert_eq!(
        page.text,
        "City | Hotel limit | Remark\n\nZurich | 175,00 | only with breakfast\n\nLondon | 180\n\n\
         Lyon | 110 | near the \"Gare\""
    );
    assert_eq!(row(page, "London"), ("rows", 3));
}

#[tokio::test]
async fn records_are_read_line_by_line_packed_or_not() {
    let document = read_own("records.jsonl").await;
    assert_eq!(
        document.notes,
        ["line 2 left out: it is no record with a text"]
    );
    let page = &document.pages[0];
    assert_eq!(
        headings(page),
        [("Moss", 1), ("https://example.org/fern", 1), ("7", 1)]
    );
    assert_eq!(row(page, "7"), ("records", 5));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &fs::read(own("records.jsonl")).unwrap()).unwrap();
    let unpacked = read_bytes("records.jsonl.gz", &packed.finish().unwrap()).await;
    assert_eq!(unpacked.unwrap(), document);
}

#[tokio::test]
async fn a_long_text_comes_in_parts_that_go_on_counting() {
    let text = "A line of some length, to be found again.\n\n".repeat(10_000);
    let document = read_bytes("long.txt", text.as_bytes()).await.unwrap();
    assert!(document.pages.len() > 5);
    assert!(
        document
            .pages
            .iter()
            .all(|page| page.text.len() <= 64 << 10)
    );
    let last = document.pages.last().unwrap().rows.as_ref().unwrap();
    assert_eq!(last.starts.last().unwrap().1, 19_999);
}

#[tokio::test]
async fn files_without_a_text_are_one_empty_page() {
    for (name, bytes) in [
        ("a.txt", &b" \r\n\r\n"[..]),
        ("a.txt", b"\xff\xfe"),
        ("a.md", b"\n"),
        ("a.html", b"<html><script>x</script></html>"),
        ("a.csv", b",,\n,,"),
        ("a.jsonl", b"\n"),
    ] {
        let document = read_bytes(name, bytes).await.unwrap();
        let texts: Vec<_> = document
            .pages
            .iter()
            .map(|page| page.text.as_str())
            .collect();
        assert_eq!(texts, [""], "{name}");
    }
}

#[tokio::test]
async fn an_archive_that_unpacks_to_too_much_is_refused() {
    let outcome = read_upload(&own("bomb.docx")).await;
    assert!(
        matches!(outcome, Err(ParseFailure::UnpackedTooBig { .. })),
        "{outcome:?}"
    );
    let tight = |limits| async move {
        let path = own("budget.xlsx");
        read_as(MediaType::Xlsx, &path, &limits, None).await
    };
    let few_bytes = ParseLimits {
        unpacked_bytes_max: 1000,
        ..ParseLimits::default()
    };
    assert_eq!(
        tight(few_bytes).await,
        Err(ParseFailure::UnpackedTooBig { max: 1000 })
    );
    let few_entries = ParseLimits {
        entries_max: 3,
        ..ParseLimits::default()
    };
    assert!(matches!(
        tight(few_entries).await,
        Err(ParseFailure::TooManyEntries { max: 3, .. })
    ));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &vec![b' '; 3 << 20]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.jsonl.gz");
    fs::write(&path, packed.finish().unwrap()).unwrap();
    let limits = ParseLimits {
        unpacked_bytes_max: 1 << 20,
        ..ParseLimits::default()
    };
    let outcome = read_as(MediaType::JsonLines, &path, &limits, None).await;
    assert_eq!(outcome, Err(ParseFailure::UnpackedTooBig { max: 1 << 20 }));
}

#[tokio::test]
async fn a_billion_laughs_are_not_laughed() {
    assert_eq!(read_own("laughs.docx").await.pages[0].text, "Laugh:");
}

#[tokio::test]
async fn a_sheet_that_says_it_is_huge_costs_what_is_in_it() {
    let document = read_own("wide.xlsx").await;
    let page = &document.pages[0];
    assert!(page.text.contains("first corner") && page.text.ends_with("last corner"));
    assert_eq!(
        page.rows.as_ref().unwrap().starts.last().unwrap().1,
        1_048_576
    );
}

#[tokio::test]
async fn a_cut_archive_is_damaged() {
    for name in ["report.docx", "budget.xlsx", "talk.pptx", "tale.epub"] {
        let bytes = fs::read(own(name)).unwrap();
        for share in [0.3, 0.6, 0.9, 0.99] {
            let cut = &bytes[..(bytes.len() as f64 * share) as usize];
            let path = own(name);
            let media_type = MediaType::detect(&bytes, name).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let cut_path = folder.path().join(path.file_name().unwrap());
            fs::write(&cut_path, cut).unwrap();
            let outcome = read_as(media_type, &cut_path, &ParseLimits::default(), None).await;
            assert!(
                matches!(outcome, Err(ParseFailure::Damaged(_))),
                "{name} {share}: {outcome:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_archive_of_another_kind_is_damaged_not_a_crash() {
    for (name, media_type) in [
        ("tale.epub", MediaType::Docx),
        ("report.docx", MediaType::Xlsx),
        ("budget.xlsx", MediaType::Pptx),
        ("talk.pptx", MediaType::Epub),
    ] {
        let outcome = read_as(media_type, &own(name), &ParseLimits::default(), None).await;
        let is_refused = matches!(
            outcome,
            Err(ParseFailure::Damaged(_) | ParseFailure::NoPages)
        );
        assert!(is_refused, "{name} as {media_type:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn deep_and_broken_texts_are_read_all_the_same() {
    let deep = format!(
        "<html>{}bottom",
        "<div><table><tr><td><ul><li>".repeat(100_000)
    );
    let document = read_bytes("deep.html", deep.as_bytes()).await.unwrap();
    assert!(document.pages[0].text.contains("bottom"));

    let quotes = format!("{} bottom", "> ".repeat(50_000));
    let document = read_bytes("deep.md", quotes.as_bytes()).await.unwrap();
    assert!(
        document
            .pages
            .iter()
            .any(|page| page.text.contains("bottom"))
    );

    let broken = b"Gr\xc3\xb6\xc3\x9fe \xc3\xbcber \xc3\xa4hnlich \xc3\xb6de \xc3\xa4 \xc3\xb6 \xc3\xbc \xc3\x9f \xc3\xa4 \xff end";
    let document = read_bytes("broken.txt", broken).await.unwrap();
    assert!(document.pages[0].text.starts_with("Größe über"));

    let quoted = format!("a,\"{}", "never closed\n".repeat(100_000));
    read_bytes("quoted.csv", quoted.as_bytes()).await.unwrap();
}
