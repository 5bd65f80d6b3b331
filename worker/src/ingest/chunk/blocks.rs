//! What a page is made of: headings, rows and running text, without its running heads and page numbers.

use std::ops::Range;

use crate::ingest::parse::Page;

/// A part of a page's text that is of one kind.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    pub(super) range: Range<usize>,
    pub(super) kind: BlockKind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum BlockKind {
    /// The page's heading of this index.
    Heading(usize),
    Row,
    Text,
}

/// A page's blocks in order; together they are the page's text without its furniture.
pub(super) fn blocks(page: &Page) -> Vec<Block> {
    // Lines of a plain text are counted, too, but its sentences don't end with them.
    let rows = page.rows.as_ref().filter(|rows| rows.noun != "lines");
    let row_starts = rows.map_or(&[][..], |rows| &rows.starts);
    let headings = page
        .headings
        .iter()
        .map(|heading| heading.start..heading.end);
    let mut edges: Vec<usize> = headings
        .clone()
        .chain(page.furniture.iter().cloned())
        .flat_map(|range| [range.start, range.end])
        .chain(row_starts.iter().map(|&(start, _)| start))
        .chain([0, page.text.len()])
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let mut headings = headings.enumerate().peekable();
    let mut furniture = page.furniture.iter().peekable();
    let mut blocks = Vec::new();
    for edge in edges.windows(2) {
        let range = edge[0]..edge[1];
        while furniture.next_if(|left| left.end <= range.start).is_some() {}
        while headings
            .next_if(|(_, heading)| heading.end <= range.start)
            .is_some()
        {}
        if furniture
            .peek()
            .is_some_and(|left| left.start <= range.start)
        {
            continue;
        }
        let kind = match headings.peek() {
            Some((index, heading)) if heading.start <= range.start => BlockKind::Heading(*index),
            _ if row_starts
                .first()
                .is_some_and(|&(start, _)| start <= range.start) =>
            {
                BlockKind::Row
            }
            _ => BlockKind::Text,
        };
        blocks.push(Block { range, kind });
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::super::super::parse::{Heading, Rows};
    use super::*;

    #[test]
    fn furniture_is_left_out_and_the_rest_is_cut_at_headings_and_rows() {
        let page = Page {
            text: "HEAD\nTitle\ntext\none\ntwo\n7".to_owned(),
            headings: vec![Heading {
                start: 5,
                end: 10,
                level: 1,
            }],
            furniture: vec![0..4, 24..25],
            rows: Some(Rows {
                noun: "rows".to_owned(),
                starts: vec![(16, 1), (20, 2)],
            }),
            ..Page::default()
        };
        let found: Vec<_> = blocks(&page)
            .into_iter()
            .map(|block| (&page.text[block.range], block.kind))
            .collect();
        assert_eq!(
            found,
            [
                ("\n", BlockKind::Text),
                ("Title", BlockKind::Heading(0)),
                ("\ntext\n", BlockKind::Text),
                ("one\n", BlockKind::Row),
                ("two\n", BlockKind::Row),
            ]
        );
    }

    #[test]
    fn a_heading_that_is_furniture_is_left_out() {
        let furniture = 0..4;
        let page = Page {
            text: "HEAD\ntext".to_owned(),
            headings: vec![Heading {
                start: 0,
                end: 4,
                level: 1,
            }],
            furniture: vec![furniture],
            ..Page::default()
        };
        let blocks = blocks(&page);
        assert_eq!(blocks.len(), 1);
        assert_eq!(blocks[0].kind, BlockKind::Text);
    }
}
