//! Makes paragraphs of lines: where one ends, and what becomes of hyphens at line ends.

use super::headings::{OutlineTitle, Titles};
use super::style::Style;
use super::{Heading, Page};

/// A gap between lines of more than this share of a line's height starts a paragraph.
/// Lines set solid have gaps near 0 and double-spaced ones are paragraphs of one line, which does no harm.
const GAP_MAX: f32 = 0.45;

/// A step up the page of more than this many line heights starts a paragraph: the next column.
const STEP_UP_MAX: f32 = 1.6;

/// So does a change of size of more than this share of the body size.
const SIZE_CHANGE_MAX: f32 = 0.12;

/// A box in points, the y axis up, on the page as shown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Bounds {
    pub(super) left: f32,
    pub(super) bottom: f32,
    pub(super) right: f32,
    pub(super) top: f32,
}

impl Bounds {
    pub(super) fn union(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            bottom: self.bottom.min(other.bottom),
            right: self.right.max(other.right),
            top: self.top.max(other.top),
        }
    }

    fn height(self) -> f32 {
        self.top - self.bottom
    }

    /// Whether the two stand side by side, as a word and its superscript or the cells of a table do.
    fn shares_row_with(self, other: Self) -> bool {
        let overlap = self.top.min(other.top) - self.bottom.max(other.bottom);
        overlap > 0.5 * self.height().min(other.height())
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) bounds: Bounds,
    /// Mean font size in points.
    pub(super) size: f32,
    /// Whether (nearly) all of it is.
    pub(super) is_bold: bool,
    /// Ended with a hyphen, which `text` lacks.
    pub(super) is_hyphenated: bool,
    /// Visible characters.
    pub(super) characters: u32,
}

/// The text of a page; `titles` are the outline's for this page.
pub(super) fn compose(
    number: u32,
    lines: Vec<Line>,
    style: &Style,
    titles: &[OutlineTitle],
) -> Page {
    let mut titles = Titles::new(titles, style);
    let mut text = String::new();
    let mut headings = Vec::new();
    let mut rest = lines.as_slice();
    while !rest.is_empty() {
        let (paragraph, after) = rest.split_at(paragraph_lines(rest, style));
        let heading = titles.heading_of(paragraph);
        let (lines, separator) = match heading {
            Some(heading) => (&paragraph[..heading.lines], ' '),
            None => (paragraph, '\n'),
        };
        // A hyphen at the end of the paragraph goes on in the next one: the column or the page's picture changed.
        if !text.is_empty() && !text.ends_with('-') {
            text.push_str("\n\n");
        }
        let start = text.len();
        push_lines(&mut text, lines, separator, style);
        if let Some(heading) = heading {
            headings.push(Heading {
                start,
                end: text.len(),
                level: heading.level,
            });
        }
        rest = if heading.is_some() {
            &rest[lines.len()..]
        } else {
            after
        };
    }
    Page {
        number,
        text,
        headings,
        ..Page::default()
    }
}

/// How many of the lines, at least one, form the first paragraph.
fn paragraph_lines(lines: &[Line], style: &Style) -> usize {
    let ends = lines
        .windows(2)
        .position(|pair| starts_paragraph(&pair[0], &pair[1], style));
    ends.map_or(lines.len(), |at| at + 1)
}

fn starts_paragraph(above: &Line, line: &Line, style: &Style) -> bool {
    if above.is_hyphenated || above.bounds.shares_row_with(line.bounds) {
        return false;
    }
    let gap = above.bounds.bottom - line.bounds.top;
    let height = above.bounds.height().max(line.bounds.height());
    gap > GAP_MAX * height
        || gap < -STEP_UP_MAX * height
        || (above.size - line.size).abs() > SIZE_CHANGE_MAX * style.body_size()
        || above.is_bold != line.is_bold
}

fn push_lines(text: &mut String, lines: &[Line], separator: char, style: &Style) {
    for (index, line) in lines.iter().enumerate() {
        text.push_str(&line.text);
        match lines.get(index + 1) {
            Some(next) if line.is_hyphenated => {
                let keeps_hyphen = style.keeps_hyphen(text, &next.text);
                text.push_str(if keeps_hyphen { "-" } else { "" });
            }
            Some(_) => text.push(separator),
            None if line.is_hyphenated => text.push('-'),
            None => {}
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A line of 10 points high text whose top is at `top`.
    pub(crate) fn line(text: &str, top: f32) -> Line {
        let bounds = Bounds {
            left: 0.0,
            bottom: top - 10.0,
            right: 100.0,
            top,
        };
        let characters = text.chars().filter(|c| !c.is_whitespace()).count() as u32;
        Line {
            text: text.to_owned(),
            bounds,
            size: 10.0,
            is_bold: false,
            is_hyphenated: false,
            characters,
        }
    }

    fn cut(text: &str, top: f32) -> Line {
        Line {
            is_hyphenated: true,
            ..line(text, top)
        }
    }

    fn text_of(lines: Vec<Line>) -> String {
        let mut style = Style::default();
        style.learn(&lines);
        compose(1, lines, &style, &[]).text
    }

    #[test]
    fn lines_become_paragraphs_by_the_gap_between_them() {
        let lines = vec![line("one", 100.0), line("two", 89.0), line("three", 70.0)];
        assert_eq!(text_of(lines), "one\ntwo\n\nthree");
    }

    #[test]
    fn the_top_of_the_next_column_starts_a_paragraph() {
        assert_eq!(
            text_of(vec![line("one", 100.0), line("two", 700.0)]),
            "one\n\ntwo"
        );
    }

    #[test]
    fn a_word_cut_at_the_line_end_is_joined() {
        assert_eq!(
            text_of(vec![cut("an exam", 100.0), line("ple is", 89.0)]),
            "an example is"
        );
    }

    #[test]
    fn a_hyphen_stays_where_the_document_writes_the_word_with_it() {
        let mut lines = vec![
            cut("a well", 100.0),
            line("known", 89.0),
            line("so well-known", 78.0),
        ];
        assert_eq!(text_of(lines.clone()), "a well-known\nso well-known");
        lines.push(line("wellknown", 67.0));
        assert_eq!(text_of(lines), "a wellknown\nso well-known\nwellknown");
    }

    #[test]
    fn a_hyphen_stays_before_capitals_and_digits_and_at_the_end_of_the_page() {
        assert_eq!(
            text_of(vec![cut("Jean", 100.0), line("Paul", 89.0)]),
            "Jean-Paul"
        );
        assert_eq!(
            text_of(vec![cut("2019", 100.0), line("2020", 89.0)]),
            "2019-2020"
        );
        assert_eq!(
            text_of(vec![cut("COVID-19", 100.0), line("related", 89.0)]),
            "COVID-19-related"
        );
        assert_eq!(text_of(vec![cut("exam", 100.0)]), "exam-");
    }

    #[test]
    fn a_cut_word_goes_on_in_the_next_column() {
        assert_eq!(
            text_of(vec![cut("exam", 100.0), line("ple", 700.0)]),
            "example"
        );
    }

    #[test]
    fn a_superscript_starts_no_paragraph() {
        let superscript = Line {
            size: 6.0,
            bounds: Bounds {
                left: 30.0,
                bottom: 95.0,
                right: 33.0,
                top: 101.0,
            },
            ..line("2", 0.0)
        };
        assert_eq!(
            text_of(vec![line("Melissa Dell", 100.0), superscript]),
            "Melissa Dell\n2"
        );
    }

    #[test]
    fn an_empty_page_has_no_text() {
        assert_eq!(
            compose(3, vec![], &Style::default(), &[]),
            Page {
                number: 3,
                ..Page::default()
            }
        );
    }
}
