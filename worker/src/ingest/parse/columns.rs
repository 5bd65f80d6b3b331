//! Reading order where the file's own isn't it: columns that are drawn row by row, and lines that run downwards.
//!
//! Files mostly draw their text as it is read. What draws across columns (some printer drivers, many scanners) is told
//! by prose on both sides of a gap that goes down through many rows; a table has short cells there.

use super::lines::Line;

/// Rows with text on both sides of the gap, to call the sides columns.
const ROWS_MIN: usize = 6;

/// Mean characters of a column's lines: cells of tables are shorter.
const CHARACTERS_MIN: u32 = 20;

/// Of all rows between the first and the last: the lines of columns stand side by side nearly everywhere.
const TWO_SIDED_MIN: f32 = 0.6;

/// In points.
const GAP_MIN: f32 = 6.0;

/// A line of more than one character that is higher than wide by this factor runs downwards.
const DOWNWARDS_MIN: f32 = 3.0;

/// The lines in reading order.
pub(super) fn in_order(lines: Vec<Line>) -> Vec<Line> {
    let downwards = lines.iter().filter(|line| runs_downwards(line)).count();
    if downwards > 1 && downwards * 2 > lines.len() {
        return from_right_to_left(lines);
    }
    by_columns(lines)
}

pub(super) fn runs_downwards(line: &Line) -> bool {
    line.characters > 1 && line.bounds.height() > DOWNWARDS_MIN * line.bounds.width()
}

/// Chinese and Japanese lines that run downwards follow each other from right to left.
fn from_right_to_left(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by(|one, other| {
        let middle = |line: &Line| ((line.bounds.left + line.bounds.right) / 2.0).round();
        middle(other)
            .total_cmp(&middle(one))
            .then(other.bounds.top.total_cmp(&one.bounds.top))
    });
    lines
}

fn by_columns(lines: Vec<Line>) -> Vec<Line> {
    let mut ordered = Vec::with_capacity(lines.len());
    let mut rest = lines.as_slice();
    while !rest.is_empty() {
        match block(rest) {
            Some(Block { lines, middle }) => {
                let (block, after) = rest.split_at(lines);
                let is_left = |line: &&Line| line.bounds.right <= middle;
                ordered.extend(block.iter().filter(is_left).cloned());
                ordered.extend(block.iter().filter(|line| !is_left(line)).cloned());
                rest = after;
            }
            None => {
                let row = row_len(rest);
                ordered.extend_from_slice(&rest[..row]);
                rest = &rest[row..];
            }
        }
    }
    ordered
}

/// The first lines of a page that are two columns drawn row by row.
struct Block {
    lines: usize,
    middle: f32,
}

fn block(lines: &[Line]) -> Option<Block> {
    let (mut from, mut to) = (f32::MIN, f32::MAX);
    let (mut at, mut end) = (0, 0);
    let (mut rows, mut two_sided) = (0_usize, 0_usize);
    let mut characters = [0_u32; 2];
    while at < lines.len() {
        let row = &lines[at..at + row_len(&lines[at..])];
        let (next_from, next_to) = match row {
            [left, right] if left.bounds.right < right.bounds.left => {
                (from.max(left.bounds.right), to.min(right.bounds.left))
            }
            [one] if one.bounds.right < to && one.bounds.right < (from + to) / 2.0 => {
                (from.max(one.bounds.right), to)
            }
            [one] if one.bounds.left > from => (from, to.min(one.bounds.left)),
            _ => break,
        };
        if next_to - next_from < GAP_MIN {
            break;
        }
        (from, to) = (next_from, next_to);
        at += row.len();
        rows += 1;
        if let [left, right] = row {
            two_sided += 1;
            characters[0] += left.characters;
            characters[1] += right.characters;
            end = at;
        } else if rows == 1 {
            return None;
        }
    }
    let are_prose = characters
        .iter()
        .all(|&side| side >= CHARACTERS_MIN * two_sided as u32);
    let is_block =
        two_sided >= ROWS_MIN && two_sided as f32 >= TWO_SIDED_MIN * rows as f32 && are_prose;
    is_block.then_some(Block {
        lines: end,
        middle: (from + to) / 2.0,
    })
}

/// How many of the lines, at least one, stand side by side.
fn row_len(lines: &[Line]) -> usize {
    let ends = lines
        .windows(2)
        .position(|pair| !pair[0].bounds.shares_row_with(pair[1].bounds));
    ends.map_or(lines.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::line;
    use super::super::place::Bounds;
    use super::*;

    fn at(text: &str, left: f32, right: f32, top: f32) -> Line {
        let bounds = Bounds {
            left,
            bottom: top - 10.0,
            right,
            top,
        };
        Line {
            bounds,
            ..line(text, top)
        }
    }

    fn texts(lines: Vec<Line>) -> Vec<String> {
        in_order(lines).into_iter().map(|line| line.text).collect()
    }

    /// Rows of two lines each, as a file draws them that goes across the page.
    fn rows(left: &str, right: &str, count: usize) -> Vec<Line> {
        let row = |number: usize| {
            let top = 700.0 - 12.0 * number as f32;
            [
                at(&format!("{left} {number}"), 50.0, 280.0, top),
                at(&format!("{right} {number}"), 310.0, 540.0, top),
            ]
        };
        (0..count).flat_map(row).collect()
    }

    #[test]
    fn columns_drawn_row_by_row_are_read_one_after_the_other() {
        let mut lines = vec![at("A title over both of the columns", 50.0, 540.0, 730.0)];
        lines.extend(rows(
            "a line of the left column",
            "a line of the right column",
            8,
        ));
        lines.push(at("A foot under both of the columns", 50.0, 540.0, 500.0));
        let texts = texts(lines);
        assert_eq!(texts[0], "A title over both of the columns");
        assert!(
            texts[1..9].iter().all(|text| text.contains("left")),
            "{texts:?}"
        );
        assert!(
            texts[9..17].iter().all(|text| text.contains("right")),
            "{texts:?}"
        );
        assert_eq!(texts[17], "A foot under both of the columns");
    }

    #[test]
    fn the_rows_of_a_table_stay_rows() {
        let lines = rows("Cost", "12", 8);
        let in_rows: Vec<String> = lines.iter().map(|line| line.text.clone()).collect();
        assert_eq!(texts(lines), in_rows);
    }

    #[test]
    fn lines_that_run_downwards_are_read_from_right_to_left() {
        let down = |text: &str, left: f32| {
            let bounds = Bounds {
                left,
                bottom: 100.0,
                right: left + 12.0,
                top: 500.0,
            };
            Line {
                bounds,
                ..line(text, 500.0)
            }
        };
        let lines = vec![
            down("二行目", 70.0),
            down("三行目", 50.0),
            down("一行目", 90.0),
        ];
        assert_eq!(texts(lines), ["一行目", "二行目", "三行目"]);
    }
}
