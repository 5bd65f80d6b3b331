//! EPUB books: the chapters in their reading order, each a part named as the table of contents names it.

use std::collections::{HashMap, HashSet};

use super::super::{ParseFailure, ParseLimits, ParsedDocument};
use super::flow::Flow;
use super::html::{Scope, Syntax, Walker};
use super::package::{Package, resolve};
use super::parts::{Parts, clean};
use super::xml::{self, Node, attribute};
use super::{damaged, text, title};

pub(super) fn read(bytes: &[u8], limits: &ParseLimits) -> Result<ParsedDocument, ParseFailure> {
    let mut package = Package::open(bytes, limits)?;
    let book = Book::open(&mut package)?;
    let encrypted = encrypted(&mut package)?;
    let labels = labels(&mut package, &book)?;
    let mut notes = Vec::new();
    let mut flow = Flow::new(Parts::new(limits, Some("paragraphs")));
    let mut label = None;
    for name in &book.chapters {
        if encrypted.contains(name) {
            return Err(ParseFailure::EncryptionUnsupported);
        }
        let Some(bytes) = package.read(name)? else {
            notes.push(format!("{} left out: it is missing", clean(name)));
            continue;
        };
        // A chapter may be several files, of which the first has its name.
        label = labels.get(name).cloned().or(label);
        flow.parts.begin(label.clone())?;
        let mut walker = Walker::new(flow, Scope::Body);
        walker.walk(&text::decode(&bytes), Syntax::Xhtml)?;
        flow = walker.flow;
        flow.end_row()?;
    }
    flow.parts.finish(book.title, notes)
}

#[derive(Default)]
struct Book {
    title: Option<String>,
    /// Entries of the archive, in reading order.
    chapters: Vec<String>,
    /// The entries that hold the table of contents: EPUB 3's and EPUB 2's.
    contents: Vec<String>,
}

impl Book {
    fn open(package: &mut Package<'_>) -> Result<Self, ParseFailure> {
        let container = package.require("META-INF/container.xml")?;
        let mut root = None;
        xml::walk(&container, |node| {
            if let Node::Start("rootfile", start) = node
                && root.is_none()
            {
                root = attribute(start, "full-path").map(|path| path.into_owned());
            }
            Ok(())
        })?;
        let root = root.ok_or_else(|| damaged("no book in it"))?;
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        let opf = package.require(&root)?;

        let mut book = Self {
            title: xml::text_of(&opf, "title")?.as_deref().and_then(title),
            ..Self::default()
        };
        let mut entries = HashMap::new();
        xml::walk(&opf, |node| {
            match node {
                Node::Start("item", start) => {
                    let (Some(id), Some(href)) = (attribute(start, "id"), attribute(start, "href"))
                    else {
                        return Ok(());
                    };
                    let name = resolve(folder, &unpercent(&href));
                    let has = |attribute_name, value: &str| {
                        attribute(start, attribute_name).is_some_and(|found| found.contains(value))
                    };
                    if has("properties", "nav") || has("media-type", "dtbncx") {
                        book.contents.push(name.clone());
                    }
                    entries.insert(id.into_owned(), name);
                }
                Node::Start("itemref", start) => {
                    let id = attribute(start, "idref");
                    let entry = id.and_then(|id| entries.get(id.as_ref()));
                    book.chapters.extend(entry.cloned());
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(book)
    }
}

/// What the table of contents calls the files.
fn labels(package: &mut Package<'_>, book: &Book) -> Result<HashMap<String, String>, ParseFailure> {
    let mut labels = HashMap::new();
    for contents in &book.contents {
        let folder = contents.rsplit_once('/').map_or("", |(folder, _)| folder);
        let Some(bytes) = package.read(contents)? else {
            continue;
        };
        let mut target: Option<String> = None;
        let mut words: Option<String> = None;
        let mut add = |target: &str, words: &str| {
            let file = unpercent(target.split('#').next().unwrap_or_default());
            if let Some(label) = title(words) {
                labels.entry(resolve(folder, &file)).or_insert(label);
            }
        };
        // A book can do without names of its chapters.
        let _ = xml::walk(&bytes, |node| {
            match node {
                // <a href="one.xhtml">One</a>
                Node::Start("a", start) => {
                    target = attribute(start, "href").map(|href| href.into_owned());
                    words = Some(String::new());
                }
                Node::End("a") => {
                    if let (Some(target), Some(words)) = (target.take(), words.take()) {
                        add(&target, &words);
                    }
                }
                // <navPoint><navLabel><text>One</text></navLabel><content src="one.xhtml"/>
                Node::Start("navLabel", _) => words = Some(String::new()),
                Node::Start("content", start) => {
                    if let (Some(target), Some(words)) = (attribute(start, "src"), words.take()) {
                        add(&target, &words);
                    }
                }
                Node::Text(text) => {
                    if let Some(words) = &mut words {
                        words.push_str(text);
                    }
                }
                _ => {}
            }
            Ok(())
        });
    }
    Ok(labels)
}

/// The entries that only a bought reader can read. Fonts may be among them, which nobody misses here.
fn encrypted(package: &mut Package<'_>) -> Result<HashSet<String>, ParseFailure> {
    let mut names = HashSet::new();
    if let Some(bytes) = package.read("META-INF/encryption.xml")? {
        xml::walk(&bytes, |node| {
            if let Node::Start("CipherReference", start) = node
                && let Some(name) = attribute(start, "URI")
            {
                names.insert(resolve("", &unpercent(&name)));
            }
            Ok(())
        })?;
    }
    Ok(names)
}

/// `%20` as a blank.
fn unpercent(address: &str) -> String {
    let mut bytes = Vec::with_capacity(address.len());
    let mut rest = address.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let byte = digits
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::unpercent;

    #[test]
    fn addresses_are_unescaped() {
        assert_eq!(unpercent("a%20b%C3%A4%zz%4"), "a bä%zz%4");
    }
}
