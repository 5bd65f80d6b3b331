//! Running heads, running feet and page numbers: what stands in the margin of several pages at the same height and says
//! the same, but for a number that counts the pages.
//!
//! What is taken for furniture is kept from searches, so a foot too many among them is better than a sentence too few:
//! any doubt makes it text.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::lines::Line;
use super::text::Sheet;

/// On so many pages; the two pages of a letter may begin alike.
const PAGES_MIN: u32 = 3;

/// The margin, of the page's height. Books have their heads within a tenth, some reports have more above.
const MARGIN: f32 = 0.13;

/// Rows from the page's edge.
const ROWS_MAX: usize = 2;

/// To the text, of a line's height: nearer is a table's head or the first line of the text.
const GAP_MIN: f32 = 0.3;

/// Of the body size: what is larger is a title that pages share, as slides do.
const SIZE_MAX: f32 = 1.15;

/// Heights in steps of one hundredth of the page; one step beside counts, too.
const STEPS: f32 = 100.0;

const CHARACTERS_MAX: usize = 200;

/// A date, a version, the page and the number of pages.
const NUMBERS_MAX: usize = 8;

/// Marks to remember, some 40 bytes each.
const MARKS_MAX: usize = 100_000;

/// What stood in the margins so far.
#[derive(Debug, Default)]
pub(super) struct Furniture {
    /// Pages by the hash of what a line says and its height.
    pages: HashMap<u64, u32>,
}

impl Furniture {
    /// Takes in one page.
    pub(super) fn learn(&mut self, sheet: &Sheet) {
        let mut marks: Vec<u64> = in_margins(sheet)
            .into_iter()
            .flat_map(|at| marks(sheet, &sheet.lines[at]))
            .map(|marks| marks[1])
            .collect();
        marks.sort_unstable();
        marks.dedup();
        for mark in marks {
            if self.pages.len() < MARKS_MAX || self.pages.contains_key(&mark) {
                *self.pages.entry(mark).or_default() += 1;
            }
        }
    }

    /// For each line of the page, whether it is furniture.
    pub(super) fn of(&self, sheet: &Sheet, body_size: f32) -> Vec<bool> {
        let mut furniture = vec![false; sheet.lines.len()];
        for at in in_margins(sheet) {
            let line = &sheet.lines[at];
            let pages = |mark: &u64| self.pages.get(mark).copied().unwrap_or(0);
            let repeats = |marks: [u64; 3]| marks.iter().map(pages).sum::<u32>() >= PAGES_MIN;
            furniture[at] =
                line.size <= SIZE_MAX * body_size && marks(sheet, line).into_iter().any(repeats);
        }
        furniture
    }
}

/// The lines of the outermost rows, where something separates them from the text.
fn in_margins(sheet: &Sheet) -> Vec<usize> {
    let page = sheet.frame.upright_page();
    let margin = MARGIN * page.height();
    let mut from_top: Vec<usize> = (0..sheet.lines.len()).collect();
    from_top.sort_by(|&one, &other| {
        let top = |at: usize| sheet.lines[at].bounds.top;
        top(other).total_cmp(&top(one))
    });
    let head = outermost(sheet, from_top.iter().copied());
    let foot = outermost(sheet, from_top.iter().rev().copied());
    let is_above = |&at: &usize| sheet.lines[at].bounds.bottom > page.top - margin;
    let is_below = |&at: &usize| sheet.lines[at].bounds.top < page.bottom + margin;
    let head = head.into_iter().filter(is_above);
    head.chain(foot.into_iter().filter(is_below)).collect()
}

fn outermost(sheet: &Sheet, lines: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for at in lines {
        let line = &sheet.lines[at];
        let is_beside = |&other: &usize| sheet.lines[other].bounds.shares_row_with(line.bounds);
        let count = rows.len();
        match rows.last_mut() {
            Some(row) if row.iter().any(is_beside) => row.push(at),
            _ if count > ROWS_MAX => break,
            _ => rows.push(vec![at]),
        }
    }
    // The innermost row that stands apart from the one further in, and all rows outside of it.
    let stands_apart = |pair: &[Vec<usize>]| {
        let gap = |outer: usize, inner: usize| {
            let (outer, inner) = (sheet.lines[outer].bounds, sheet.lines[inner].bounds);
            let gap = (outer.bottom - inner.top).max(inner.bottom - outer.top);
            gap - GAP_MIN * outer.height().min(inner.height())
        };
        pair[0]
            .iter()
            .all(|&outer| pair[1].iter().all(|&inner| gap(outer, inner) > 0.0))
    };
    match rows.windows(2).rposition(stands_apart) {
        Some(last) => rows[..=last].concat(),
        None => Vec::new(),
    }
}

/// Hashes of what the line says and where, if it is furniture: as it is, and with one of its numbers as the distance
/// from the page's; each a step lower, at its height, and a step higher.
fn marks(sheet: &Sheet, line: &Line) -> Vec<[u64; 3]> {
    if line.text.chars().count() > CHARACTERS_MAX {
        return Vec::new();
    }
    let page = sheet.frame.upright_page();
    let height = (line.bounds.top + line.bounds.bottom) / 2.0 - page.bottom;
    let step = (height / page.height() * STEPS).round() as i32;
    let mut sayings = vec![(line.text.clone(), 0)];
    let numbers = numbers(&line.text);
    for (range, number) in numbers.iter().take(NUMBERS_MAX) {
        let rest = format!("{}#{}", &line.text[..range.start], &line.text[range.end..]);
        sayings.push((rest, number - i64::from(sheet.number)));
    }
    let at_height = |saying| {
        [step.saturating_sub(1), step, step.saturating_add(1)].map(|step| hash(&(saying, step)))
    };
    sayings.iter().map(at_height).collect()
}

/// The numbers in a text and their places; a Roman one only where it is all there is.
fn numbers(text: &str) -> Vec<(std::ops::Range<usize>, i64)> {
    if let Some(number) = roman(text.trim()) {
        return vec![(0..text.len(), number)];
    }
    let mut numbers = Vec::new();
    let mut at = 0;
    for part in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
        if let Ok(number) = digits.parse::<u32>() {
            numbers.push((at..at + digits.len(), i64::from(number)));
        }
        at += part.len();
    }
    numbers
}

/// Up to some hundred, in lower or upper case, as front matter counts.
fn roman(text: &str) -> Option<i64> {
    let values: Option<Vec<i64>> = text
        .chars()
        .map(|c| {
            Some(match c.to_ascii_lowercase() {
                'i' => 1,
                'v' => 5,
                'x' => 10,
                'l' => 50,
                'c' => 100,
                _ => return None,
            })
        })
        .collect();
    let values = values.filter(|values| !values.is_empty())?;
    let is_before_larger = |at: usize| values.get(at + 1).is_some_and(|&next| next > values[at]);
    let signed = (0..values.len()).map(|at| {
        if is_before_larger(at) {
            -values[at]
        } else {
            values[at]
        }
    });
    Some(signed.sum())
}

fn hash(saying: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    saying.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::{line, sheet};
    use super::*;

    /// Of pages with this head and foot, which of the last page's lines are furniture: head, text, foot.
    fn found(pages: u32, head: impl Fn(u32) -> Line, foot: impl Fn(u32) -> Line) -> Vec<bool> {
        let mut furniture = Furniture::default();
        let sheets: Vec<Sheet> = (1..=pages)
            .map(|page| {
                let text = line(&format!("text {page}"), 600.0);
                sheet(page, vec![head(page), text, foot(page)])
            })
            .collect();
        sheets.iter().for_each(|sheet| furniture.learn(sheet));
        furniture.of(&sheets[sheets.len() - 1], 10.0)
    }

    #[test]
    fn heads_and_page_numbers_of_three_pages_are_furniture() {
        let head = |page: u32| line(&format!("Annual report 2019, page {page} of 9"), 780.0);
        let foot = |page: u32| line(&(page + 14).to_string(), 30.0);
        assert_eq!(found(3, head, foot), [true, false, true]);
        assert_eq!(found(2, head, foot), [false; 3]);
    }

    #[test]
    fn numbers_that_do_not_count_the_pages_are_text() {
        let head = |page: u32| line(&format!("Result {}", page * page), 780.0);
        let foot = |page: u32| line(&(page * 100).to_string(), 30.0);
        assert_eq!(found(5, head, foot), [false; 3]);
    }

    #[test]
    fn what_is_large_or_further_in_or_close_to_the_text_is_text() {
        let foot = |page: u32| line(&format!("- {page} -"), 30.0);
        let large = |_| Line {
            size: 16.0,
            ..line("Questions", 780.0)
        };
        assert_eq!(found(5, large, foot), [false, false, true]);
        let further_in = |_| line("Name, number", 680.0);
        assert_eq!(found(5, further_in, foot), [false, false, true]);
        let mut furniture = Furniture::default();
        let table = sheet(1, vec![line("Name, number", 780.0), line("Ada, 7", 769.0)]);
        (0..5).for_each(|_| furniture.learn(&table));
        assert_eq!(furniture.of(&table, 10.0), [false, false]);
    }

    #[test]
    fn front_matter_counts_in_roman_numbers() {
        assert_eq!(
            ["iv", "XII", "xlix", "civil", "mix", ""].map(roman),
            [Some(4), Some(12), Some(49), Some(153), None, None]
        );
        let roman = ["", "i", "ii", "iii", "iv", "v"];
        let foot = |page: u32| line(roman[page as usize], 30.0);
        let head = |page: u32| line(&format!("title {}", page * 7), 780.0);
        assert_eq!(found(5, head, foot), [false, false, true]);
    }
}
