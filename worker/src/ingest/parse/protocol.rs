//! What parent and child say to each other: the task as one argument, then JSON lines on the child's stdout.
//!
//! The parent believes none of it: whoever takes over the child can write here whatever they like.

use std::ops::Range;
use std::path::PathBuf;

use lectern_shared::media::MediaType;
use serde::{Deserialize, Serialize};

use super::{Bounds, Page, ParseFailure, ParseLimits};

/// The variable that carries the password: unlike arguments, which anybody on the machine can list,
/// a process's environment is readable by its own user alone.
pub(super) const PASSWORD_VARIABLE: &str = "LECTERN_PARSE_PASSWORD";

/// The child's only argument after [`super::CHILD_COMMAND`], as JSON. The file itself is its stdin.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) media_type: MediaType,
    pub(super) pdfium: PathBuf,
    /// The parent's process id, so that a child started for a parent already dead can tell.
    pub(super) parent: u32,
    pub(super) limits: ParseLimits,
    /// Pictures of pages are wanted, not their text.
    pub(super) render: Option<Render>,
}

/// Which pages are to be drawn, ascending, and how finely.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Render {
    pub(super) pages: Vec<u32>,
    pub(super) dpi: u16,
}

/// One line of the child's stdout: `Opened`, then `Page`s, then `Finished`; or `Failed` at any point.
/// Where pictures are wanted there are `Picture`s for `Page`s, each with its bytes after the line's end.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    Opened {
        pages: u32,
        title: Option<String>,
    },
    Page(Page),
    /// The bytes that follow are `width` times `height` shades of grey, row by row from the top.
    Picture {
        number: u32,
        width: u32,
        height: u32,
    },
    Finished {
        notes: Vec<String>,
    },
    Failed(ParseFailure),
}

impl Message {
    /// Whether PostgreSQL, which knows no NUL in text, will take the texts that no page holds.
    pub(super) fn is_storable(&self) -> bool {
        let has_nul = |text: &String| text.contains('\0');
        match self {
            Self::Opened { title, .. } => !title.iter().any(has_nul),
            Self::Finished { notes } => !notes.iter().any(has_nul),
            Self::Page(_) | Self::Picture { .. } | Self::Failed(_) => true,
        }
    }
}

impl Page {
    /// Whether the parts agree with each other, so that slicing by headings can't panic
    /// and PostgreSQL, which knows no NUL in text, will take it.
    pub(super) fn is_sound(&self) -> bool {
        let levels = self.headings.iter().map(|heading| heading.level);
        let headings = self
            .headings
            .iter()
            .map(|heading| heading.start..heading.end);
        let lines = self.lines.iter().map(|line| line.start..line.end);
        levels.into_iter().all(|level| (1..=6).contains(&level))
            && self.has_in_order(headings)
            && self.has_in_order(lines)
            && self.has_in_order(self.furniture.iter().cloned())
            && self.lines.iter().all(|line| is_on_the_page(line.bounds))
            && self.rows.as_ref().is_none_or(|rows| {
                rows.starts.is_sorted()
                    && !rows.noun.contains('\0')
                    && rows
                        .starts
                        .iter()
                        .all(|&(start, _)| self.text.is_char_boundary(start))
            })
            && self
                .label
                .as_ref()
                .is_none_or(|label| !label.contains('\0'))
            && !self.text.contains('\0')
    }

    fn has_in_order(&self, mut ranges: impl Iterator<Item = Range<usize>>) -> bool {
        let mut after = 0;
        ranges.all(|range| {
            let in_order = range.start >= after;
            after = range.end;
            in_order && self.text.get(range).is_some()
        })
    }
}

fn is_on_the_page(Bounds([left, top, right, bottom]): Bounds) -> bool {
    let is_share = |number| (0.0..=1.0).contains(&number);
    [left, top, right, bottom].into_iter().all(is_share) && left <= right && top <= bottom
}

#[cfg(test)]
mod tests {
    use super::super::{Heading, PlacedLine, Rows};
    use super::*;

    fn page(text: &str, headings: &[(usize, usize, u8)]) -> Page {
        let headings = headings
            .iter()
            .map(|&(start, end, level)| Heading { start, end, level })
            .collect();
        Page {
            number: 1,
            text: text.to_owned(),
            headings,
            ..Page::default()
        }
    }

    #[test]
    fn a_page_whose_headings_do_not_fit_its_text_is_not_sound() {
        assert!(page("Über uns\n\nText", &[(0, 9, 1)]).is_sound());
        assert!(
            !page("Über uns", &[(1, 4, 1)]).is_sound(),
            "inside a character"
        );
        assert!(!page("Über uns", &[(0, 99, 1)]).is_sound(), "past the end");
        assert!(!page("Über uns", &[(5, 2, 1)]).is_sound(), "backwards");
        assert!(
            !page("one two", &[(0, 5, 1), (4, 7, 1)]).is_sound(),
            "overlapping"
        );
        assert!(!page("one two", &[(0, 3, 7)]).is_sound(), "level 7");
        assert!(!page("one\0two", &[]).is_sound(), "a NUL");
    }

    #[test]
    fn a_page_whose_lines_rows_or_furniture_do_not_fit_is_not_sound() {
        let line = |start, end, bounds| Page {
            lines: vec![PlacedLine {
                start,
                end,
                bounds: Bounds(bounds),
            }],
            ..page("Über uns", &[])
        };
        assert!(line(0, 5, [0.1, 0.1, 0.9, 0.2]).is_sound());
        assert!(
            !line(1, 5, [0.1, 0.1, 0.9, 0.2]).is_sound(),
            "inside a character"
        );
        assert!(
            !line(0, 5, [0.1, 0.1, 1.9, 0.2]).is_sound(),
            "beside the page"
        );
        assert!(!line(0, 5, [0.9, 0.1, 0.1, 0.2]).is_sound(), "inside out");
        assert!(!line(0, 5, [f32::NAN, 0.1, 0.1, 0.2]).is_sound(), "nowhere");
        let furniture = |range| Page {
            furniture: vec![range],
            ..page("Über uns", &[])
        };
        assert!(furniture(0..5).is_sound());
        assert!(!furniture(0..99).is_sound());
        let rows = |starts| Page {
            rows: Some(Rows {
                noun: "rows".to_owned(),
                starts,
            }),
            ..page("Über uns", &[])
        };
        assert!(rows(vec![(0, 1), (6, 2)]).is_sound());
        let mut nameless = rows(vec![(0, 1)]);
        nameless.rows.as_mut().unwrap().noun.push('\0');
        assert!(!nameless.is_sound(), "a NUL");
        assert!(!rows(vec![(6, 1), (0, 2)]).is_sound(), "backwards");
        assert!(!rows(vec![(1, 1)]).is_sound(), "inside a character");
    }
}
