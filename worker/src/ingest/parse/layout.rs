//! Makes paragraphs of lines: where one ends, what becomes of hyphens at line ends, and where each line stands.

use super::columns::runs_downwards;
use super::headings::{OutlineTitle, Titles};
use super::lines::Line;
use super::place::Frame;
use super::style::Style;
use super::text::Sheet;
use super::{Heading, Page, PlacedLine};

/// A gap between lines of more than this share of a line's height starts a paragraph.
/// Lines set solid have gaps near 0 and double-spaced ones are paragraphs of one line, which does no harm.
const GAP_MAX: f32 = 0.45;

/// A step up the page of more than this many line heights starts a paragraph: the next column.
const STEP_UP_MAX: f32 = 1.6;

/// So does a change of size of more than this share of the body size.
const SIZE_CHANGE_MAX: f32 = 0.12;

/// Between the cells of a row, in line heights; what is nearer is a part of the same cell.
const CELL_GAP_MIN: f32 = 0.8;

/// Cells of a row: no two words, so that a row reads as one.
const BETWEEN_CELLS: &str = "  ";

/// The text of a page; `titles` are the outline's for this page.
pub(super) fn compose(sheet: &Sheet, style: &Style, titles: &[OutlineTitle]) -> Page {
    let furniture = style.furniture(sheet);
    let mut titles = Titles::new(titles, style);
    let mut page = Composition {
        frame: sheet.frame,
        style,
        page: Page {
            number: sheet.number,
            has_pictures: sheet.has_pictures,
            ..Page::default()
        },
    };
    let mut at = 0;
    while at < sheet.lines.len() {
        let is_furniture = furniture[at];
        let same = furniture[at..]
            .iter()
            .take_while(|&&other| other == is_furniture);
        let rest = &sheet.lines[at..at + same.count()];
        let paragraph = &rest[..paragraph_lines(rest, style)];
        at += if is_furniture {
            page.push_furniture(paragraph)
        } else {
            page.push(paragraph, titles.heading_of(paragraph))
        };
    }
    page.page
}

struct Composition<'a> {
    frame: Frame,
    style: &'a Style,
    page: Page,
}

impl Composition<'_> {
    fn push_furniture(&mut self, lines: &[Line]) -> usize {
        self.start_paragraph();
        let start = self.page.text.len();
        self.push_lines(lines, "\n");
        self.page.furniture.push(start..self.page.text.len());
        lines.len()
    }

    /// Returns how many of the lines were taken: of a paragraph that begins with a heading, only that.
    fn push(&mut self, paragraph: &[Line], heading: Option<super::headings::Found>) -> usize {
        // A hyphen at the end of the paragraph goes on in the next one: the column or the page's picture changed.
        let goes_on = self.page.text.ends_with('-')
            && self
                .page
                .furniture
                .last()
                .is_none_or(|last| last.end < self.page.text.len());
        if !goes_on {
            self.start_paragraph();
        }
        let Some(heading) = heading else {
            self.push_lines(paragraph, "\n");
            return paragraph.len();
        };
        let start = self.page.text.len();
        self.push_lines(&paragraph[..heading.lines], " ");
        self.page.headings.push(Heading {
            start,
            end: self.page.text.len(),
            level: heading.level,
        });
        heading.lines
    }

    fn start_paragraph(&mut self) {
        if !self.page.text.is_empty() {
            self.page.text.push_str("\n\n");
        }
    }

    fn push_lines(&mut self, lines: &[Line], between: &str) {
        for (index, line) in lines.iter().enumerate() {
            let text = &mut self.page.text;
            let start = text.len();
            text.push_str(&line.text);
            let next = lines.get(index + 1);
            let keeps_hyphen = |text: &str, next: &Line| self.style.keeps_hyphen(text, &next.text);
            if line.is_hyphenated && next.is_none_or(|next| keeps_hyphen(text, next)) {
                text.push('-');
            }
            self.page.lines.push(PlacedLine {
                start,
                end: text.len(),
                bounds: self.frame.shares(line.bounds),
            });
            match next {
                Some(next) if !line.is_hyphenated => {
                    text.push_str(match side_by_side(line, next) {
                        Some(separator) => separator,
                        None => between,
                    })
                }
                _ => {}
            }
        }
    }
}

/// What stands between two parts of a row.
fn side_by_side(left: &Line, right: &Line) -> Option<&'static str> {
    let height = left.bounds.height().min(right.bounds.height());
    let is_cell = left.bounds.gap_to(right.bounds) > CELL_GAP_MIN * height;
    share_row(left, right).then_some(if is_cell { BETWEEN_CELLS } else { " " })
}

fn share_row(left: &Line, right: &Line) -> bool {
    left.bounds.shares_row_with(right.bounds) && !runs_downwards(left) && !runs_downwards(right)
}

/// How many of the lines, at least one, form the first paragraph.
fn paragraph_lines(lines: &[Line], style: &Style) -> usize {
    let ends = lines
        .windows(2)
        .position(|pair| starts_paragraph(&pair[0], &pair[1], style));
    ends.map_or(lines.len(), |at| at + 1)
}

fn starts_paragraph(above: &Line, line: &Line, style: &Style) -> bool {
    if above.is_hyphenated || share_row(above, line) {
        return false;
    }
    if runs_downwards(above) || runs_downwards(line) {
        return runs_downwards(above) != runs_downwards(line);
    }
    let gap = above.bounds.bottom - line.bounds.top;
    let height = above.bounds.height().max(line.bounds.height());
    gap > GAP_MAX * height
        || gap < -STEP_UP_MAX * height
        || (above.size - line.size).abs() > SIZE_CHANGE_MAX * style.body_size()
        || above.is_bold != line.is_bold
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Bounds as Shares;
    use super::super::place::Bounds;
    use super::*;

    /// A sheet of 200 by 800 points.
    pub(crate) fn sheet(number: u32, lines: Vec<Line>) -> Sheet {
        let page = Bounds {
            left: 0.0,
            bottom: 0.0,
            right: 200.0,
            top: 800.0,
        };
        Sheet {
            number,
            frame: Frame {
                page,
                ..Frame::default()
            },
            lines,
            has_pictures: false,
        }
    }

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
        let sheet = sheet(1, lines);
        style.learn(&sheet);
        compose(&sheet, &style, &[]).text
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
            "Melissa Dell 2"
        );
    }

    #[test]
    fn cells_of_a_row_stand_on_one_line_of_the_text() {
        let cell = |text: &str, left: f32, top: f32| {
            let bounds = Bounds {
                left,
                bottom: top - 10.0,
                right: left + 30.0,
                top,
            };
            Line {
                bounds,
                ..line(text, top)
            }
        };
        let lines = vec![
            cell("Lead", 0.0, 100.0),
            cell("20", 60.0, 100.0),
            cell("Zinc", 0.0, 89.0),
            cell("100", 60.0, 89.0),
        ];
        assert_eq!(text_of(lines), "Lead  20\nZinc  100");
    }

    #[test]
    fn each_line_knows_its_place_in_the_text_and_on_the_page() {
        let lines = vec![
            cut("an exam", 800.0),
            line("ple is", 789.0),
            line("more", 400.0),
        ];
        let page = compose(&sheet(1, lines), &Style::default(), &[]);
        let placed: Vec<_> = page
            .lines
            .iter()
            .map(|line| (&page.text[line.start..line.end], line.bounds))
            .collect();
        let expected = [
            ("an exam", Shares([0.0, 0.0, 0.5, 0.0125])),
            ("ple is", Shares([0.0, 0.0138, 0.5, 0.0263])),
            ("more", Shares([0.0, 0.5, 0.5, 0.5125])),
        ];
        assert_eq!(placed, expected);
    }

    #[test]
    fn an_empty_page_has_no_text() {
        assert_eq!(
            compose(&sheet(3, vec![]), &Style::default(), &[]),
            Page {
                number: 3,
                ..Page::default()
            }
        );
    }
}
