//! The titles that a text stands under.

use super::collapse;

/// Characters of a title, and of a path, at the most: what stands beside a citation should fit a line or two.
const TITLE_CHARS_MAX: usize = 120;
const PATH_CHARS_MAX: usize = 240;

pub(crate) const SEPARATOR: &str = " › ";

/// The place of a heading in the outline, from the first one of the document on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HeadingIndex(usize);

/// All headings of a document so far, and which of them are open.
#[derive(Debug, Default)]
pub(super) struct Outline {
    titles: Vec<String>,
    /// For each heading, those that it stands under and itself, outermost first.
    paths: Vec<Vec<HeadingIndex>>,
    open: Vec<(u8, HeadingIndex)>,
}

impl Outline {
    /// Opens a section: those of the same level and below end here.
    pub(super) fn open(&mut self, level: u8, title: &str) {
        let index = HeadingIndex(self.titles.len());
        while self.open.last().is_some_and(|&(above, _)| above >= level) {
            self.open.pop();
        }
        self.open.push((level, index));
        self.titles.push(shortened(&collapse(title)));
        self.paths
            .push(self.open.iter().map(|&(_, index)| index).collect());
    }

    /// Ends all sections.
    pub(super) fn leave(&mut self) {
        self.open.clear();
    }

    /// The innermost open section.
    pub(super) fn current(&self) -> Option<HeadingIndex> {
        self.open.last().map(|&(_, index)| index)
    }

    /// "3 Methods › 3.2 Data". Where that is too long, the outermost titles are left out.
    pub(super) fn path(&self, heading: HeadingIndex) -> String {
        self.path_without(heading, &[])
    }

    /// The same without some titles.
    pub(super) fn path_without(&self, heading: HeadingIndex, without: &[HeadingIndex]) -> String {
        let mut path = String::new();
        let mut chars = 0;
        for index in self.paths[heading.0].iter().rev() {
            let title = &self.titles[index.0];
            if title.is_empty() || without.contains(index) {
                continue;
            }
            chars += title.chars().count() + SEPARATOR.chars().count();
            if path.is_empty() {
                path.clone_from(title);
            } else if chars <= PATH_CHARS_MAX {
                path = format!("{title}{SEPARATOR}{path}");
            } else {
                break;
            }
        }
        path
    }
}

fn shortened(title: &str) -> String {
    match title.char_indices().nth(TITLE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", title[..end].trim_end()),
        None => title.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(headings: &[(u8, &str)]) -> String {
        let mut outline = Outline::default();
        for &(level, title) in headings {
            outline.open(level, title);
        }
        outline.path(outline.current().unwrap())
    }

    #[test]
    fn a_heading_closes_those_of_its_level_and_below() {
        let headings = [
            (1, "2 Theory"),
            (1, "3 Methods"),
            (3, "Aside"),
            (2, "3.2\nData"),
        ];
        assert_eq!(path(&headings[..1]), "2 Theory");
        assert_eq!(path(&headings[..3]), "3 Methods › Aside");
        assert_eq!(path(&headings), "3 Methods › 3.2 Data");
    }

    #[test]
    fn a_path_keeps_its_innermost_titles_and_long_titles_are_cut() {
        let (outer, inner) = ("o".repeat(100), "i".repeat(500));
        let long = path(&[(1, &outer), (2, &outer), (3, &inner)]);
        let expected = format!("{outer} › {}…", "i".repeat(120));
        assert_eq!(long, expected);
    }
}
