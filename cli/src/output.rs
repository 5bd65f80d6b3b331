//! What is printed. Results go to the standard output, the rest to the standard error, and nothing of either can
//! control a terminal: names and texts come from strangers.

use std::io::{self, IsTerminal, Write};

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use crate::{
    config::Common,
    error::{Error, Result},
};

#[derive(Clone, Debug)]
pub(crate) struct Out {
    pub(crate) json: bool,
    quiet: bool,
    /// Bars, on a terminal alone. What is printed meanwhile goes above them.
    pub(crate) bars: MultiProgress,
}

impl Out {
    pub(crate) fn new(common: &Common) -> Self {
        let target = if common.quiet || common.json {
            ProgressDrawTarget::hidden()
        } else {
            // Hidden by itself where that is no terminal.
            ProgressDrawTarget::stderr()
        };
        Self {
            json: common.json,
            quiet: common.quiet,
            bars: MultiProgress::with_draw_target(target),
        }
    }

    pub(crate) fn is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// A line of the result.
    pub(crate) fn line(&self, text: &str) -> Result<()> {
        self.text(&format!("{text}\n"))
    }

    /// A piece of the result.
    pub(crate) fn text(&self, text: &str) -> Result<()> {
        self.bytes(harmless(text).as_bytes())
    }

    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        self.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes)?;
            Ok(stdout.flush()?)
        })
    }

    /// A result on a line of its own.
    pub(crate) fn value(&self, value: &impl Serialize) -> Result<()> {
        let mut json = serde_json::to_vec(value).map_err(|error| {
            Error::local(
                format!("the result can't be written: {error}"),
                "Leave out --json.",
            )
        })?;
        json.push(b'\n');
        self.bytes(&json)
    }

    /// Something beside the result, for whoever sits at the terminal.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet && !self.json {
            self.complain(text);
        }
    }

    pub(crate) fn failure(&self, error: &Error) {
        if self.json {
            if let Some(json) = error.json() {
                self.complain(&json.to_string());
            }
        } else if let Some((what, next)) = error.message() {
            self.complain(&format!("lectern: {what}"));
            if !next.is_empty() {
                self.complain(&format!("  {next}"));
            }
        }
    }

    /// A line on the standard error. When nobody reads that, there is nobody to be told.
    pub(crate) fn complain(&self, text: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{}", harmless(text));
        });
    }
}

/// Without what would control a terminal.
fn harmless(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// Rows under their titles, as wide as they need to be; the last column ends where it ends.
pub(crate) fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([titles[column].chars().count()])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let titles: Vec<String> = titles.iter().map(|&title| title.to_owned()).collect();
    let lines: Vec<String> = [titles].iter().chain(rows).map(|row| line(row)).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_control_a_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\n\tc\u{9b}d"), "a[2Jb\n\tcd");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [
            vec!["1".into(), "größer".into()],
            vec!["100".into(), "b".into()],
        ];
        assert_eq!(
            table(&["n", "name"], &rows),
            "n    name\n1    größer\n100  b"
        );
    }
}
