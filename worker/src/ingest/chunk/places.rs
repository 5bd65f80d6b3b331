//! What to call where a chunk stands, if its pages don't say it: "Slide 3", "Costs, rows 12–30".

use std::ops::Range;

use super::units::Piece;
use crate::ingest::parse::{Page, Rows};

/// The name of the place of these parts, which are in order.
pub(super) fn place(pages: &[Page], pieces: &[Piece]) -> Option<String> {
    let mut parts: Vec<(usize, Option<Range<u32>>)> = Vec::new();
    for piece in pieces {
        let rows = pages[piece.page]
            .rows
            .as_ref()
            .and_then(|rows| numbers(rows, &piece.range));
        match parts.last_mut() {
            Some((page, known)) if *page == piece.page => {
                *known = join(known.take(), rows);
            }
            _ => parts.push((piece.page, rows)),
        }
    }
    let ((first_page, first), (last_page, last)) = (parts.first()?.clone(), parts.last()?.clone());
    let (a, b) = (&pages[first_page], &pages[last_page]);
    let noun = |page: &Page| page.rows.as_ref().map(|rows| rows.noun.clone());
    // The rows of a long text count on over what it was divided into.
    if a.label == b.label && noun(a) == noun(b) {
        return name(a, join(first, last));
    }
    match (name(a, first), name(b, last)) {
        (Some(from), Some(to)) => Some(format!("{from} – {to}")),
        (from, to) => from.or(to),
    }
}

/// The first and the last row that bytes of a page belong to.
fn numbers(rows: &Rows, range: &Range<usize>) -> Option<Range<u32>> {
    let last = rows.starts.partition_point(|&(start, _)| start < range.end);
    let first = rows.starts[..last].partition_point(|&(start, _)| start <= range.start);
    let (_, first) = rows.starts.get(first.saturating_sub(1))?;
    let (_, last) = rows.starts[..last].last()?;
    Some(*first..*last)
}

fn join(a: Option<Range<u32>>, b: Option<Range<u32>>) -> Option<Range<u32>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.start.min(b.start)..a.end.max(b.end)),
        (a, b) => a.or(b),
    }
}

fn name(page: &Page, rows: Option<Range<u32>>) -> Option<String> {
    let rows = rows.zip(page.rows.as_ref()).map(|(numbers, rows)| {
        if numbers.start == numbers.end {
            format!("{} {}", singular(&rows.noun), numbers.start)
        } else {
            format!("{} {}–{}", rows.noun, numbers.start, numbers.end)
        }
    });
    match (&page.label, rows) {
        (Some(label), Some(rows)) => Some(format!("{label}, {rows}")),
        (label, rows) => rows.or_else(|| label.clone()),
    }
}

fn singular(noun: &str) -> String {
    match noun.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => noun.strip_suffix('s').unwrap_or(noun).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(label: Option<&str>, noun: &str, starts: &[(usize, u32)]) -> Page {
        Page {
            label: label.map(str::to_owned),
            rows: (!noun.is_empty()).then(|| Rows {
                noun: noun.to_owned(),
                starts: starts.to_vec(),
            }),
            ..Page::default()
        }
    }

    fn named(pages: &[Page], pieces: &[(usize, Range<usize>)]) -> Option<String> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|(page, range)| Piece {
                page: *page,
                range: range.clone(),
            })
            .collect();
        place(pages, &pieces)
    }

    #[test]
    fn a_place_is_named_by_labels_and_rows() {
        let rows = [(0, 11), (10, 12), (20, 13)];
        let sheets = [
            page(Some("Costs"), "rows", &rows),
            page(Some("Income"), "rows", &rows),
        ];
        let name = |pieces: &[(usize, Range<usize>)]| named(&sheets, pieces).unwrap();
        assert_eq!(name(&[(0, 10..19)]), "Costs, row 12");
        assert_eq!(name(&[(0, 0..9), (0, 10..25)]), "Costs, rows 11–13");
        assert_eq!(
            name(&[(0, 20..25), (1, 0..9)]),
            "Costs, row 13 – Income, row 11"
        );
        let slides = [
            page(Some("Slide 3"), "", &[]),
            page(Some("Slide 4"), "", &[]),
        ];
        assert_eq!(named(&slides, &[(0, 0..9)]).unwrap(), "Slide 3");
        assert_eq!(
            named(&slides, &[(0, 0..9), (1, 0..9)]).unwrap(),
            "Slide 3 – Slide 4"
        );
        assert_eq!(named(&[page(None, "", &[])], &[(0, 0..9)]), None);
    }

    #[test]
    fn rows_without_a_label_count_on_from_part_to_part() {
        let parts = [
            page(None, "lines", &[(0, 1), (10, 2)]),
            page(None, "lines", &[(0, 3), (10, 4)]),
        ];
        assert_eq!(
            named(&parts, &[(0, 10..20), (1, 0..20)]).unwrap(),
            "lines 2–4"
        );
        assert_eq!(named(&parts, &[(1, 0..9)]).unwrap(), "line 3");
    }
}
