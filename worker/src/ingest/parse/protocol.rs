//! What parent and child say to each other: the task as one argument, then JSON lines on the child's stdout.
//!
//! The parent believes none of it: whoever takes over the child can write here whatever they like.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Page, ParseFailure, ParseLimits};

/// The variable that carries the password: unlike arguments, which anybody on the machine can list,
/// a process's environment is readable by its own user alone.
pub(super) const PASSWORD_VARIABLE: &str = "LECTERN_PARSE_PASSWORD";

/// The child's only argument after [`super::CHILD_COMMAND`], as JSON. The file itself is its stdin.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) pdfium: PathBuf,
    /// The parent's process id, so that a child started for a parent already dead can tell.
    pub(super) parent: u32,
    pub(super) limits: ParseLimits,
}

/// One line of the child's stdout: `Opened`, then `Page`s, then `Finished`; or `Failed` at any point.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    Opened { pages: u32, title: Option<String> },
    Page(Page),
    Finished { notes: Vec<String> },
    Failed(ParseFailure),
}

impl Page {
    /// Whether the parts agree with each other, so that slicing by headings can't panic
    /// and PostgreSQL, which knows no NUL in text, will take it.
    pub(super) fn is_sound(&self) -> bool {
        let mut after = 0;
        let headings_fit = self.headings.iter().all(|heading| {
            let in_order = heading.start >= after;
            after = heading.end;
            in_order
                && (1..=6).contains(&heading.level)
                && self.text.get(heading.start..heading.end).is_some()
        });
        headings_fit && !self.text.contains('\0')
    }
}

#[cfg(test)]
mod tests {
    use super::super::Heading;
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
}
