//! From units to spans: where a chunk's text stands, in characters and in boxes.

use std::ops::Range;

use lectern_shared::store::chunks::{Bounds, Span};

use super::units::{Piece, Unit};
use crate::ingest::parse::Page;

/// Consecutive units as few pieces: cut only where a page ends or something between them is left out.
pub(super) fn joined(pages: &[Page], units: &[Unit]) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in units.iter().flat_map(|unit| &unit.pieces) {
        match joined.last_mut() {
            Some(last) if last.page == piece.page && is_blank_between(pages, last, piece) => {
                last.range.end = piece.range.end;
            }
            _ => joined.push(piece.clone()),
        }
    }
    joined
}

fn is_blank_between(pages: &[Page], before: &Piece, after: &Piece) -> bool {
    pages[before.page].text[before.range.end..after.range.start]
        .trim()
        .is_empty()
}

/// Counts the characters before bytes of a page. From one place to the next it counts only what is between them.
#[derive(Default)]
pub(super) struct Characters {
    page: usize,
    byte: usize,
    characters: usize,
}

impl Characters {
    pub(super) fn span(&mut self, pages: &[Page], piece: &Piece) -> Span {
        let page = &pages[piece.page];
        if self.page != piece.page {
            *self = Self {
                page: piece.page,
                ..Self::default()
            };
        }
        Span {
            page: page.number,
            start: self.before(&page.text, piece.range.start),
            end: self.before(&page.text, piece.range.end),
            boxes: boxes(page, &piece.range),
        }
    }

    fn before(&mut self, text: &str, byte: usize) -> u32 {
        if byte < self.byte {
            self.characters -= text[byte..self.byte].chars().count();
        } else {
            self.characters += text[self.byte..byte].chars().count();
        }
        self.byte = byte;
        u32::try_from(self.characters).unwrap_or(u32::MAX)
    }
}

/// The boxes of the lines that bytes of a page touch.
fn boxes(page: &Page, range: &Range<usize>) -> Vec<Bounds> {
    let first = page.lines.partition_point(|line| line.end <= range.start);
    page.lines[first..]
        .iter()
        .take_while(|line| line.start < range.end)
        .map(|line| line.bounds)
        .collect()
}
