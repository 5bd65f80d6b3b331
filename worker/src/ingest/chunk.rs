//! Cutting a document into chunks: whole sentences, up to so many tokens, new ones at headings.
//!
//! Each chunk knows where its text stands on its pages. Sizes are those of the model's own tokenizer, so that no part
//! of a chunk is beyond what the model reads.

use lectern_shared::store::chunks::Span;
use unicode_segmentation::UnicodeSegmentation;

use super::parse::Page;
use crate::models::{EmbedError, TokenCounter};

/// A part of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// The spans' texts, joined by line ends.
    pub text: String,
    /// In order; several on a page where something between them is left out.
    pub spans: Vec<Span>,
    /// The titles that the text stands under, outermost first.
    pub heading: Option<String>,
    /// What to call where it stands, if its pages don't say it.
    pub place: Option<String>,
    pub tokens: usize,
}

impl Chunk {
    #[must_use]
    pub fn page_first(&self) -> u32 {
        self.spans.first().map_or(0, |span| span.page)
    }

    #[must_use]
    pub fn page_last(&self) -> u32 {
        self.spans.last().map_or(0, |span| span.page)
    }
}

/// Cuts documents.
pub struct Chunker {
    tokens: TokenCounter,
    tokens_max: usize,
}

/// A sentence or a heading: the smallest thing that is not cut, unless it alone is too long.
#[derive(Clone, Debug)]
struct Unit {
    page: usize,
    start: usize,
    end: usize,
    tokens: usize,
    heading: Option<usize>,
    is_heading: bool,
}

impl Chunker {
    /// For chunks of up to `tokens_wanted` tokens, and never more than the model reads.
    #[must_use]
    pub fn new(tokens: TokenCounter, tokens_wanted: usize) -> Self {
        let tokens_max = tokens_wanted.clamp(16, tokens.text_tokens_max().max(16));
        Self { tokens, tokens_max }
    }

    /// The chunks of a document, in order; between them they hold every word once.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn chunks(&self, pages: &[Page]) -> Result<Vec<Chunk>, EmbedError> {
        let mut titles = Vec::new();
        let mut units = Vec::new();
        for index in 0..pages.len() {
            self.page_units(pages, index, &mut titles, &mut units)?;
        }
        let mut chunks = Vec::new();
        let mut first = 0;
        let mut tokens = 0;
        for next in 0..units.len() {
            let unit = &units[next];
            let full = tokens + unit.tokens > self.tokens_max;
            // A heading begins a chunk, unless the one before has hardly begun.
            let section =
                unit.is_heading && tokens > self.tokens_max / 4 && !units[next - 1].is_heading;
            if next > first && (full || section) {
                // A heading stays with what it heads.
                let mut cut = next;
                while cut > first + 1 && units[cut - 1].is_heading && !unit.is_heading {
                    cut -= 1;
                }
                if units[cut..next]
                    .iter()
                    .map(|unit| unit.tokens)
                    .sum::<usize>()
                    + unit.tokens
                    > self.tokens_max
                {
                    cut = next;
                }
                chunks.push(assemble(pages, &titles, &units[first..cut]));
                first = cut;
                tokens = units[first..next].iter().map(|unit| unit.tokens).sum();
            }
            tokens += unit.tokens;
        }
        if first < units.len() {
            chunks.push(assemble(pages, &titles, &units[first..]));
        }
        Ok(chunks)
    }

    fn page_units(
        &self,
        pages: &[Page],
        index: usize,
        titles: &mut Vec<String>,
        units: &mut Vec<Unit>,
    ) -> Result<(), EmbedError> {
        let page = &pages[index];
        let mut at = 0;
        for heading in &page.headings {
            self.text_units(
                &page.text,
                index,
                at..heading.start,
                titles.len().checked_sub(1),
                units,
            )?;
            titles.push(collapse(&page.text[heading.start..heading.end]));
            let title = titles.len() - 1;
            let before = units.len();
            self.sized_units(
                &page.text,
                index,
                heading.start..heading.end,
                Some(title),
                units,
            )?;
            for unit in &mut units[before..] {
                unit.is_heading = true;
            }
            at = heading.end;
        }
        self.text_units(
            &page.text,
            index,
            at..page.text.len(),
            titles.len().checked_sub(1),
            units,
        )
    }

    fn text_units(
        &self,
        text: &str,
        page: usize,
        range: std::ops::Range<usize>,
        heading: Option<usize>,
        units: &mut Vec<Unit>,
    ) -> Result<(), EmbedError> {
        for sentence in sentences(&text[range.clone()]) {
            let range = range.start + sentence.start..range.start + sentence.end;
            self.sized_units(text, page, range, heading, units)?;
        }
        Ok(())
    }

    /// One unit, or several if it is too long for a chunk: then it is cut between words, or anywhere within a word
    /// that alone is too long.
    fn sized_units(
        &self,
        text: &str,
        page: usize,
        range: std::ops::Range<usize>,
        heading: Option<usize>,
        units: &mut Vec<Unit>,
    ) -> Result<(), EmbedError> {
        let range = trimmed(text, range);
        if range.is_empty() {
            return Ok(());
        }
        let tokens = self.tokens.count(&text[range.clone()])?;
        if tokens <= self.tokens_max {
            units.push(Unit {
                page,
                start: range.start,
                end: range.end,
                tokens,
                heading,
                is_heading: false,
            });
            return Ok(());
        }
        let offsets = self.tokens.offsets(&text[range.clone()])?;
        let mut first = 0;
        while first < offsets.len() {
            let mut last = (first + self.tokens_max).min(offsets.len());
            if last < offsets.len() {
                let begins_word = |&at: &usize| {
                    text[..range.start + offsets[at].start].ends_with(char::is_whitespace)
                };
                last = (first + self.tokens_max / 2..=last)
                    .rev()
                    .find(begins_word)
                    .unwrap_or(last);
            }
            let start = range.start + if first == 0 { 0 } else { offsets[first].start };
            let end = offsets
                .get(last)
                .map_or(range.end, |next| range.start + next.start);
            let piece = trimmed(text, start..end);
            if !piece.is_empty() {
                let tokens = last - first;
                units.push(Unit {
                    page,
                    start: piece.start,
                    end: piece.end,
                    tokens,
                    heading,
                    is_heading: false,
                });
            }
            first = last;
        }
        Ok(())
    }
}

/// The sentences of a text by Unicode's rules (UAX #29), within its paragraphs.
pub(crate) fn sentences(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for paragraph in text.split("\n\n") {
        // A line end is a sentence end to Unicode, but not in running text; a blank has as many bytes.
        let joined = paragraph.replace('\n', " ");
        for (at, sentence) in joined.split_sentence_bound_indices() {
            found.push(start + at..start + at + sentence.len());
        }
        start += paragraph.len() + 2;
    }
    found
}

fn trimmed(text: &str, range: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let piece = &text[range.clone()];
    let start = range.start + (piece.len() - piece.trim_start().len());
    start..(start + piece.trim().len())
}

/// White space of any kind and length as one blank.
pub(crate) fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn assemble(pages: &[Page], titles: &[String], units: &[Unit]) -> Chunk {
    let mut spans: Vec<(usize, usize, usize)> = Vec::new();
    for unit in units {
        match spans.last_mut() {
            Some((page, _, end)) if *page == unit.page => *end = unit.end,
            _ => spans.push((unit.page, unit.start, unit.end)),
        }
    }
    let text = spans
        .iter()
        .map(|&(page, start, end)| &pages[page].text[start..end])
        .collect::<Vec<_>>()
        .join("\n");
    let in_characters = |page: usize, byte: usize| {
        u32::try_from(pages[page].text[..byte].chars().count()).unwrap_or(u32::MAX)
    };
    Chunk {
        text,
        spans: spans
            .iter()
            .map(|&(page, start, end)| Span {
                page: pages[page].number,
                start: in_characters(page, start),
                end: in_characters(page, end),
                boxes: pages[page]
                    .lines
                    .iter()
                    .filter(|line| line.start < end && start < line.end)
                    .map(|line| line.bounds)
                    .collect(),
            })
            .collect(),
        heading: units
            .first()
            .and_then(|unit| unit.heading)
            .map(|title| titles[title].clone()),
        place: None,
        tokens: units.iter().map(|unit| unit.tokens).sum(),
    }
}
