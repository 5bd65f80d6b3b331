//! PowerPoint files: a part for each slide, in the order of the show, with its title as heading, then its texts,
//! tables, diagrams, what pictures are said to show, and the speaker's notes.

use std::collections::HashMap;

use super::super::{ParseFailure, ParseLimits, ParsedDocument};
use super::flow::row_text;
use super::package::{Package, Relation};
use super::parts::{Parts, clean};
use super::xml::{self, Node, attribute};

pub(super) fn read(bytes: &[u8], limits: &ParseLimits) -> Result<ParsedDocument, ParseFailure> {
    let mut package = Package::open(bytes, limits)?;
    let main = package.main_part("ppt/presentation.xml")?;
    let relations = package.relations(&main)?;
    let slides = slides(&package.require(&main)?, &relations)?;
    if slides.is_empty() {
        return Err(ParseFailure::NoPages);
    }
    let mut parts = Parts::new(limits, None);
    let mut notes = Vec::new();
    for (number, slide) in (1..).zip(slides) {
        parts.begin_kept(format!("Slide {number}"))?;
        let Some(bytes) = package.read(slide)? else {
            notes.push(format!("slide {number} left out: it is missing"));
            continue;
        };
        let mut reader = Reader::new(parts, Which::Slide);
        xml::walk(&bytes, |node| reader.take(&node))?;
        parts = reader.parts;
        // In the same order each time.
        let mut relations: Vec<Relation> = package.relations(slide)?.into_values().collect();
        relations.sort_by(|a, b| a.kind.cmp(&b.kind).then_with(|| a.target.cmp(&b.target)));
        for relation in relations {
            let which = match relation.kind.as_str() {
                "diagramData" => Which::Diagram,
                "notesSlide" => Which::Notes,
                _ => continue,
            };
            if let Some(bytes) = package.read(&relation.target)? {
                let mut reader = Reader::new(parts, which);
                xml::walk(&bytes, |node| reader.take(&node))?;
                parts = reader.parts;
            }
        }
    }
    parts.finish(package.title(), notes)
}

/// Their entries, as the show has them.
fn slides<'a>(
    presentation: &[u8],
    relations: &'a HashMap<String, Relation>,
) -> Result<Vec<&'a str>, ParseFailure> {
    let mut slides = Vec::new();
    xml::walk(presentation, |node| {
        if let Node::Start("sldId", start) = node {
            // Its own id is called `id`, too, without a prefix.
            let reference = start
                .attributes()
                .with_checks(false)
                .filter_map(Result::ok)
                .find(|attribute| attribute.key.as_ref().ends_with(":id"));
            let relation = reference.and_then(|id| relations.get(&*id.value));
            slides.extend(relation.map(|relation| relation.target.as_str()));
        }
        Ok(())
    })?;
    Ok(slides)
}

#[derive(Clone, Copy, PartialEq)]
enum Which {
    Slide,
    Diagram,
    Notes,
}

/// What a shape is for.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Title,
    Text,
    /// The same on every slide: its number, the date, a foot; and the slide's picture on its notes.
    Furniture,
}

struct Reader {
    parts: Parts,
    which: Which,
    role: Role,
    title: Vec<String>,
    text: String,
    in_text: bool,
    skipped: u32,
    row: Option<Vec<String>>,
    has_spoken: bool,
}

impl Reader {
    fn new(parts: Parts, which: Which) -> Self {
        Self {
            parts,
            which,
            role: Role::Text,
            title: Vec::new(),
            text: String::new(),
            in_text: false,
            skipped: 0,
            row: None,
            has_spoken: false,
        }
    }

    fn take(&mut self, node: &Node<'_>) -> Result<(), ParseFailure> {
        match *node {
            Node::Start("Fallback", _) => self.skipped += 1,
            Node::End("Fallback") => self.skipped = self.skipped.saturating_sub(1),
            _ if self.skipped > 0 => {}
            Node::Start("sp", _) => self.role = Role::Text,
            Node::Start("ph", start) => {
                self.role = match attribute(start, "type").as_deref() {
                    Some("title" | "ctrTitle") => Role::Title,
                    Some("sldNum" | "dt" | "ftr" | "hdr" | "sldImg") => Role::Furniture,
                    _ => Role::Text,
                };
            }
            Node::Start("pic", _) => self.parts.has_pictures(),
            Node::Start("cNvPr", start) if self.which == Which::Slide => {
                if let Some(description) = attribute(start, "descr") {
                    self.parts.paragraph(&clean(&description))?;
                }
            }
            Node::Start("t", _) => self.in_text = true,
            Node::End("t") => self.in_text = false,
            Node::Start("br", _) => self.text.push('\n'),
            Node::Text(text) if self.in_text => self.text.push_str(text),
            Node::End("p") => self.end_paragraph()?,
            Node::End("sp") => self.end_shape()?,
            Node::Start("tr", _) => self.row = Some(Vec::new()),
            Node::Start("tc", _) => {
                if let Some(row) = &mut self.row {
                    row.push(String::new());
                }
            }
            Node::End("tr") => {
                let cells = self.row.take().unwrap_or_default();
                self.parts.paragraph(&row_text(&cells))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn end_paragraph(&mut self) -> Result<(), ParseFailure> {
        let text = clean(&std::mem::take(&mut self.text));
        let text = text.trim();
        if text.is_empty() || self.role == Role::Furniture {
            return Ok(());
        }
        if let Some(row) = &mut self.row {
            if let Some(cell) = row.last_mut() {
                if !cell.is_empty() {
                    cell.push(' ');
                }
                cell.push_str(&text.replace('\n', " "));
            }
            return Ok(());
        }
        match (self.which, self.role) {
            (Which::Slide, Role::Title) => {
                self.title.push(text.replace('\n', " "));
                Ok(())
            }
            (Which::Notes, _) if !self.has_spoken => {
                self.has_spoken = true;
                self.parts.paragraph(&format!("Notes: {text}"))
            }
            _ => self.parts.paragraph(text),
        }
    }

    fn end_shape(&mut self) -> Result<(), ParseFailure> {
        let title = std::mem::take(&mut self.title).join(" ");
        self.role = Role::Text;
        self.parts.heading(1, &title)
    }
}
