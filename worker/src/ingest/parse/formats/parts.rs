//! The pages that a reader fills: paragraph after paragraph, in parts that stay small.

use super::super::{Heading, Page, ParseFailure, ParseLimits, ParsedDocument, Rows};

/// A part of a longer text ends at the paragraph that would make it longer than this, so that nothing that looks
/// through a page for each of its passages gets slow: as much as twenty printed pages.
pub(super) const PART_BYTES: usize = 64 << 10;

/// A longer heading is a paragraph in the clothes of one.
const HEADING_BYTES_MAX: usize = 400;

/// Names of sheets have up to 31; those of chapters are titles.
const LABEL_CHARACTERS_MAX: usize = 200;

/// What a row's or a heading's place costs in the child's output.
const PLACE_BYTES: u64 = 24;

/// Writes pages. Texts that come here are `clean`.
pub(super) struct Parts {
    noun: Option<&'static str>,
    pages: Vec<Page>,
    page: Page,
    /// The page is kept even if nothing is written to it.
    keep: bool,
    count: u32,
    bytes_left: u64,
    bytes_max: u64,
    pages_max: u32,
}

impl Parts {
    /// `noun`: what the rows are that callers count, if they do.
    pub(super) fn new(limits: &ParseLimits, noun: Option<&'static str>) -> Self {
        Self {
            noun,
            pages: Vec::new(),
            page: Page::default(),
            keep: false,
            count: 0,
            bytes_left: limits.output_bytes_max,
            bytes_max: limits.output_bytes_max,
            pages_max: limits.pages_max,
        }
    }

    /// Begins a part with a name: a sheet, a chapter. One that stays empty is dropped.
    pub(super) fn begin(&mut self, label: Option<String>) -> Result<(), ParseFailure> {
        let label = label.map(|label| label.chars().take(LABEL_CHARACTERS_MAX).collect());
        self.turn(label)?;
        self.count = 0;
        Ok(())
    }

    /// Begins a part that stays even without a text, as slides do.
    pub(super) fn begin_kept(&mut self, label: String) -> Result<(), ParseFailure> {
        self.begin(Some(label))?;
        self.keep = true;
        Ok(())
    }

    pub(super) fn has_pictures(&mut self) {
        self.page.has_pictures = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty() && self.page.text.is_empty()
    }

    /// The next paragraph, counted as one.
    pub(super) fn paragraph(&mut self, text: &str) -> Result<(), ParseFailure> {
        self.counted(text, None)
    }

    /// The next paragraph, which is a title of this level.
    pub(super) fn heading(&mut self, level: u8, text: &str) -> Result<(), ParseFailure> {
        self.counted(text, Some(level))
    }

    fn counted(&mut self, text: &str, level: Option<u8>) -> Result<(), ParseFailure> {
        if text.trim().is_empty() {
            return Ok(());
        }
        self.count += 1;
        self.write(text, level, &[(0, self.count)])
    }

    /// A paragraph with its own count of rows: where in it they begin, and their numbers.
    pub(super) fn write(
        &mut self,
        text: &str,
        level: Option<u8>,
        rows: &[(usize, u32)],
    ) -> Result<(), ParseFailure> {
        let mut from = text.len() - text.trim_start().len();
        let end = text.trim_end().len();
        if from >= end {
            return Ok(());
        }
        let level = level.filter(|_| end - from <= HEADING_BYTES_MAX);
        let cost = (end - from) as u64 + PLACE_BYTES * (1 + rows.len() as u64);
        self.bytes_left = self
            .bytes_left
            .checked_sub(cost)
            .ok_or(ParseFailure::OutputTooBig {
                max: self.bytes_max,
            })?;
        let mut rows = rows.iter().copied().peekable();
        let mut row = None;
        while from < end {
            let to = piece_end(&text[..end], from);
            if !self.page.text.is_empty() && self.page.text.len() + 2 + to - from > PART_BYTES {
                self.turn(self.page.label.clone())?;
            }
            if !self.page.text.is_empty() {
                self.page.text.push_str("\n\n");
            }
            let start = self.page.text.len();
            self.page.text.push_str(&text[from..to]);
            if let Some(level) = level {
                self.page.headings.push(Heading {
                    start,
                    end: start + to - from,
                    level: level.clamp(1, 6),
                });
            }
            // The row that this piece begins within, and those that begin in it.
            while let Some((_, number)) = rows.next_if(|&(at, _)| at <= from) {
                row = Some(number);
            }
            if let Some(number) = row {
                self.mark(start, number);
            }
            while let Some((at, number)) = rows.next_if(|&(at, _)| at < to) {
                row = Some(number);
                self.mark(start + at - from, number);
            }
            from = to;
        }
        Ok(())
    }

    fn mark(&mut self, start: usize, number: u32) {
        let Some(noun) = self.noun else { return };
        let rows = self.page.rows.get_or_insert_with(|| Rows {
            noun: noun.to_owned(),
            starts: Vec::new(),
        });
        if rows.starts.last().is_none_or(|&(_, last)| last < number) {
            rows.starts.push((start, number));
        }
    }

    fn turn(&mut self, label: Option<String>) -> Result<(), ParseFailure> {
        self.put_away()?;
        self.page.label = label;
        Ok(())
    }

    fn put_away(&mut self) -> Result<(), ParseFailure> {
        let page = std::mem::take(&mut self.page);
        let keep = std::mem::take(&mut self.keep);
        if page.text.is_empty() && !keep {
            return Ok(());
        }
        let number = u32::try_from(self.pages.len() + 1).unwrap_or(u32::MAX);
        if number > self.pages_max {
            return Err(ParseFailure::TooManyPages {
                pages: number,
                max: self.pages_max,
            });
        }
        self.pages.push(Page { number, ..page });
        Ok(())
    }

    /// At least one page, even if there was nothing.
    pub(super) fn finish(
        mut self,
        title: Option<String>,
        notes: Vec<String>,
    ) -> Result<ParsedDocument, ParseFailure> {
        self.keep |= self.pages.is_empty();
        self.put_away()?;
        Ok(ParsedDocument {
            title,
            pages: self.pages,
            notes,
        })
    }
}

/// The end of the piece that begins at `from`: all the rest, or as much as fits into a part, cut behind a line, a word
/// or, if it must be, a character.
fn piece_end(text: &str, from: usize) -> usize {
    if text.len() - from <= PART_BYTES {
        return text.len();
    }
    let most = text.floor_char_boundary(from + PART_BYTES);
    let piece = &text[from..most];
    let late = |at: &usize| *at > PART_BYTES / 2;
    let line = piece.rfind('\n').map(|at| at + 1).filter(late);
    let word = || piece.rfind(' ').map(|at| at + 1).filter(late);
    line.or_else(word).map_or(most, |at| from + at)
}

/// A text as pages hold it: line ends are `\n`, other control characters and private ones are gone, and what is
/// invisible within words.
pub(super) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' | '\u{c}' => cleaned.push('\n'),
            '\n' => cleaned.push('\n'),
            '\t' | '\u{a0}' => cleaned.push(' '),
            // Soft hyphens, zero-width spaces, byte order marks.
            '\u{ad}' | '\u{200b}' | '\u{feff}' => {}
            '\u{e000}'..='\u{f8ff}' | '\u{f0000}'.. => {}
            _ if c.is_control() => {}
            _ => cleaned.push(c),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn parts_are_sound_and_hold_all_words_once(
            texts in prop::collection::vec(("\\PC{0,40}[ \n]{0,3}\\PC{0,20}", 1_usize..400, 0_u8..9), 0..12)
        ) {
            let limits = ParseLimits::default();
            let mut parts = Parts::new(&limits, Some("lines"));
            let mut words = Vec::new();
            for (text, times, level) in &texts {
                let text = clean(&format!("{text} ").repeat(*times));
                words.extend(text.split_whitespace().map(str::to_owned));
                parts.counted(&text, level.checked_sub(6)).unwrap();
            }
            let pages = parts.finish(None, Vec::new()).unwrap().pages;
            let mut read = Vec::new();
            for page in &pages {
                prop_assert!(page.is_sound());
                prop_assert!(page.text.len() <= PART_BYTES);
                read.extend(page.text.split_whitespace().map(str::to_owned));
            }
            // A word that is longer than a part is cut.
            prop_assert_eq!(read.concat(), words.concat());
        }
    }

    #[test]
    fn rows_go_on_counting_in_the_next_part() {
        let limits = ParseLimits::default();
        let mut parts = Parts::new(&limits, Some("lines"));
        let line = "x".repeat(PART_BYTES / 2);
        let text = format!("{line}\n{line}\n{line}");
        let starts = [(0, 7), (line.len() + 1, 8), (2 * (line.len() + 1), 9)];
        parts.write(&text, None, &starts).unwrap();
        let pages = parts.finish(None, Vec::new()).unwrap().pages;
        let numbers = |page: &Page| {
            let starts = &page.rows.as_ref().unwrap().starts;
            starts.iter().map(|&(_, number)| number).collect::<Vec<_>>()
        };
        assert_eq!(
            pages.iter().map(numbers).collect::<Vec<_>>(),
            [vec![7], vec![8], vec![9]]
        );
        assert!(pages.iter().all(Page::is_sound));
    }

    #[test]
    fn nothing_is_one_empty_page() {
        let parts = Parts::new(&ParseLimits::default(), None);
        let pages = parts.finish(None, Vec::new()).unwrap().pages;
        assert_eq!(
            pages,
            [Page {
                number: 1,
                ..Page::default()
            }]
        );
    }

    #[test]
    fn what_is_no_text_is_cleaned_away() {
        assert_eq!(
            clean("a\r\nb\rc\td\0e\u{ad}f\u{feff}\u{e001}g\u{85}h"),
            "a\nb\nc defg\nh"
        );
    }
}
