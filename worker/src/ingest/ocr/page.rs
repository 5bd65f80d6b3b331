//! Tesseract's table of words becomes the text of a page, with the place of each line.
//!
//! A row has twelve columns: level (5 is a word), page, block, paragraph, line and word number, left, top, width and
//! height in pixels, confidence in per cent (-1 for what is no word), and the text.
//! None of it is believed: what doesn't fit is passed over, and boxes are cut to the page.

use crate::ingest::parse::{Bounds, PlacedLine, is_unreadable};

/// Words of which Tesseract is less sure are mostly specks and parts of pictures: without those under 30 a scan of
/// 2,300 words loses 3 in 1,000, most of them wrong.
const CONFIDENCE_MIN: f32 = 30.0;

const WORD_LEVEL: &str = "5";

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Recognised {
    /// Lines end with `\n`, paragraphs with `\n\n`, as in [`crate::ingest::parse::Page`].
    pub(super) text: String,
    pub(super) lines: Vec<PlacedLine>,
    /// How sure Tesseract is of its words, in per cent, weighted by their length.
    pub(super) confidence: f32,
}

struct Word<'a> {
    /// Block, paragraph and line.
    place: [&'a str; 3],
    text: String,
    bounds: Bounds,
    confidence: f32,
}

/// Reads the words of a page of `width` times `height` pixels.
pub(super) fn read(table: &str, width: u32, height: u32) -> Recognised {
    let words: Vec<Word<'_>> = table
        .lines()
        .filter_map(|row| word(row, width as f32, height as f32))
        .collect();
    let mut page = Recognised::default();
    let mut last: Option<[&str; 3]> = None;
    let (mut sure, mut letters) = (0.0, 0.0);
    for line in words.chunk_by(|a, b| a.place == b.place) {
        // Rules and specks are read as dashes, bars and dots.
        let says_something = |word: &Word<'_>| word.text.contains(char::is_alphanumeric);
        if !line.iter().any(says_something) {
            continue;
        }
        let place = line[0].place;
        if let Some(last) = last {
            let is_same_paragraph = last[..2] == place[..2];
            if !(is_same_paragraph && join_hyphenated(&mut page, &line[0].text)) {
                page.text
                    .push_str(if is_same_paragraph { "\n" } else { "\n\n" });
            }
        }
        last = Some(place);
        let start = page.text.len();
        for (index, word) in line.iter().enumerate() {
            if index > 0 {
                page.text.push(' ');
            }
            page.text.push_str(&word.text);
            let length = word.text.chars().count() as f32;
            sure += word.confidence * length;
            letters += length;
        }
        let bounds = line.iter().map(|word| word.bounds);
        if let Some(bounds) = bounds.reduce(union) {
            page.lines.push(PlacedLine {
                start,
                end: page.text.len(),
                bounds,
            });
        }
    }
    if letters > 0.0 {
        page.confidence = sure / letters;
    }
    page
}

fn word(row: &str, width: f32, height: f32) -> Option<Word<'_>> {
    let mut columns = row.split('\t');
    let mut next = || columns.next();
    if next()? != WORD_LEVEL {
        return None;
    }
    let _page = next()?;
    let place = [next()?, next()?, next()?];
    let _word = next()?;
    let mut number = || {
        columns
            .next()?
            .parse::<f32>()
            .ok()
            .filter(|n| n.is_finite())
    };
    let (left, top, wide, high) = (number()?, number()?, number()?, number()?);
    let confidence = number()?.min(100.0);
    let mut text = String::new();
    for c in columns.next()?.chars() {
        match ligature(c) {
            Some(letters) => text.push_str(letters),
            None if is_unreadable(c) || c.is_whitespace() => {}
            None => text.push(c),
        }
    }
    if text.is_empty() || confidence < CONFIDENCE_MIN {
        return None;
    }
    let bounds = Bounds([
        share(left, width),
        share(top, height),
        share(left + wide.max(0.0), width),
        share(top + high.max(0.0), height),
    ]);
    Some(Word {
        place,
        text,
        bounds,
        confidence,
    })
}

/// Those that Tesseract writes; nobody searches for "ﬁnance" with one.
fn ligature(c: char) -> Option<&'static str> {
    Some(match c {
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        _ => return None,
    })
}

/// Rounded to 4 digits: a tenth of a millimetre on a page of A4 is 0.0003.
fn share(pixels: f32, of: f32) -> f32 {
    ((pixels / of).clamp(0.0, 1.0) * 10_000.0).round() / 10_000.0
}

fn union(Bounds(a): Bounds, Bounds(b): Bounds) -> Bounds {
    Bounds([
        a[0].min(b[0]),
        a[1].min(b[1]),
        a[2].max(b[2]),
        a[3].max(b[3]),
    ])
}

/// Takes a hyphen off the end of the text where a word goes on with a small letter in the next line, and says so.
fn join_hyphenated(page: &mut Recognised, next: &str) -> bool {
    let Some(cut) = page.text.strip_suffix(['-', '\u{2010}', '\u{ad}']) else {
        return false;
    };
    let joins = cut.ends_with(char::is_lowercase) && next.starts_with(char::is_lowercase);
    if joins {
        page.text.truncate(cut.len());
        if let Some(line) = page.lines.last_mut() {
            line.end = page.text.len();
        }
    }
    joins
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n\
                        1\t1\t0\t0\t0\t0\t0\t0\t1000\t2000\t-1\t\n";

    fn table(words: &[(&str, [f32; 4], f32, &str)]) -> String {
        let rows = words
            .iter()
            .map(|(place, [left, top, width, height], confidence, text)| {
                let place = place.replace('.', "\t");
                format!(
                    "5\t1\t{place}\t1\t{left}\t{top}\t{width}\t{height}\t{confidence}\t{text}\n"
                )
            });
        HEAD.to_owned() + &rows.collect::<String>()
    }

    #[test]
    fn words_become_lines_and_paragraphs_with_boxes_in_shares_of_the_page() {
        let page = read(
            &table(&[
                ("1.1.1", [100.0, 200.0, 100.0, 40.0], 90.0, "The"),
                ("1.1.1", [250.0, 190.0, 50.0, 50.0], 80.0, "ﬁrst"),
                ("1.1.2", [100.0, 300.0, 100.0, 40.0], 90.0, "line."),
                ("1.2.1", [100.0, 500.0, 100.0, 40.0], 90.0, "Next"),
            ]),
            1000,
            2000,
        );
        assert_eq!(page.text, "The first\nline.\n\nNext");
        let lines: Vec<_> = page
            .lines
            .iter()
            .map(|line| (&page.text[line.start..line.end], line.bounds.0))
            .collect();
        assert_eq!(lines[0], ("The first", [0.1, 0.095, 0.3, 0.12]));
        assert_eq!(lines[1].0, "line.");
        assert_eq!(lines[2], ("Next", [0.1, 0.25, 0.2, 0.27]));
        assert!(
            (page.confidence - (3.0 + 5.0 + 4.0) / 17.0 * 90.0 - 5.0 / 17.0 * 80.0).abs() < 0.01
        );
    }

    #[test]
    fn a_word_cut_at_the_line_end_is_joined_and_its_parts_keep_their_boxes() {
        let here = [0.0, 0.0, 10.0, 10.0];
        let page = read(
            &table(&[
                ("1.1.1", here, 90.0, "exam-"),
                ("1.1.2", here, 90.0, "ple"),
                ("1.1.3", here, 90.0, "Jean-"),
                ("1.1.4", here, 90.0, "Paul"),
            ]),
            100,
            100,
        );
        assert_eq!(page.text, "example\nJean-\nPaul");
        let ranges: Vec<_> = page
            .lines
            .iter()
            .map(|line| (line.start, line.end))
            .collect();
        assert_eq!(ranges, [(0, 4), (4, 7), (8, 13), (14, 18)]);
    }

    #[test]
    fn what_is_doubtful_or_no_text_is_left_out() {
        let here = [0.0, 0.0, 10.0, 10.0];
        let page = read(
            &table(&[
                ("1.1.1", here, 12.0, "smudge"),
                ("2.1.1", here, 95.0, "—"),
                ("2.1.1", here, 95.0, "|"),
                ("3.1.1", here, 95.0, "Te\u{202e}xt"),
            ]),
            100,
            100,
        );
        assert_eq!(page.text, "Text");
    }

    #[test]
    fn nonsense_is_passed_over_and_boxes_stay_on_the_page() {
        let mut nonsense = table(&[("1.1.1", [-50.0, 10.0, 1e30, 20.0], 900.0, "word")]);
        nonsense += "5\t1\t1\n5\t1\t1\t1\t2\t1\tNaN\t0\t1\t1\t90\tx\n\u{0}\n5\t\t\t\t\t\tinf\t0\t0\t0\t90\ty\n";
        let page = read(&nonsense, 100, 100);
        assert_eq!((page.text.as_str(), page.confidence), ("word", 100.0));
        assert_eq!(page.lines[0].bounds.0, [0.0, 0.1, 1.0, 0.3]);
        assert_eq!(read("", 1, 1), Recognised::default());
    }
}
