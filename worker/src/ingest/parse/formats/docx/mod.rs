//! Word files: paragraphs with their styles, lists, tables and footnotes. Heads and feet of pages are left out, and so
//! are tables of contents; pages are not known, since they are made when a file is shown.

mod styles;

use std::collections::HashMap;

use quick_xml::events::BytesStart;

use self::styles::Styles;
use super::super::{ParseFailure, ParseLimits, ParsedDocument};
use super::flow::row_text;
use super::package::Package;
use super::parts::{Parts, clean};
use super::xml::{self, Node, attribute};

pub(super) fn read(bytes: &[u8], limits: &ParseLimits) -> Result<ParsedDocument, ParseFailure> {
    let mut package = Package::open(bytes, limits)?;
    let main = package.main_part("word/document.xml")?;
    let mut styles = Styles::default();
    let mut footnotes = HashMap::new();
    for relation in package.relations(&main)?.into_values() {
        match relation.kind.as_str() {
            "styles" => {
                if let Some(bytes) = package.read(&relation.target)? {
                    styles = Styles::read(&bytes)?;
                }
            }
            "footnotes" | "endnotes" => {
                if let Some(bytes) = package.read(&relation.target)? {
                    read_notes(&bytes, &relation.kind, &mut footnotes)?;
                }
            }
            _ => {}
        }
    }
    let body = package.require(&main)?;
    let mut reader = Reader::new(&styles, &footnotes, Parts::new(limits, Some("paragraphs")));
    xml::walk(&body, |node| reader.take(&node))?;
    reader.parts.finish(package.title(), Vec::new())
}

/// A paragraph that is being read. They nest: text boxes stand within one.
#[derive(Default)]
struct Paragraph {
    text: String,
    style: Option<String>,
    /// Its own level, over its style's.
    level: Option<u8>,
    is_item: bool,
    /// The footnotes that it refers to.
    notes: Vec<String>,
}

struct Reader<'a> {
    styles: &'a Styles,
    footnotes: &'a HashMap<String, String>,
    parts: Parts,
    paragraphs: Vec<Paragraph>,
    /// How deep in runs we are: what stands beside them is no text.
    runs: u32,
    /// How deep in elements that repeat text or have lost theirs: fallbacks, deletions.
    skipped: u32,
    tables: u32,
    row: Vec<String>,
    row_notes: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(styles: &'a Styles, footnotes: &'a HashMap<String, String>, parts: Parts) -> Self {
        Self {
            styles,
            footnotes,
            parts,
            paragraphs: Vec::new(),
            runs: 0,
            skipped: 0,
            tables: 0,
            row: Vec::new(),
            row_notes: Vec::new(),
        }
    }

    fn take(&mut self, node: &Node<'_>) -> Result<(), ParseFailure> {
        match *node {
            Node::Start(name, _) if is_skipped(name) => self.skipped += 1,
            Node::End(name) if is_skipped(name) => self.skipped = self.skipped.saturating_sub(1),
            _ if self.skipped > 0 => {}
            Node::Start(name, start) => self.start(name, start),
            Node::End(name) => return self.end(name),
            Node::Text(text) => {
                if self.runs > 0
                    && let Some(paragraph) = self.paragraphs.last_mut()
                {
                    // Within a text element white space counts, line ends of the file's layout don't come there.
                    paragraph.text.push_str(text);
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, name: &str, start: &BytesStart<'_>) {
        match name {
            "p" => return self.paragraphs.push(Paragraph::default()),
            "t" => return self.runs += 1,
            "tbl" => return self.tables += 1,
            "tc" if self.tables == 1 => return self.row.push(String::new()),
            _ => {}
        }
        let Some(paragraph) = self.paragraphs.last_mut() else {
            return;
        };
        let value = || attribute(start, "val").map(|value| value.into_owned());
        match name {
            "pStyle" => paragraph.style = value(),
            "outlineLvl" => paragraph.level = value().and_then(|level| level.parse().ok()),
            "numPr" => paragraph.is_item = true,
            // Numbering 0 takes an item out of its list.
            "numId" => paragraph.is_item = value().is_some_and(|id| id != "0"),
            "br" | "cr" => paragraph.text.push('\n'),
            // The positions of tabs are called so, too; a blank more does no harm.
            "tab" => paragraph.text.push(' '),
            "noBreakHyphen" => paragraph.text.push('-'),
            "footnoteReference" | "endnoteReference" => {
                if let Some(id) = attribute(start, "id") {
                    let kind = name.trim_end_matches("Reference");
                    paragraph.notes.push(format!("{kind}s {id}"));
                }
            }
            "docPr" => {
                self.parts.has_pictures();
                if let Some(description) = attribute(start, "descr") {
                    paragraph.text.push(' ');
                    paragraph.text.push_str(&description);
                    paragraph.text.push(' ');
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str) -> Result<(), ParseFailure> {
        match name {
            "t" => self.runs = self.runs.saturating_sub(1),
            "p" => {
                if let Some(paragraph) = self.paragraphs.pop() {
                    return self.end_paragraph(paragraph);
                }
            }
            "tr" if self.tables == 1 => {
                let cells = std::mem::take(&mut self.row);
                self.parts.paragraph(&row_text(&cells))?;
                let notes = std::mem::take(&mut self.row_notes);
                return self.notes(&notes);
            }
            "tbl" => self.tables = self.tables.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }

    fn end_paragraph(&mut self, paragraph: Paragraph) -> Result<(), ParseFailure> {
        let style = paragraph.style.as_deref().unwrap_or_default();
        if self.styles.is_contents(style) {
            return Ok(());
        }
        let text = clean(&paragraph.text);
        let text = text.trim();
        if self.tables > 0 {
            if let Some(cell) = self.row.last_mut() {
                for word in text.split_whitespace() {
                    if !cell.is_empty() {
                        cell.push(' ');
                    }
                    cell.push_str(word);
                }
            }
            self.row_notes.extend(paragraph.notes);
            return Ok(());
        }
        // Levels are counted from 0; 9 is body text.
        let level = paragraph.level.or_else(|| self.styles.level(style));
        match level.filter(|level| *level < 9) {
            Some(level) => self.parts.heading(level + 1, text)?,
            None if paragraph.is_item && !text.is_empty() => {
                self.parts.paragraph(&format!("- {text}"))?;
            }
            None => self.parts.paragraph(text)?,
        }
        self.notes(&paragraph.notes)
    }

    /// Footnotes follow what refers to them: that is where they are looked for.
    fn notes(&mut self, notes: &[String]) -> Result<(), ParseFailure> {
        let texts = notes.iter().filter_map(|note| self.footnotes.get(note));
        for text in texts {
            self.parts.paragraph(text)?;
        }
        Ok(())
    }
}

/// What an older Word would show instead; what a tracked change has deleted or moved away.
fn is_skipped(name: &str) -> bool {
    matches!(name, "Fallback" | "del" | "moveFrom" | "instrText")
}

/// The texts of footnotes or endnotes, by kind and id.
fn read_notes(
    bytes: &[u8],
    kind: &str,
    notes: &mut HashMap<String, String>,
) -> Result<(), ParseFailure> {
    let mut note: Option<(String, String)> = None;
    let mut in_text = false;
    xml::walk(bytes, |node| {
        match node {
            Node::Start("footnote" | "endnote", start) => {
                let id = attribute(start, "id").unwrap_or_default();
                note = Some((format!("{kind} {id}"), String::new()));
            }
            Node::End("footnote" | "endnote") => {
                if let Some((id, text)) = note.take() {
                    let text = clean(&text)
                        .split_whitespace()
                        .collect::<Vec<_>>()
                        .join(" ");
                    notes.insert(id, text);
                }
            }
            Node::Start("t", _) => in_text = true,
            Node::End("t") => in_text = false,
            Node::Text(text) if in_text => {
                if let Some((_, words)) = &mut note {
                    words.push_str(text);
                }
            }
            Node::End("p") => {
                if let Some((_, words)) = &mut note {
                    words.push(' ');
                }
            }
            _ => {}
        }
        Ok(())
    })
}
