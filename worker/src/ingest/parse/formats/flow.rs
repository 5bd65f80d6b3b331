//! Running text of a marked-up format: letters come in bits, and paragraphs, titles and rows of a table end.

use super::super::ParseFailure;
use super::parts::{Parts, clean};

/// Between the cells of a row.
pub(super) const CELL: &str = " | ";

/// The paragraph that is being read, on its way into `Parts`.
pub(super) struct Flow {
    pub(super) parts: Parts,
    text: String,
    level: Option<u8>,
    /// The cells so far of the row that is being read.
    row: Option<Vec<String>>,
    /// A cell has begun, perhaps without a text yet.
    in_cell: bool,
    /// The number of the paragraph's row; without one, paragraphs are counted.
    pub(super) number: Option<u32>,
}

impl Flow {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            text: String::new(),
            level: None,
            row: None,
            in_cell: false,
            number: None,
        }
    }

    /// Text in which white space is of no meaning.
    pub(super) fn push(&mut self, text: &str) {
        for c in text.chars() {
            if !c.is_whitespace() {
                self.text.push(c);
            } else if !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
                self.text.push(' ');
            }
        }
    }

    /// Text as it stands, lines and all.
    pub(super) fn push_verbatim(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn line_break(&mut self) {
        self.text.push('\n');
    }

    /// There is nothing yet but the mark of a list's item.
    pub(super) fn is_item_mark(&self) -> bool {
        let mark = self.text.trim_end();
        let number = mark.strip_suffix('.');
        mark == "-" || number.is_some_and(|number| number.bytes().all(|c| c.is_ascii_digit()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Ends the paragraph; within a row it goes on, behind a blank.
    pub(super) fn end_block(&mut self) -> Result<(), ParseFailure> {
        if self.row.is_some() && self.level.is_none() {
            self.push(" ");
            return Ok(());
        }
        // An item without a text.
        if self.text.trim() == "-" {
            self.text.clear();
        }
        let text = clean(&std::mem::take(&mut self.text));
        self.emit(&text)
    }

    fn emit(&mut self, text: &str) -> Result<(), ParseFailure> {
        match (self.number, self.level.take()) {
            (Some(number), level) => self.parts.write(text, level, &[(0, number)]),
            (None, Some(level)) => self.parts.heading(level, text),
            (None, None) => self.parts.paragraph(text),
        }
    }

    /// What follows up to the end of the block is a title.
    pub(super) fn begin_heading(&mut self, level: u8) -> Result<(), ParseFailure> {
        // A title within a table: the table is for looks, so its row ends here and goes on behind it.
        if self.row.is_some() {
            self.end_row()?;
            self.row = Some(Vec::new());
        } else {
            self.end_block()?;
        }
        self.level = Some(level);
        Ok(())
    }

    pub(super) fn begin_row(&mut self) -> Result<(), ParseFailure> {
        self.end_row()?;
        self.row = Some(Vec::new());
        Ok(())
    }

    /// Ends the cell before, too: HTML needs no end tags for it.
    pub(super) fn begin_cell(&mut self) {
        if self.in_cell || !self.is_empty() {
            self.end_cell();
        }
        self.in_cell = true;
    }

    pub(super) fn end_cell(&mut self) {
        self.in_cell = false;
        // An item without a text.
        if self.text.trim() == "-" {
            self.text.clear();
        }
        if let Some(row) = &mut self.row {
            let cell = clean(&std::mem::take(&mut self.text));
            row.push(cell.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }

    /// Ends the row, if there is one, or else the paragraph.
    pub(super) fn end_row(&mut self) -> Result<(), ParseFailure> {
        if self.row.is_none() || self.level.is_some() {
            self.end_block()?;
        } else if self.in_cell || !self.is_empty() {
            self.end_cell();
        }
        self.in_cell = false;
        self.text.clear();
        let cells = self.row.take().unwrap_or_default();
        let text = row_text(&cells);
        self.emit(&text)
    }
}

/// A row's cells on one line; nothing of a row without any.
pub(super) fn row_text(cells: &[String]) -> String {
    let used = cells.iter().rposition(|cell| !cell.is_empty());
    used.map_or_else(String::new, |last| cells[..=last].join(CELL))
}
