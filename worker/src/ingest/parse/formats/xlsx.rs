//! Excel files: a part for each sheet, its rows by their numbers. Values are those that were stored last; formulas are
//! not calculated.

use std::io::Cursor;

use calamine::{Cell, DataRef, ExcelDateTime, Reader, SheetType, Xlsx, XlsxError};

use super::super::{ParseFailure, ParseLimits, ParsedDocument};
use super::damaged;
use super::package::Package;
use super::parts::{Parts, clean};
use super::table::{COLUMNS_MAX, Table};

pub(super) fn read(bytes: &[u8], limits: &ParseLimits) -> Result<ParsedDocument, ParseFailure> {
    // calamine unpacks without a limit.
    let mut package = Package::open(bytes, limits)?;
    package.check_sizes()?;
    let title = package.title();
    drop(package);

    let mut workbook = Xlsx::new(Cursor::new(bytes)).map_err(failure)?;
    let sheets: Vec<String> = workbook
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.typ == SheetType::WorkSheet)
        .map(|sheet| sheet.name.clone())
        .collect();
    let mut parts = Parts::new(limits, Some("rows"));
    let mut notes = Vec::new();
    let mut unread = 0;
    for sheet in &sheets {
        let name = clean(sheet);
        parts.begin(Some(name.clone()))?;
        if let Err(error) = read_sheet(&mut workbook, sheet, &name, &mut parts)? {
            unread += 1;
            notes.push(format!("sheet {name} left out or cut: {error}"));
        }
    }
    if unread == sheets.len() && parts.is_empty() {
        return Err(damaged("no sheet could be read"));
    }
    parts.finish(title, notes)
}

fn failure(error: XlsxError) -> ParseFailure {
    match error {
        XlsxError::Password => ParseFailure::PasswordRequired,
        error => damaged(error),
    }
}

/// Cell after cell, never as a whole: what a sheet says of its size may be a lie, and two cells at its corners would
/// make a table of seventeen billion.
/// The inner error is the sheet's alone.
fn read_sheet(
    workbook: &mut Xlsx<Cursor<&[u8]>>,
    sheet: &str,
    name: &str,
    parts: &mut Parts,
) -> Result<Result<(), XlsxError>, ParseFailure> {
    let mut reader = match workbook.worksheet_cells_reader(sheet) {
        Ok(reader) => reader,
        Err(error) => return Ok(Err(error)),
    };
    let mut table = Table::new(2);
    let mut row: Option<(u32, Vec<String>)> = None;
    let mut has_rows = false;
    let outcome = loop {
        let cell = match reader.next_cell() {
            Ok(Some(cell)) => cell,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        let value = shown(&cell);
        if value.trim().is_empty() {
            continue;
        }
        if !has_rows {
            // The name of the sheet heads its rows; it stands in no row.
            has_rows = true;
            parts.write(name, Some(1), &[])?;
        }
        let (number, column) = cell.get_position();
        match &mut row {
            Some((at, cells)) if *at == number => add(cells, column, value),
            _ => {
                if let Some((at, cells)) = row.take() {
                    table.row(parts, at.saturating_add(1), &cells)?;
                }
                let mut cells = Vec::new();
                add(&mut cells, column, value);
                row = Some((number, cells));
            }
        }
    };
    if let Some((at, cells)) = row {
        table.row(parts, at.saturating_add(1), &cells)?;
    }
    table.finish(parts)?;
    Ok(outcome)
}

fn add(cells: &mut Vec<String>, column: u32, value: String) {
    let column = usize::try_from(column).map_or(COLUMNS_MAX, |column| column.min(COLUMNS_MAX));
    if cells.len() < column {
        cells.resize(column, String::new());
    }
    cells.push(value);
}

fn shown(cell: &Cell<DataRef<'_>>) -> String {
    match cell.get_value() {
        DataRef::Empty => String::new(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => shown_number(*number),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.clone()
        }
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(value) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
        DataRef::DateTime(time) => shown_time(time),
        DataRef::Error(error) => error.to_string(),
    }
}

/// With 15 digits, as Excel does, so that 0.1 + 0.2 is 0.3.
fn shown_number(number: f64) -> String {
    let rounded: f64 = format!("{number:.14e}").parse().unwrap_or(number);
    let size = rounded.abs();
    if rounded != 0.0 && !(1e-9..1e21).contains(&size) {
        format!("{rounded:e}")
    } else {
        rounded.to_string()
    }
}

fn shown_time(time: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
    let value = time.as_f64();
    if time.is_duration() {
        let seconds = (value * 86_400.0).round();
        let (hours, rest) = ((seconds / 3600.0).trunc(), (seconds % 3600.0).abs());
        return format!("{hours}:{:02}:{:02}", (rest / 60.0).trunc(), rest % 60.0);
    }
    let clock = if second == 0 {
        format!("{hour:02}:{minute:02}")
    } else {
        format!("{hour:02}:{minute:02}:{second:02}")
    };
    if (0.0..1.0).contains(&value) {
        clock
    } else if value.fract() == 0.0 {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:04}-{month:02}-{day:02} {clock}")
    }
}

#[cfg(test)]
mod tests {
    use calamine::ExcelDateTimeType;

    use super::*;

    #[test]
    fn numbers_and_times_are_written_as_people_do() {
        assert_eq!(shown_number(28.0), "28");
        assert_eq!(shown_number(0.1 + 0.2), "0.3");
        assert_eq!(shown_number(1e300), "1e300");
        assert_eq!(shown_number(0.0), "0");
        let at = |value, kind| shown_time(&ExcelDateTime::new(value, kind, false));
        assert_eq!(at(45_943.0, ExcelDateTimeType::DateTime), "2025-10-13");
        assert_eq!(
            at(45_943.5, ExcelDateTimeType::DateTime),
            "2025-10-13 12:00"
        );
        assert_eq!(at(0.75, ExcelDateTimeType::DateTime), "18:00");
        assert_eq!(at(1.5, ExcelDateTimeType::TimeDelta), "36:00:00");
    }
}
