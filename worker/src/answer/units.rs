//! A passage as what can be quoted of it: whole sentences, items of lists, rows of tables.

use unicode_segmentation::UnicodeSegmentation;

use crate::ingest::{HEADINGS_SEPARATOR, collapse, sentences};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sentence,
    /// Of a list.
    Item,
    /// Of a table, with the names of its columns where they are known.
    Row,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// Begins like a sentence and ends like one; an item always is.
    pub(super) whole: bool,
    /// Says something: no page number, no heading.
    pub(super) speaks: bool,
}

const BULLETS: &[char] = &[
    '•', '‣', '◦', '▪', '●', '○', '■', '·', '–', '-', '*', '✓', '→',
];

/// Between the cells of a row.
const CELL: &str = " | ";

/// Lines of a list without bullets are short.
const LINE_CHARS_MAX: usize = 48;

/// All units of a passage, in reading order. `heading`: the titles that it stands under.
pub(super) fn units(passage: &str, heading: Option<&str>) -> Vec<Unit> {
    // Readers of sheets make a title of the row that names the columns.
    let names = heading
        .and_then(|heading| heading.rsplit(HEADINGS_SEPARATOR).next())
        .filter(|title| title.contains(CELL));
    let mut units = Vec::new();
    for paragraph in passage.split("\n\n") {
        let lines: Vec<&str> = paragraph
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        if !lines.is_empty() && lines.iter().all(|line| is_row(line)) {
            units.extend(lines.iter().map(|line| Unit {
                kind: Kind::Row,
                text: row(line, names),
                whole: true,
                speaks: Some(*line) != names && line.chars().any(char::is_alphanumeric),
            }));
        } else if let Some(items) = items(&lines) {
            units.extend(items.iter().map(|item| {
                let text = clean(&item.join("\n"));
                Unit {
                    kind: Kind::Item,
                    whole: true,
                    speaks: text.chars().any(char::is_alphanumeric),
                    text,
                }
            }));
        } else {
            for range in sentences(paragraph) {
                let text = clean(&paragraph[range]);
                if !text.is_empty() {
                    units.push(Unit {
                        kind: Kind::Sentence,
                        whole: is_whole(&text),
                        speaks: speaks(&text),
                        text,
                    });
                }
            }
        }
    }
    units
}

fn is_row(line: &str) -> bool {
    line.contains(CELL) || line.contains('\t')
}

/// A row as one reads it out: "City: Zurich, Limit: 175"; without the names of its columns "Zurich: 175".
fn row(line: &str, names: Option<&str>) -> String {
    let cells = |line: &str| -> Vec<String> {
        let line = line.replace('\t', CELL);
        line.split(CELL).map(clean).collect()
    };
    let said = cells(line);
    let names = names.map(cells).unwrap_or_default();
    if names.len() >= said.len() {
        let pairs = names.iter().zip(&said).filter(|(_, cell)| !cell.is_empty());
        let pairs: Vec<_> = pairs
            .map(|(name, cell)| match name.as_str() {
                "" => cell.clone(),
                name => format!("{name}: {cell}"),
            })
            .collect();
        return pairs.join(", ");
    }
    let mut said = said.into_iter().filter(|cell| !cell.is_empty());
    let first = said.next().unwrap_or_default();
    let rest: Vec<String> = said.collect();
    if rest.is_empty() {
        first
    } else {
        format!("{first}: {}", rest.join(", "))
    }
}

/// The items of a paragraph that is a list, each as its lines, without its mark.
fn items<'a>(lines: &[&'a str]) -> Option<Vec<Vec<&'a str>>> {
    let marks = lines
        .iter()
        .filter(|line| without_mark(line).is_some())
        .count();
    let begins_with_mark = lines
        .first()
        .is_some_and(|line| without_mark(line).is_some());
    let has_bullet = lines.first().is_some_and(|line| line.starts_with(BULLETS));
    if begins_with_mark && (has_bullet || marks > 1) {
        let mut items: Vec<Vec<&str>> = Vec::new();
        for line in lines {
            match (without_mark(line), items.last_mut()) {
                (None, Some(item)) => item.push(line),
                (Some(text), _) => items.push(vec![text]),
                (None, None) => {}
            }
        }
        items.retain(|item| item.iter().any(|line| !line.is_empty()));
        return Some(items);
    }
    let is_line = |line: &&&str| {
        line.chars().count() <= LINE_CHARS_MAX
            && !line.ends_with([',', '-', '‐'])
            && line.chars().next().is_some_and(|c| !c.is_lowercase())
    };
    let stops = lines
        .iter()
        .filter(|line| line.ends_with(['.', ';']))
        .count();
    let is_list = lines.len() > 2
        && (stops == 0 || stops >= lines.len() - 1)
        && lines.iter().all(|line| is_line(&line));
    is_list.then(|| lines.iter().map(|line| vec![*line]).collect())
}

/// A line without its bullet or number.
fn without_mark(line: &str) -> Option<&str> {
    if let Some(rest) = line.strip_prefix(BULLETS) {
        let rest_trimmed = rest.trim_start();
        return (rest.len() != rest_trimmed.len() && !rest_trimmed.is_empty())
            .then_some(rest_trimmed);
    }
    let (mark, rest) = line.split_once(' ')?;
    let bare = mark.trim_start_matches('(').strip_suffix(['.', ')'])?;
    let is_number = (1..=2).contains(&bare.len()) && bare.chars().all(|c| c.is_ascii_digit());
    let is_letter =
        mark.ends_with(')') && bare.len() == 1 && bare.chars().all(|c| c.is_ascii_lowercase());
    (is_number || is_letter).then(|| rest.trim_start())
}

/// In one line, without the marks of its own references and the hyphens of its lines.
fn clean(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .peekable();
    while let Some(line) = lines.next() {
        let goes_on = lines
            .peek()
            .and_then(|next| next.chars().next())
            .is_some_and(char::is_lowercase);
        match line.strip_suffix(['\u{2010}', '\u{ad}']) {
            Some(head) if goes_on => joined.push_str(head),
            _ if line.ends_with('-') && goes_on => joined.push_str(line),
            _ => {
                joined.push_str(line);
                joined.push(' ');
            }
        }
    }
    let without_marks = without_references(&joined);
    let text = collapse(&without_marks);
    // A bullet of a list of one, which is shown as a sentence.
    text.trim_start_matches(['•', '‣', '◦', '▪', '●', '○', '■'])
        .trim_start()
        .to_owned()
}

/// `[12]`, `[a]`, `[citation needed]` in a document are its own, and would be taken for ours.
fn without_references(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let inside = rest[open + 1..]
            .find(']')
            .map(|length| &rest[open + 1..open + 1 + length]);
        let is_mark = |inside: &&str| {
            let number = |part: &str| {
                let part = part.trim();
                !part.is_empty() && part.len() <= 3 && part.chars().all(|c| c.is_ascii_digit())
            };
            inside.split([',', ';', '-', '–']).all(number)
                || (inside.len() == 1 && inside.chars().all(|c| c.is_ascii_lowercase()))
                || matches!(
                    *inside,
                    "citation needed" | "cita requerida" | "note" | "nota"
                )
        };
        match inside.filter(is_mark) {
            Some(inside) => {
                kept.push_str(rest[..open].trim_end());
                rest = &rest[open + inside.len() + 2..];
            }
            None => {
                kept.push_str(&rest[..=open]);
                rest = &rest[open + 1..];
            }
        }
    }
    kept.push_str(rest);
    kept
}

const ENDS: &[char] = &['.', '!', '?', '…', ':', '。', '！', '？', '．'];

/// Chunks may begin or end within a sentence.
fn is_whole(text: &str) -> bool {
    let begins = text
        .chars()
        .find(|c| c.is_alphanumeric())
        .is_some_and(|c| !c.is_lowercase());
    let end = text.trim_end_matches(['"', '”', '’', '»', ')', ']', '“', '\'']);
    begins && end.ends_with(ENDS) && !end.ends_with("...")
}

/// Page numbers, lone headings and scraps of tables say nothing; something as long as a page doesn't either.
fn speaks(text: &str) -> bool {
    let words = text.unicode_words().count();
    let words_min = if text.ends_with(ENDS) { 4 } else { 9 };
    // Rows of dots lead to the page numbers of a table of contents.
    (words_min..=80).contains(&words)
        && text.chars().filter(|c| c.is_alphabetic()).count() * 2 > text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(passage: &str) -> Vec<(Kind, String)> {
        units(passage, None)
            .into_iter()
            .map(|unit| (unit.kind, unit.text))
            .collect()
    }

    #[test]
    fn a_list_is_its_items_whatever_marks_them() {
        for list in [
            "• Open the valve\n• Close\nthe lid",
            "- Open the valve\n- Close\nthe lid",
            "1. Open the valve\n2. Close\nthe lid",
            "a) Open the valve\nb) Close\nthe lid",
        ] {
            assert_eq!(
                texts(list),
                [
                    (Kind::Item, "Open the valve".to_owned()),
                    (Kind::Item, "Close the lid".to_owned())
                ],
                "{list}"
            );
        }
        assert_eq!(units("BUGS\nNEWS\nREADME", None).len(), 3);
        assert_eq!(
            units(
                "The pump must be\nprimed before the\nfirst use of it.",
                None
            )
            .len(),
            1
        );
    }

    #[test]
    fn rows_are_told_with_the_names_of_their_columns_and_these_alone_say_nothing() {
        let heading = format!("Travel{HEADINGS_SEPARATOR}City | Limit | Note");
        let found = units(
            "City | Limit | Note\n\nZurich | 175\n\nLondon |  | ask first",
            Some(&heading),
        );
        assert!(!found[0].speaks);
        let said = |unit: &Unit| (unit.kind, unit.text.clone(), unit.speaks);
        let row = |text: &str| (Kind::Row, text.to_owned(), true);
        assert_eq!(said(&found[1]), row("City: Zurich, Limit: 175"));
        assert_eq!(said(&found[2]), row("City: London, Note: ask first"));
        let unnamed = units("7a | Purple carrots | 12\n7b | Radishes", None);
        assert_eq!(said(&unnamed[0]), row("7a: Purple carrots, 12"));
        assert_eq!(said(&unnamed[1]), row("7b: Radishes"));
    }

    #[test]
    fn marks_of_references_and_hyphens_of_lines_are_no_part_of_a_sentence() {
        let unit = &units(
            "Members of the Petro\u{2010}\nleum club met [12], [3, 4] and well-\nknown [sic] guests[a] came[citation needed].",
            None,
        )[0];
        assert_eq!(
            unit.text,
            "Members of the Petroleum club met, and well-known [sic] guests came."
        );
    }

    #[test]
    fn parts_of_sentences_page_numbers_and_headings_are_known_for_what_they_are() {
        assert!(!units("cut at the beginning of its chunk.", None)[0].whole);
        assert!(!units("This one is cut at the end of its", None)[0].whole);
        assert!(units("¿Es entera esta frase?", None)[0].whole);
        for silent in ["Page 3 of 17", "12 13 14 15 16 17 18", "4. Daily allowance"] {
            assert!(!units(silent, None)[0].speaks, "{silent}");
        }
        assert!(units("The pump must be primed before its first use.", None)[0].speaks);
    }
}
