//! Citations of an answer, checked while it is written: `[2]` reaches readers when there is a passage 2, and not before
//! that is known.
//!
//! `[0]` never does: a generator says by it that no passage answers.
//!
//! Models write them as `[1, 2]`, `[1-3]`, `[passage 2]` or `【1†source】`, too; readers get `[1][2]` always. What only
//! looks like one stays as it is: `[sic]`, `a[0]`, years, and anything between backticks.

use std::collections::BTreeSet;

use unicode_segmentation::UnicodeSegmentation;

/// Longer brackets are no citation; nothing is held back for longer.
const CHARS_MAX: usize = 40;

/// Words that models put before a number.
const WORDS: [&str; 14] = [
    "abschnitt",
    "citation",
    "doc",
    "document",
    "fragmento",
    "fuente",
    "pasaje",
    "passage",
    "passages",
    "quelle",
    "ref",
    "source",
    "sources",
    "textstelle",
];

/// Takes an answer in pieces of any cut and gives back what may be shown of it.
#[derive(Debug, Default)]
pub(crate) struct Citations {
    /// Passages that the generator was given: those up to this number may be cited.
    given: usize,
    /// From a blank or bracket on, what is not decided yet.
    held: String,
    cited: BTreeSet<usize>,
    removed: u32,
    cites_none: bool,
    before: Before,
}

/// What the text before a bracket says of it.
#[derive(Debug, Default)]
struct Before {
    /// The letters and digits that it ends with.
    word: String,
    ticks: u32,
    inline_code: bool,
    code_block: bool,
}

impl Citations {
    pub(crate) fn new(given: usize) -> Self {
        Self {
            given,
            ..Self::default()
        }
    }

    /// Only the first so many passages went to the generator.
    pub(crate) fn give(&mut self, given: usize) {
        self.given = given;
    }

    /// What may be shown, now that `piece` is known.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        self.release(false)
    }

    /// What is left at the end.
    pub(crate) fn finish(&mut self) -> String {
        self.release(true)
    }

    /// The passages that were cited, by number.
    pub(crate) fn cited(&self) -> &BTreeSet<usize> {
        &self.cited
    }

    /// Whether it says that none of the passages answers.
    pub(crate) fn says_none_answers(&self) -> bool {
        self.cites_none && self.cited.is_empty()
    }

    /// Citations of passages that were not given.
    pub(crate) fn removed(&self) -> u32 {
        self.removed
    }

    fn release(&mut self, at_end: bool) -> String {
        let mut shown = String::new();
        let mut rest = std::mem::take(&mut self.held);
        loop {
            let open = rest.find(['[', '【']).unwrap_or(rest.len());
            // Blanks before a citation go with it when it is removed.
            let text = rest[..open].trim_end_matches([' ', '\t']).len();
            self.before.read(&rest[..text]);
            shown.push_str(&rest[..text]);
            rest.drain(..text);
            let blanks = open - text;
            if blanks == rest.len() {
                break; // nothing but blanks, if anything
            }
            match decide(&rest[blanks..], &self.before, blanks > 0) {
                Decision::Wait if !at_end => break,
                Decision::Wait | Decision::Text => {
                    // The bracket itself is text; what follows is looked at anew.
                    let end = blanks + rest[blanks..].chars().next().map_or(0, char::len_utf8);
                    self.before.read(&rest[..end]);
                    shown.push_str(&rest[..end]);
                    rest.drain(..end);
                }
                Decision::Citation { bytes, numbers } => {
                    let kept = self.keep(&numbers);
                    if !kept.is_empty() {
                        shown.push_str(&rest[..blanks]);
                        shown.push_str(&kept);
                    }
                    self.before.word.clear();
                    rest.drain(..blanks + bytes);
                }
            }
        }
        if at_end {
            shown.push_str(&rest);
        } else {
            self.held = rest;
        }
        shown
    }

    fn keep(&mut self, numbers: &[(usize, usize)]) -> String {
        let mut wanted = BTreeSet::new();
        for &(first, last) in numbers {
            if (first, last) == (0, 0) {
                self.cites_none = true;
            } else if first == 0 || last > self.given {
                self.removed += 1;
            }
            wanted.extend(first.max(1)..=last.min(self.given));
        }
        self.cited.extend(&wanted);
        wanted.iter().map(|number| format!("[{number}]")).collect()
    }
}

impl Before {
    fn read(&mut self, text: &str) {
        for c in text.chars() {
            if c == '`' {
                self.ticks += 1;
            } else {
                match std::mem::take(&mut self.ticks) {
                    0 | 2 => {}
                    1 => self.inline_code = !self.inline_code,
                    _ => self.code_block = !self.code_block,
                }
            }
            // A lone backtick in prose must not hide what follows from the check.
            self.inline_code &= c != '\n';
            if c.is_alphanumeric() || c == '_' {
                if self.word.len() < CHARS_MAX {
                    self.word.push(c);
                }
            } else {
                self.word.clear();
            }
        }
    }

    fn is_code(&self) -> bool {
        match self.ticks {
            0 | 2 => self.inline_code || self.code_block,
            1 => self.code_block || !self.inline_code,
            _ => !self.code_block,
        }
    }

    /// `x[1]` and `row_2[1]` are places in a list; `abroad[1]` is a citation without its blank.
    fn is_a_variable(&self) -> bool {
        self.word.chars().count() == 1 || self.word.contains('_')
    }
}

enum Decision {
    /// Too short to tell.
    Wait,
    /// No citation.
    Text,
    /// Its length with the brackets, and its numbers as ranges.
    Citation {
        bytes: usize,
        numbers: Vec<(usize, usize)>,
    },
}

/// What becomes of a text that begins with a bracket.
fn decide(text: &str, before: &Before, has_blank: bool) -> Decision {
    let mut chars = text.char_indices();
    let close = match chars.next() {
        Some((_, '【')) => '】',
        _ => ']',
    };
    if before.is_code() || (!has_blank && before.is_a_variable()) {
        return Decision::Text;
    }
    let start = chars.offset();
    for (count, (at, c)) in chars.enumerate() {
        let inside = &text[start..at];
        if c == close {
            // A word and a zero: a place in a list, counted as programs do.
            let is_place = !has_blank && !before.word.is_empty() && inside.trim() == "0";
            return match numbers(inside) {
                Some(numbers) if !is_place => Decision::Citation {
                    bytes: at + c.len_utf8(),
                    numbers,
                },
                _ => Decision::Text,
            };
        }
        if count >= CHARS_MAX || !can_be_inside(inside, c, close) {
            return Decision::Text;
        }
    }
    Decision::Wait
}

/// Whether a citation may go on with `c` after `inside`.
fn can_be_inside(inside: &str, c: char, close: char) -> bool {
    if inside.contains('†') {
        return c != '\n';
    }
    let is_mark = |c: char| c.is_ascii_digit() || " ,;:.&-–—^#".contains(c);
    if is_mark(c) || (c == '†' && close == '】') {
        return true;
    }
    let word = inside.rsplit(is_mark).next().unwrap_or_default();
    let word = format!("{word}{c}").to_lowercase();
    c.is_alphabetic() && WORDS.iter().any(|known| known.starts_with(&word))
}

/// The ranges that stand between brackets; `None` if anything else does.
fn numbers(inside: &str) -> Option<Vec<(usize, usize)>> {
    let inside = inside.split('†').next().unwrap_or_default();
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let mut to = false;
    for token in inside.split_word_bounds() {
        if let Ok(number) = token.parse::<usize>() {
            // Three digits are a passage that nobody has; four are a year.
            if token.len() > 3 {
                return None;
            }
            match ranges.last_mut() {
                Some(range) if to && range.1 <= number => range.1 = number,
                _ => ranges.push((number, number)),
            }
            to = false;
        } else if ["-", "–", "—"].contains(&token) {
            to = !ranges.is_empty();
        } else if token.chars().any(char::is_alphanumeric)
            && !WORDS.contains(&token.to_lowercase().as_str())
        {
            return None;
        }
    }
    (!ranges.is_empty()).then_some(ranges)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checked(text: &str, given: usize) -> (String, Vec<usize>, u32) {
        let mut citations = Citations::new(given);
        let mut shown = citations.push(text);
        shown.push_str(&citations.finish());
        (
            shown,
            citations.cited().iter().copied().collect(),
            citations.removed(),
        )
    }

    #[test]
    fn a_citation_of_a_passage_that_was_not_given_is_removed_with_its_blank_and_counted() {
        let (text, cited, removed) = checked("47 euros abroad [1]. Taxis are free [9].", 2);
        assert_eq!(text, "47 euros abroad [1]. Taxis are free.");
        assert_eq!((cited, removed), (vec![1], 1));
        assert_eq!(checked("Nobody knows [0].", 2).0, "Nobody knows.");
        assert_eq!(checked("Nobody knows [1].", 0).0, "Nobody knows.");
    }

    #[test]
    fn a_generator_says_by_zero_that_no_passage_answers_unless_it_cites_one() {
        for (written, says_none) in [
            ("Nobody knows [0].", true),
            ("Nobody knows.", false),
            ("Nobody knows [9].", false),
            ("Nobody knows [0], but see [1].", false),
            ("`rows[0]` is the first.", false),
        ] {
            let mut citations = Citations::new(2);
            citations.push(written);
            citations.finish();
            assert_eq!(citations.says_none_answers(), says_none, "{written}");
        }
        assert_eq!(checked("Nobody knows [0].", 2).2, 0);
    }

    #[test]
    fn every_way_to_write_citations_becomes_one() {
        for (written, shown) in [
            ("so [1, 2].", "so [1][2]."),
            ("so [1][2].", "so [1][2]."),
            ("so [1-3].", "so [1][2][3]."),
            ("so [1–2; 3].", "so [1][2][3]."),
            ("so 【1】.", "so [1]."),
            ("so 【1†source】.", "so [1]."),
            ("so [passage 2].", "so [2]."),
            ("so [Passages 1 & 3].", "so [1][3]."),
            ("so [^2].", "so [2]."),
            ("abroad[1].", "abroad[1]."),
            ("so [2, 7].", "so [2]."),
            ("so [2-7].", "so [2][3]."),
        ] {
            assert_eq!(checked(written, 3).0, shown, "{written}");
        }
    }

    #[test]
    fn what_is_no_citation_stays_as_it_is() {
        for text in [
            "He wrote [sic] that.",
            "a[0] = b[1]",
            "items[0] is the first",
            "It was [1995] then.",
            "Use `list[1]` here.",
            "```\nprint(row[2], [9])\n```",
            "An open [",
            "[see 1",
            "[1",
            "[so urces] and [] and [ ]",
            "[a link](https://example.org)",
        ] {
            assert_eq!(checked(text, 3), (text.to_owned(), vec![], 0), "{text}");
        }
    }

    #[test]
    fn a_lone_backtick_does_not_hide_what_follows() {
        assert_eq!(checked("a ` b\nc [9]", 3).0, "a ` b\nc");
    }

    #[test]
    fn nothing_of_a_citation_is_shown_before_it_is_decided() {
        let mut citations = Citations::new(1);
        assert_eq!(citations.push("Yes "), "Yes");
        assert_eq!(citations.push("["), "");
        assert_eq!(citations.push("1"), "");
        assert_eq!(citations.push("] [7"), " [1]");
        assert_eq!(citations.push("]"), "");
        assert_eq!(citations.push("."), ".");
        assert_eq!(citations.push(" [sic"), " [sic");
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_an_answer_is_cut(
            pieces in proptest::collection::vec("(\\[|\\]|【|】|[0-3]|[a-c]|passage|`|-|,| |\n|†){0,4}", 0..12)
        ) {
            let whole = pieces.concat();
            let mut citations = Citations::new(2);
            let mut shown: String = pieces.iter().map(|piece| citations.push(piece)).collect();
            shown.push_str(&citations.finish());
            prop_assert_eq!(shown, checked(&whole, 2).0);
        }
    }
}
