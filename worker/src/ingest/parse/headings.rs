//! Tells which paragraphs are titles: those that the outline names, else those that look like one.

use super::columns::runs_downwards;
use super::lines::Line;
use super::style::Style;

/// A title may run over this many lines.
const LINES_MAX: usize = 3;

const CHARACTERS_MAX: u32 = 120;

/// A title is larger than the body by this factor, or bold and not smaller.
const LARGE_MIN: f32 = 1.12;
const BOLD_MIN: f32 = 0.98;

/// Levels by size, for titles that neither the outline nor a number gives a level: browsers show the first three at
/// 2, 1.5 and 1.17 times the body; papers and manuals are set tighter.
const CHAPTER_MIN: f32 = 1.7;
const SECTION_MIN: f32 = 1.35;
const BOLD_LEVEL: u8 = 4;

const BULLETS: [char; 6] = ['•', '◦', '▪', '-', '–', '*'];

const LEVEL_MAX: u8 = 6;

/// A title of the outline, ready for comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutlineTitle {
    letters: String,
    level: u8,
}

impl OutlineTitle {
    /// `level` counts from 1.
    pub(super) fn new(title: &str, level: usize) -> Self {
        let level = u8::try_from(level).unwrap_or(LEVEL_MAX).clamp(1, LEVEL_MAX);
        Self {
            letters: letters(title),
            level,
        }
    }

    /// The outline often leaves out the number that the page shows, and the other way round.
    fn is(&self, letters: &str) -> bool {
        let bare = |title: &'_ str| {
            title
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .to_owned()
        };
        !letters.is_empty()
            && (self.letters == letters
                || (bare(letters).len() > 1 && bare(&self.letters) == bare(letters)))
    }
}

/// Spaces, punctuation and case differ between a title and its entry in the outline.
fn letters(title: &str) -> String {
    title
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// A heading: the first `lines` lines of the paragraph asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) lines: usize,
    pub(super) level: u8,
}

/// The titles of one page, each found once.
pub(super) struct Titles<'a> {
    expected: Vec<&'a OutlineTitle>,
    style: &'a Style,
}

impl<'a> Titles<'a> {
    pub(super) fn new(expected: &'a [OutlineTitle], style: &'a Style) -> Self {
        Self {
            expected: expected.iter().collect(),
            style,
        }
    }

    /// Whether a paragraph is a title or starts with one.
    pub(super) fn heading_of(&mut self, paragraph: &[Line]) -> Option<Found> {
        if is_entry_of_contents(paragraph) || paragraph.first().is_some_and(runs_downwards) {
            return None;
        }
        self.named_by_outline(paragraph)
            .or_else(|| self.looks_like_one(paragraph))
    }

    fn named_by_outline(&mut self, paragraph: &[Line]) -> Option<Found> {
        if self.expected.is_empty() {
            return None;
        }
        let mut so_far = String::new();
        for (index, line) in paragraph.iter().take(LINES_MAX).enumerate() {
            so_far.push_str(&letters(&line.text));
            if let Some(at) = self.expected.iter().position(|title| title.is(&so_far)) {
                let level = self.expected.remove(at).level;
                return Some(Found {
                    lines: index + 1,
                    level,
                });
            }
        }
        None
    }

    fn looks_like_one(&self, paragraph: &[Line]) -> Option<Found> {
        let (first, last) = (paragraph.first()?, paragraph.last()?);
        let characters: u32 = paragraph.iter().map(|line| line.characters).sum();
        let has_words = paragraph
            .iter()
            .flat_map(|line| line.text.chars())
            .filter(|c| c.is_alphabetic())
            .count()
            > 1;
        let text = text_of(paragraph);
        if rows(paragraph) > LINES_MAX
            || has_cells(paragraph)
            || characters > CHARACTERS_MAX
            || !has_words
        {
            return None;
        }
        if self.style.is_running_head(first) {
            return None;
        }
        let ratio = first.size / self.style.body_size();
        let is_large = ratio > LARGE_MIN;
        // A bold word in a table or at the start of a sentence is no title, a bold line is.
        let reads_like_text =
            last.text.ends_with(['.', ',', ';', ':']) || first.text.starts_with(BULLETS);
        let is_bold =
            first.is_bold && ratio >= BOLD_MIN && self.style.bold_is_rare() && !reads_like_text;
        (is_large || is_bold).then(|| Found {
            lines: paragraph.len(),
            level: numbered_level(&text).unwrap_or_else(|| level_by_size(ratio, is_large)),
        })
    }
}

/// A title with dots or a gap behind it, and the number of its page: it names a section elsewhere.
fn is_entry_of_contents(paragraph: &[Line]) -> bool {
    let row = &paragraph[..paragraph.len() - rows_after_first(paragraph)];
    let has_dots = row
        .iter()
        .any(|part| part.text.contains(". . .") || part.text.contains("...."));
    let ends_with_page = row.len() > 1
        && row.last().is_some_and(|page| {
            page.text
                .chars()
                .all(|c| c.is_ascii_digit() || "ivxlc".contains(c))
        });
    has_dots || ends_with_page
}

/// The lines that don't stand in the first row.
fn rows_after_first(paragraph: &[Line]) -> usize {
    let ends = paragraph
        .windows(2)
        .position(|pair| !pair[0].bounds.shares_row_with(pair[1].bounds));
    ends.map_or(0, |at| paragraph.len() - at - 1)
}

fn rows(paragraph: &[Line]) -> usize {
    let starts = paragraph
        .windows(2)
        .filter(|pair| !pair[0].bounds.shares_row_with(pair[1].bounds));
    1 + starts.count()
}

/// A number and its title may stand apart, but three parts of a row are a table's head.
fn has_cells(paragraph: &[Line]) -> bool {
    paragraph.windows(3).any(|parts| rows(parts) == 1)
}

fn text_of(paragraph: &[Line]) -> String {
    let texts: Vec<&str> = paragraph.iter().map(|line| line.text.as_str()).collect();
    texts.join(" ")
}

fn level_by_size(ratio: f32, is_large: bool) -> u8 {
    match ratio {
        _ if !is_large => BOLD_LEVEL,
        ratio if ratio >= CHAPTER_MIN => 1,
        ratio if ratio >= SECTION_MIN => 2,
        _ => 3,
    }
}

/// "2.1.3 Pumps" is on level 3. A number alone, or a year, is no section number.
fn numbered_level(title: &str) -> Option<u8> {
    let (number, _) = title.split_once(' ')?;
    let parts: Vec<&str> = number.trim_end_matches('.').split('.').collect();
    let is_number =
        |part: &&str| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let level = u8::try_from(parts.len()).ok()?.min(LEVEL_MAX);
    parts.iter().all(is_number).then_some(level)
}

#[cfg(test)]
mod tests {
    use super::super::layout::compose;
    use super::super::layout::tests::{line, sheet};
    use super::*;

    fn body() -> Line {
        line(
            "Body text that goes on for a while, as body text does, and then ends.",
            50.0,
        )
    }

    fn headings_of(title: Line, outline: &[OutlineTitle]) -> Vec<(String, u8)> {
        let lines = vec![title, body(), line("and one more line of it", 39.0)];
        let mut style = Style::default();
        let sheet = sheet(1, lines);
        style.learn(&sheet);
        let page = compose(&sheet, &style, outline);
        let titles = page.headings.iter().map(|heading| {
            (
                page.text[heading.start..heading.end].to_owned(),
                heading.level,
            )
        });
        titles.collect()
    }

    fn found(title: &str, level: u8) -> Vec<(String, u8)> {
        vec![(title.to_owned(), level)]
    }

    #[test]
    fn larger_text_is_a_heading_and_its_size_gives_the_level() {
        let sized = |size| {
            headings_of(
                Line {
                    size,
                    ..line("Travel", 80.0)
                },
                &[],
            )
        };
        assert_eq!(sized(18.0), found("Travel", 1));
        assert_eq!(sized(14.0), found("Travel", 2));
        assert_eq!(sized(12.0), found("Travel", 3));
        assert_eq!(sized(11.0), vec![]);
    }

    #[test]
    fn a_bold_line_is_a_heading_unless_it_ends_like_a_sentence() {
        let bold = |text| {
            headings_of(
                Line {
                    is_bold: true,
                    ..line(text, 80.0)
                },
                &[],
            )
        };
        assert_eq!(bold("Travel"), found("Travel", 4));
        assert_eq!(bold("Keep your receipts."), vec![]);
        assert_eq!(bold("12.50"), vec![], "no words");
    }

    #[test]
    fn a_section_number_gives_the_level() {
        assert_eq!(
            headings_of(
                Line {
                    size: 12.0,
                    ..line("2.1.3 Pumps", 80.0)
                },
                &[]
            ),
            found("2.1.3 Pumps", 3)
        );
        assert_eq!(
            headings_of(
                Line {
                    size: 20.0,
                    ..line("2. Pumps", 80.0)
                },
                &[]
            ),
            found("2. Pumps", 1)
        );
        assert_eq!(numbered_level("1999 was a good year"), None);
        assert_eq!(numbered_level("12"), None);
    }

    #[test]
    fn an_entry_of_the_contents_is_no_heading() {
        let outline = [OutlineTitle::new("Who may travel", 2)];
        let dotted = line("Who may travel . . . . . . 12", 80.0);
        assert_eq!(headings_of(dotted, &outline), vec![]);
        let large = Line {
            size: 14.0,
            ..line("2 Hotels", 80.0)
        };
        let mut page = large.clone();
        page.text = "17".to_owned();
        page.bounds.left = 180.0;
        page.bounds.right = 190.0;
        let style = Style::default();
        let mut titles = Titles::new(&[], &style);
        assert_eq!(titles.heading_of(&[large.clone(), page]), None);
        assert!(titles.heading_of(&[large]).is_some());
    }

    #[test]
    fn the_outline_names_headings_that_look_like_body_text() {
        let outline = [OutlineTitle::new("Who may travel", 2)];
        assert_eq!(
            headings_of(line("1.4  Who may Travel?", 80.0), &outline),
            found("1.4  Who may Travel?", 2)
        );
        assert_eq!(
            headings_of(line("Who may not travel", 80.0), &outline),
            vec![]
        );
    }

    #[test]
    fn a_heading_named_by_the_outline_is_cut_off_its_paragraph() {
        let outline = [OutlineTitle::new("Who may travel", 9)];
        assert_eq!(
            headings_of(line("Who may travel", 61.0), &outline),
            found("Who may travel", 6)
        );
    }
}
