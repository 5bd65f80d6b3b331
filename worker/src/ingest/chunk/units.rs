//! The units that chunks are made of: headings, rows and sentences, over breaks of pages and columns, too.

use std::ops::Range;

use super::{
    ChunkSettings,
    blocks::{BlockKind, blocks},
    outline::{HeadingIndex, Outline},
    sentences::sentences,
    sizes::Sizes,
};
use crate::{ingest::parse::Page, models::EmbedError};

/// A part of a page: bytes of the text of `pages[page]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) page: usize,
    pub(super) range: Range<usize>,
}

/// What is not cut.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// Several where a page ends, or a running head stands, within a sentence.
    pub(super) pieces: Vec<Piece>,
    pub(super) tokens: usize,
    /// What it stands under; for a heading itself.
    pub(super) heading: Option<HeadingIndex>,
    pub(super) is_heading: bool,
    pub(super) begins: Begins,
}

/// What a cut before a unit would come before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Begins {
    /// A slide, a sheet or a chapter: chunks don't reach over its beginning.
    Part,
    /// A heading, a paragraph or a row.
    Paragraph,
    Sentence,
    /// The rest of a sentence or row that is too long for one chunk.
    Rest,
}

pub(super) struct Units<'a> {
    pages: &'a [Page],
    sizes: &'a Sizes,
    settings: ChunkSettings,
    outline: Outline,
    units: Vec<Unit>,
    /// Paragraphs of which each goes on in the next.
    open: Vec<Piece>,
    /// The next unit is the first one of a part.
    begins_part: bool,
}

impl<'a> Units<'a> {
    pub(super) fn of(
        pages: &'a [Page],
        sizes: &'a Sizes,
        settings: ChunkSettings,
    ) -> Result<(Vec<Unit>, Outline), EmbedError> {
        let mut found = Self {
            pages,
            sizes,
            settings,
            outline: Outline::default(),
            units: Vec::new(),
            open: Vec::new(),
            begins_part: false,
        };
        for index in 0..pages.len() {
            found.page(index)?;
        }
        found.close()?;
        Ok((found.units, found.outline))
    }

    fn page(&mut self, index: usize) -> Result<(), EmbedError> {
        let pages = self.pages;
        let page = &pages[index];
        if !self.settings.join_pages || !is_of_a_book(page) {
            self.close()?;
        }
        let before = index
            .checked_sub(1)
            .and_then(|before| pages[before].label.as_ref());
        if index > 0 && page.label.as_ref() != before {
            self.begins_part = true;
            self.outline.leave();
        }
        let mut open_heading = None;
        for block in blocks(page) {
            let text = &page.text[block.range.clone()];
            match block.kind {
                BlockKind::Text => {
                    let mut start = block.range.start;
                    for paragraph in text.split("\n\n") {
                        self.paragraph(index, start..start + paragraph.len())?;
                        start += paragraph.len() + 2;
                    }
                }
                BlockKind::Heading(heading) => {
                    self.close()?;
                    // Furniture within a heading makes two blocks of one.
                    if open_heading != Some(heading) {
                        open_heading = Some(heading);
                        let heading = page.headings[heading];
                        self.outline
                            .open(heading.level, &page.text[heading.start..heading.end]);
                    }
                    let before = self.units.len();
                    self.sized(index, block.range, Begins::Paragraph)?;
                    for unit in &mut self.units[before..] {
                        unit.is_heading = true;
                    }
                }
                BlockKind::Row => {
                    self.close()?;
                    self.sized(index, block.range, Begins::Paragraph)?;
                }
            }
        }
        if !is_of_a_book(page) {
            self.close()?;
        }
        Ok(())
    }

    fn paragraph(&mut self, page: usize, range: Range<usize>) -> Result<(), EmbedError> {
        let range = trimmed(&self.pages[page].text, range);
        if range.is_empty() {
            return Ok(());
        }
        let start = range.start;
        let piece = Piece { page, range };
        if let Some(last) = self.open.last() {
            let is_broken = last.page != page || self.has_furniture(page, last.range.end, start);
            if !goes_on(self.text(last), self.text(&piece), is_broken) {
                self.close()?;
            }
        }
        self.open.push(piece);
        Ok(())
    }

    /// Whether some stands between these bytes of a page.
    fn has_furniture(&self, page: usize, from: usize, to: usize) -> bool {
        let furniture = &self.pages[page].furniture;
        let next = furniture.partition_point(|left| left.start < from);
        furniture.get(next).is_some_and(|left| left.end <= to)
    }

    /// Makes sentences of the open paragraphs.
    fn close(&mut self) -> Result<(), EmbedError> {
        let open = std::mem::take(&mut self.open);
        if let [] | [_] = &open[..] {
            return open.first().map_or(Ok(()), |piece| self.sentences(piece));
        }
        let joined = open
            .iter()
            .map(|piece| self.text(piece))
            .collect::<Vec<_>>()
            .join("\n");
        let mut begins = Begins::Paragraph;
        let (mut first, mut first_at) = (0, 0);
        for sentence in sentences(&joined) {
            let sentence = trimmed(&joined, sentence);
            if sentence.is_empty() {
                continue;
            }
            while sentence.start > first_at + open[first].range.len() {
                first_at += open[first].range.len() + 1;
                first += 1;
            }
            let mut pieces = Vec::new();
            let mut at = first_at;
            for piece in &open[first..] {
                if at >= sentence.end {
                    break;
                }
                let start = piece.range.start + sentence.start.saturating_sub(at);
                let end = piece.range.start + (sentence.end - at).min(piece.range.len());
                pieces.push(Piece {
                    page: piece.page,
                    range: start..end,
                });
                at += piece.range.len() + 1;
            }
            self.sentence(pieces, begins)?;
            begins = Begins::Sentence;
        }
        Ok(())
    }

    fn sentences(&mut self, piece: &Piece) -> Result<(), EmbedError> {
        let mut begins = Begins::Paragraph;
        for sentence in sentences(self.text(piece)) {
            let start = piece.range.start;
            let range = start + sentence.start..start + sentence.end;
            let before = self.units.len();
            self.sized(piece.page, range, begins)?;
            if self.units.len() > before {
                begins = Begins::Sentence;
            }
        }
        Ok(())
    }

    fn sentence(&mut self, mut pieces: Vec<Piece>, begins: Begins) -> Result<(), EmbedError> {
        if pieces.len() > 1 {
            let mut tokens = 0;
            for piece in &pieces {
                tokens += self.sizes.of(self.text(piece))?;
            }
            if tokens <= self.sizes.max() {
                self.push(pieces, tokens, begins);
                return Ok(());
            }
            // Lists without full stops look like a sentence over many paragraphs.
            for piece in pieces {
                self.sized(piece.page, piece.range, Begins::Paragraph)?;
            }
            return Ok(());
        }
        match pieces.pop() {
            Some(piece) => self.sized(piece.page, piece.range, begins),
            None => Ok(()),
        }
    }

    /// One unit, or several if it is too long for a chunk: then it is cut between sentences, lines, words, or
    /// anywhere within a word that alone is too long.
    fn sized(
        &mut self,
        page: usize,
        range: Range<usize>,
        begins: Begins,
    ) -> Result<(), EmbedError> {
        let text = &self.pages[page].text;
        let range = trimmed(text, range);
        if range.is_empty() {
            return Ok(());
        }
        let tokens = self.sizes.of(&text[range.clone()])?;
        if tokens <= self.sizes.max() {
            self.push(vec![Piece { page, range }], tokens, begins);
            return Ok(());
        }
        let whole = &text[range.clone()];
        let mut parts = sentences(whole);
        if parts.len() == 1 {
            parts = lines(whole);
        }
        if parts.len() > 1 {
            let mut begins = begins;
            for part in parts {
                let before = self.units.len();
                self.sized(
                    page,
                    range.start + part.start..range.start + part.end,
                    begins,
                )?;
                if self.units.len() > before {
                    begins = Begins::Rest;
                }
            }
            return Ok(());
        }
        let mut begins = begins;
        for (part, tokens) in self.sizes.cut(whole)? {
            let range = trimmed(text, range.start + part.start..range.start + part.end);
            if !range.is_empty() {
                self.push(vec![Piece { page, range }], tokens, begins);
                begins = Begins::Rest;
            }
        }
        Ok(())
    }

    fn push(&mut self, pieces: Vec<Piece>, tokens: usize, begins: Begins) {
        let begins = if std::mem::take(&mut self.begins_part) {
            Begins::Part
        } else {
            begins
        };
        self.units.push(Unit {
            pieces,
            // Marks that the tokenizer drops are units, too: chunks have a bounded number of them.
            tokens: tokens.max(1),
            heading: self.outline.current(),
            is_heading: false,
            begins,
        });
    }

    fn text(&self, piece: &Piece) -> &'a str {
        &self.pages[piece.page].text[piece.range.clone()]
    }
}

/// Whether text runs on from page to page; a slide, a sheet or a chapter begins anew.
fn is_of_a_book(page: &Page) -> bool {
    page.label.is_none() && page.rows.is_none()
}

/// Whether a paragraph is the rest of the one before: columns and pages end within sentences.
fn goes_on(before: &str, after: &str, is_broken: bool) -> bool {
    let is_closing = |c: char| matches!(c, '"' | '\'' | '”' | '“' | '’' | '»' | '«' | ')' | ']');
    let ends = before.trim_end_matches(is_closing).ends_with([
        '.', '!', '?', '…', ':', ';', '。', '！', '？', '：', '；', '।', '؟',
    ]);
    let first = after.chars().next();
    // Names and German nouns begin with a capital after a page break, too. Within a page that is a new paragraph.
    !ends && first.is_some_and(|c| c.is_lowercase() || is_broken && c.is_alphanumeric())
}

fn lines(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    text.split_inclusive('\n')
        .map(|line| {
            let range = start..start + line.len();
            start = range.end;
            range
        })
        .collect()
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = &text[range.clone()];
    let start = range.start + (piece.len() - piece.trim_start().len());
    start..(start + piece.trim().len())
}
