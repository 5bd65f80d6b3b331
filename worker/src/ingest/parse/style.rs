//! What is usual in a document: the size of its text, its words, its running heads.
//! Headings and hyphens are judged against this.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::furniture::Furniture;
use super::lines::Line;
use super::text::Sheet;

/// A line at the top or bottom of this many pages is a running head.
const RUNNING_HEAD_PAGES_MIN: u32 = 3;

/// Where running heads are looked for: this many lines from the top and from the bottom of a page.
const RUNNING_HEAD_LINES: usize = 2;

/// Words to remember; 300,000 are more than any book has and take some 5 MiB.
const WORDS_MAX: usize = 300_000;

/// What is usual in a document, learnt from the lines seen so far.
#[derive(Debug, Default)]
pub(super) struct Style {
    /// Characters per size, in half points.
    sizes: BTreeMap<i32, u64>,
    characters: u64,
    bold_characters: u64,
    /// Hashes of words in lower case. A collision costs a hyphen.
    words: HashSet<u64>,
    /// How many pages have a line at their top or bottom, by [`hash_head`]. Bounded as the words are.
    heads: HashMap<u64, u32>,
    furniture: Furniture,
}

impl Style {
    /// Takes in one page.
    pub(super) fn learn(&mut self, sheet: &Sheet) {
        self.furniture.learn(sheet);
        let lines = &sheet.lines;
        let bottom = lines
            .len()
            .saturating_sub(RUNNING_HEAD_LINES)
            .max(RUNNING_HEAD_LINES);
        let edges = lines
            .iter()
            .take(RUNNING_HEAD_LINES)
            .chain(lines.iter().skip(bottom));
        for head in edges.map(|line| hash_head(&line.text)) {
            if self.heads.len() < WORDS_MAX {
                *self.heads.entry(head).or_default() += 1;
            }
        }
        for line in lines {
            let characters = u64::from(line.characters);
            *self
                .sizes
                .entry((line.size * 2.0).round() as i32)
                .or_default() += characters;
            self.characters += characters;
            self.bold_characters += if line.is_bold { characters } else { 0 };
            for word in line.text.split(|c: char| !is_word_character(c)) {
                if !word.is_empty() && self.words.len() < WORDS_MAX {
                    self.words.insert(hash_word(word));
                }
            }
        }
    }

    /// The size of most characters, in points.
    pub(super) fn body_size(&self) -> f32 {
        let most = self.sizes.iter().max_by_key(|&(_, &characters)| characters);
        most.map_or(10.0, |(&half_points, _)| half_points as f32 / 2.0)
    }

    /// Where most text is bold, being bold says nothing.
    pub(super) fn bold_is_rare(&self) -> bool {
        self.bold_characters * 3 < self.characters
    }

    /// Which of the page's lines are running heads, running feet or page numbers.
    pub(super) fn furniture(&self, sheet: &Sheet) -> Vec<bool> {
        self.furniture.of(sheet, self.body_size())
    }

    /// Looser than [`Self::furniture`]: enough to doubt that it is a title, too little to keep it from searches.
    pub(super) fn is_running_head(&self, line: &Line) -> bool {
        self.heads
            .get(&hash_head(&line.text))
            .is_some_and(|&pages| pages >= RUNNING_HEAD_PAGES_MIN)
    }

    /// Whether the hyphen between `left` and `right`, the end of a line and the start of the next,
    /// belongs to the word ("well-known") rather than to the line ("exam-ple").
    pub(super) fn keeps_hyphen(&self, left: &str, right: &str) -> bool {
        let start = left
            .rfind(|c| !is_word_character(c))
            .map_or(0, |at| at + char_bytes(left, at));
        let end = right
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(right.len());
        let (left, right) = (&left[start..], &right[..end]);
        // "Jean-Paul", "2019-2020", "A-4": a word that is cut goes on in lower case.
        if !right.starts_with(char::is_lowercase) || !left.ends_with(char::is_alphabetic) {
            return true;
        }
        let is_known = |word: String| self.words.contains(&hash_word(&word));
        is_known(format!("{left}-{right}")) && !is_known(format!("{left}{right}"))
    }
}

fn is_word_character(c: char) -> bool {
    c.is_alphanumeric() || c == '-'
}

/// Without digits: the page's number stands in it.
fn hash_head(line: &str) -> u64 {
    hash_word(&line.replace(|c: char| !c.is_alphabetic(), ""))
}

fn char_bytes(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(0, char::len_utf8)
}

fn hash_word(word: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for c in word.chars().flat_map(char::to_lowercase) {
        c.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::{line, sheet};
    use super::*;

    #[test]
    fn a_line_at_the_top_of_three_pages_is_a_running_head_whatever_its_number() {
        let mut style = Style::default();
        for page in 1..=3 {
            assert!(!style.is_running_head(&line("Handbook, page 7", 100.0)));
            let lines = vec![
                line(&format!("Handbook, page {page}"), 100.0),
                line("text", 89.0),
            ];
            style.learn(&sheet(page, lines));
        }
        assert!(style.is_running_head(&line("Handbook, page 7", 100.0)));
    }
}
