//! XML of office files, as a stream of events. Entities of a file's own are never expanded, so there is nothing to
//! blow up; and elements nest to a limited depth.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

use super::super::ParseFailure;
use super::{damaged, text};

/// Office files nest a few dozen deep, tables within tables a few more.
const DEPTH_MAX: usize = 1000;

pub(super) enum Node<'a> {
    Start(&'a str, &'a BytesStart<'a>),
    End(&'a str),
    Text(&'a str),
}

/// Calls `visit` for each element's start and end (names without their prefixes) and each bit of text, in order.
pub(super) fn walk(
    xml: &[u8],
    mut visit: impl FnMut(Node<'_>) -> Result<(), ParseFailure>,
) -> Result<(), ParseFailure> {
    let xml = text::decode(xml);
    let mut reader = Reader::from_str(&xml);
    reader.config_mut().expand_empty_elements = true;
    reader.config_mut().allow_dangling_amp = true;
    let mut depth = 0_usize;
    loop {
        match reader.read_event().map_err(damaged)? {
            Event::Start(start) => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(damaged("XML nested too deep"));
                }
                visit(Node::Start(start.local_name().as_ref(), &start))?;
            }
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                visit(Node::End(end.local_name().as_ref()))?;
            }
            Event::Text(text) => visit(Node::Text(&text))?,
            Event::CData(text) => visit(Node::Text(&text))?,
            Event::GeneralRef(reference) => {
                let character = match &*reference {
                    "amp" => Some('&'),
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    _ => reference.resolve_char_ref().ok().flatten(),
                };
                if let Some(character) = character {
                    visit(Node::Text(character.encode_utf8(&mut [0; 4])))?;
                }
            }
            Event::Eof => return Ok(()),
            Event::Empty(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => {}
        }
    }
}

/// The attribute of this name, whatever its prefix.
pub(super) fn attribute<'a>(start: &'a BytesStart<'_>, name: &str) -> Option<Cow<'a, str>> {
    let mut attributes = start.attributes();
    let attributes = attributes.with_checks(false);
    let found = attributes
        .filter_map(Result::ok)
        .find(|attribute| attribute.key.local_name().as_ref() == name)?;
    let value = unescape(&found.value).map_or_else(|_| found.value.to_string(), Cow::into_owned);
    Some(Cow::Owned(value))
}

/// The text of the first element of this name.
pub(super) fn text_of(xml: &[u8], name: &str) -> Result<Option<String>, ParseFailure> {
    let mut found: Option<String> = None;
    let mut inside = false;
    walk(xml, |node| {
        match node {
            Node::Start(start, _) if start == name && found.is_none() => {
                inside = true;
                found = Some(String::new());
            }
            Node::End(end) if end == name => inside = false,
            Node::Text(text) if inside => {
                if let Some(found) = &mut found {
                    found.push_str(text);
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_entities_are_not_expanded() {
        let laughs = b"<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]><x><t>1 &lt; 2 &b;&#33;</t></x>";
        assert_eq!(text_of(laughs, "t").unwrap().as_deref(), Some("1 < 2 !"));
    }

    #[test]
    fn what_nests_too_deep_is_refused() {
        let deep = "<a>".repeat(DEPTH_MAX + 1);
        assert!(matches!(
            walk(deep.as_bytes(), |_| Ok(())),
            Err(ParseFailure::Damaged(_))
        ));
    }
}
