//! Which styles of a Word file are titles.
//!
//! Ids of styles are in the language of whoever made the file ("berschrift1"); their names are English in all, and
//! their levels are numbers.

use std::collections::HashMap;

use super::super::super::ParseFailure;
use super::super::xml::{self, Node, attribute};

/// A style is based on another; Word allows a chain of eleven.
const BASED_ON_MAX: usize = 20;

#[derive(Default)]
struct Style {
    name: String,
    based_on: Option<String>,
    level: Option<u8>,
}

#[derive(Default)]
pub(super) struct Styles(HashMap<String, Style>);

impl Styles {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ParseFailure> {
        let mut styles = HashMap::new();
        let mut open: Option<(String, Style)> = None;
        xml::walk(bytes, |node| {
            match node {
                Node::Start("style", start) => {
                    let id = attribute(start, "styleId").unwrap_or_default();
                    open = Some((id.into_owned(), Style::default()));
                }
                Node::End("style") => styles.extend(open.take()),
                Node::Start(name, start) => {
                    if let Some((_, style)) = &mut open {
                        let value = || attribute(start, "val").map(|value| value.into_owned());
                        match name {
                            "name" => style.name = value().unwrap_or_default().to_lowercase(),
                            "basedOn" => style.based_on = value(),
                            "outlineLvl" => {
                                style.level = value().and_then(|level| level.parse().ok());
                            }
                            _ => {}
                        }
                    }
                }
                Node::End(_) | Node::Text(_) => {}
            }
            Ok(())
        })?;
        Ok(Self(styles))
    }

    /// From 0, as Word counts; 9 is body text.
    pub(super) fn level(&self, id: &str) -> Option<u8> {
        let mut id = id;
        for _ in 0..BASED_ON_MAX {
            let style = self.0.get(id)?;
            let by_name = || match style.name.as_str() {
                "title" => Some(0),
                name => {
                    let number: u8 = name.strip_prefix("heading ")?.parse().ok()?;
                    number.checked_sub(1)
                }
            };
            if let Some(level) = style.level.or_else(by_name) {
                return Some(level);
            }
            id = style.based_on.as_deref()?;
        }
        None
    }

    /// A line of a table of contents: it would be found in place of what it points to.
    pub(super) fn is_contents(&self, id: &str) -> bool {
        let style = self.0.get(id);
        style
            .is_some_and(|style| style.name.starts_with("toc ") || style.name == "table of figures")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_told_by_level_name_or_what_they_are_based_on() {
        let styles = Styles::read(
            br#"<w:styles xmlns:w="w">
            <w:style w:styleId="berschrift2"><w:name w:val="heading 2"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
            <w:style w:styleId="Titel"><w:name w:val="Title"/></w:style>
            <w:style w:styleId="Eigene"><w:name w:val="My own"/><w:basedOn w:val="berschrift2"/></w:style>
            <w:style w:styleId="A"><w:name w:val="a"/><w:basedOn w:val="B"/></w:style>
            <w:style w:styleId="B"><w:name w:val="b"/><w:basedOn w:val="A"/></w:style>
            <w:style w:styleId="Verzeichnis1"><w:name w:val="toc 1"/></w:style></w:styles>"#,
        )
        .unwrap();
        assert_eq!(styles.level("berschrift2"), Some(1));
        assert_eq!(styles.level("Titel"), Some(0));
        assert_eq!(styles.level("Eigene"), Some(1));
        assert_eq!(styles.level("A"), None, "a ring");
        assert_eq!(styles.level(""), None);
        assert!(styles.is_contents("Verzeichnis1"));
    }
}
