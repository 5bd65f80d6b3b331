//! Running heads, columns, tables and pictures, as a report has them.

use lectern_worker::ingest::parse::Page;

use super::{flat, headings, own, read};

fn furniture(page: &Page) -> Vec<&str> {
    let ranges = page.furniture.iter().cloned();
    ranges.map(|range| &page.text[range]).collect()
}

#[tokio::test]
async fn running_heads_and_page_numbers_stay_in_the_text_and_are_told_from_it() {
    let document = read(&own("report.pdf")).await.unwrap();
    for page in &document.pages {
        let number = (page.number + 20).to_string();
        let expected = ["River Authority, yearly report", number.as_str()];
        assert_eq!(furniture(page), expected);
        assert!(headings(page).is_empty(), "{:?}", headings(page));
    }
    let handbook = read(&own("handbook.pdf")).await.unwrap();
    let kept = handbook.pages.iter().all(|page| page.furniture.is_empty());
    assert!(kept, "a document without running heads has none");
}

#[tokio::test]
async fn columns_are_read_one_after_the_other_even_when_they_are_drawn_row_by_row() {
    let document = read(&own("report.pdf")).await.unwrap();
    let (as_read, by_rows) = (&document.pages[1], &document.pages[3]);
    let body = |page: &Page| page.text[page.furniture[0].end..page.furniture[1].start].to_owned();
    assert_eq!(body(by_rows), body(as_read));
    assert!(
        flat(by_rows).contains("between the feast of the ploughs and the first night of frost")
    );
    assert!(
        flat(by_rows)
            .contains("the miller's name is read out. The lower river belongs to the fishers")
    );
}

#[tokio::test]
async fn a_table_keeps_its_rows() {
    let document = read(&own("report.pdf")).await.unwrap();
    let table = "Station  Depth  Salt  Remarks\n\
                 Upper mill  1.20 m  0.1 g  clear\n\
                 Old bridge  2.75 m  0.4 g  some reed\n\
                 Salt gate  4.10 m  18.6 g  tidal";
    let text = &document.pages[2].text;
    assert!(text.contains(table), "{text}");
}

#[tokio::test]
async fn a_page_says_whether_it_shows_pictures() {
    let document = read(&own("report.pdf")).await.unwrap();
    let has_pictures: Vec<bool> = document
        .pages
        .iter()
        .map(|page| page.has_pictures)
        .collect();
    assert_eq!(has_pictures, [false, false, false, false, true]);
}
