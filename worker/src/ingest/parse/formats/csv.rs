//! Separated values: by commas, semicolons, tabs or bars, whichever the first lines agree on.

use csv::ReaderBuilder;

use super::super::{ParseFailure, ParseLimits, ParsedDocument};
use super::parts::Parts;
use super::table::Table;
use super::{damaged, text};

/// Lines that are looked at for what separates their values.
const LINES_LOOKED_AT: usize = 20;

pub(super) fn read(bytes: &[u8], limits: &ParseLimits) -> Result<ParsedDocument, ParseFailure> {
    let text = text::decode(bytes);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator(&text))
        .from_reader(text.as_bytes());
    let mut parts = Parts::new(limits, Some("rows"));
    let mut table = Table::new(1);
    let mut record = csv::StringRecord::new();
    let mut number = 0_u32;
    while reader.read_record(&mut record).map_err(damaged)? {
        number = number.saturating_add(1);
        let cells: Vec<String> = record.iter().map(str::to_owned).collect();
        table.row(&mut parts, number, &cells)?;
    }
    table.finish(&mut parts)?;
    parts.finish(None, Vec::new())
}

/// The one that most lines have as often as the first line does.
fn separator(text: &str) -> u8 {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(LINES_LOOKED_AT)
        .collect();
    let count = |line: &str, separator: u8| {
        let mut is_quoted = false;
        let outside = line.bytes().filter(|&byte| {
            is_quoted ^= byte == b'"';
            byte == separator && !is_quoted
        });
        outside.count()
    };
    let agreement = |separator: &u8| {
        let first = lines.first().map_or(0, |line| count(line, *separator));
        let alike = lines.iter().filter(|line| count(line, *separator) == first);
        if first == 0 {
            (0, 0)
        } else {
            (alike.count(), first)
        }
    };
    // Of equals the last one wins.
    let by_agreement = [b'|', b'\t', b';', b','].into_iter().max_by_key(agreement);
    by_agreement.unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_is_what_the_lines_agree_on() {
        assert_eq!(separator("a,b\n1,2"), b',');
        assert_eq!(separator("a;b\n1,5;2,5\n2,5;3"), b';');
        assert_eq!(separator("a\tb\nx, y\t2"), b'\t');
        assert_eq!(separator("\"x;y;z\",b\n1,2"), b',');
        assert_eq!(separator("just words"), b',');
    }

    #[test]
    fn the_first_row_heads_the_others_if_it_has_words_alone() {
        let page = |source: &str| {
            let document = read(source.as_bytes(), &ParseLimits::default()).unwrap();
            document.pages[0].clone()
        };
        let named = page("City,Limit\nZurich,175\n\n\"Two\nlines\",\n");
        assert_eq!(named.text, "City | Limit\n\nZurich | 175\n\nTwo lines");
        assert_eq!(named.headings.len(), 1);
        assert_eq!(named.rows.unwrap().starts, [(0, 1), (14, 2), (28, 3)]);
        assert_eq!(page("1,2\n3,4").headings, []);
        assert_eq!(page("City,Limit").headings, []);
    }
}
