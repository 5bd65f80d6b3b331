//! Rows of sheets and of separated values: the first one, if it names the columns, heads all that follow, so that each
//! passage says what its figures are.

use super::super::ParseFailure;
use super::flow::row_text;
use super::parts::{Parts, clean};

/// A gap of more cells than this within a row is not kept: a cell at the far end of a sheet would cost thousands.
pub(super) const COLUMNS_MAX: usize = 256;

pub(super) struct Table {
    /// Below the name of a sheet, or first of all.
    level: u8,
    /// The first row, until the next one tells that it heads something.
    first: Option<(u32, Vec<String>)>,
    has_begun: bool,
}

impl Table {
    pub(super) fn new(level: u8) -> Self {
        Self {
            level,
            first: None,
            has_begun: false,
        }
    }

    pub(super) fn row(
        &mut self,
        parts: &mut Parts,
        number: u32,
        cells: &[String],
    ) -> Result<(), ParseFailure> {
        let cells: Vec<String> = cells
            .iter()
            .map(|cell| clean(cell).split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        if cells.iter().all(String::is_empty) {
            return Ok(());
        }
        if !self.has_begun {
            self.has_begun = true;
            self.first = Some((number, cells));
            return Ok(());
        }
        if let Some((first, names)) = self.first.take() {
            let level = are_names(&names).then_some(self.level);
            parts.write(&row_text(&names), level, &[(0, first)])?;
        }
        parts.write(&row_text(&cells), None, &[(0, number)])
    }

    /// A single row heads nothing.
    pub(super) fn finish(mut self, parts: &mut Parts) -> Result<(), ParseFailure> {
        match self.first.take() {
            Some((number, cells)) => parts.write(&row_text(&cells), None, &[(0, number)]),
            None => Ok(()),
        }
    }
}

/// Words all through, and more than one.
fn are_names(cells: &[String]) -> bool {
    let mut used = cells.iter().filter(|cell| !cell.is_empty()).peekable();
    let is_name = |cell: &String| cell.chars().any(char::is_alphabetic);
    used.peek().is_some() && used.clone().count() > 1 && used.all(is_name)
}
