//! What lopdf, which is safe Rust, finds out about a file before PDFium, which is not, gets to see it:
//! whether it is a PDF, can be decrypted, has pages, and is no bomb. Also its title and its outline.

use std::collections::{BTreeMap, BTreeSet};

use lopdf::{DecompressError, Document, Error, LoadOptions, Object, ObjectId, Stream};

use super::headings::OutlineTitle;
use super::repair;
use super::{ParseFailure, ParseLimits};

/// Page number (from 1) to the outline's titles on that page, in the outline's order.
pub(super) type Outline = BTreeMap<u32, Vec<OutlineTitle>>;

/// Acrobat takes junk of up to 1024 bytes before the header (ISO 32000-1, annex H.3.4.1); files with
/// a mail's or a web server's head before them have more, and readers open those too.
const HEADER_WITHIN_BYTES: usize = 4096;

/// Object streams and cross-reference streams, which loading must expand.
const STRUCTURE_BYTES_MAX: usize = 128 << 20;

/// The drawing commands of one page or form: no honest page comes near 64 MiB.
const CONTENT_BYTES_MAX: usize = 64 << 20;

/// No single filter expands by more: Flate reaches 1032:1, LZW about 2700:1.
/// So most streams needn't be expanded to know that they fit.
const EXPANSION_MAX: usize = 4096;

/// Beyond this an outline is no table of contents.
const OUTLINE_TITLES_MAX: usize = 20_000;

const TITLE_CHARACTERS_MAX: usize = 300;

/// A file that passed.
pub(super) struct Gated {
    pub(super) title: Option<String>,
    pub(super) outline: Outline,
    pub(super) notes: Vec<String>,
    /// Pages whose content is a bomb; in the rewritten document they are blank.
    pub(super) refused_pages: BTreeSet<u32>,
    /// Whether PDFium must read [`Gated::rewrite`]'s bytes and not the file's own.
    pub(super) needs_rewrite: bool,
    document: Document,
    page_count: u32,
}

impl Gated {
    pub(super) fn page_count(&self) -> u32 {
        self.page_count
    }

    /// The document as lopdf understood it, decrypted and with one clean cross-reference table.
    ///
    /// # Errors
    /// [`ParseFailure::Damaged`] when lopdf can't write what it read.
    pub(super) fn rewrite(mut self) -> Result<Vec<u8>, ParseFailure> {
        let mut bytes = Vec::new();
        self.document.save_to(&mut bytes).map_err(damaged)?;
        Ok(bytes)
    }
}

/// Judges `bytes`, trying `password` and the empty one where the file is encrypted.
///
/// # Errors
/// Any [`ParseFailure`] but those of processes.
pub(super) fn inspect(
    bytes: &[u8],
    password: Option<&str>,
    limits: &ParseLimits,
) -> Result<Gated, ParseFailure> {
    if !has_header(bytes) {
        return Err(ParseFailure::NotAPdf);
    }
    let mut notes = Vec::new();
    let mut document = load(bytes, password, &mut notes)?;
    let mut pages = document.get_pages();
    if pages.is_empty() && document.xref_recovery.is_some() && repair::adopt_pages(&mut document) {
        notes.push("rebuilt the page tree".to_owned());
        pages = document.get_pages();
    }
    let page_count = u32::try_from(pages.len()).unwrap_or(u32::MAX);
    if page_count == 0 {
        return Err(ParseFailure::NoPages);
    }
    if page_count > limits.pages_max {
        return Err(ParseFailure::TooManyPages {
            pages: page_count,
            max: limits.pages_max,
        });
    }
    if document.xref_recovery.is_some() {
        notes.push("rebuilt the cross-reference table".to_owned());
    }
    let mut needs_rewrite = !notes.is_empty();

    let refused_pages = blank_bombs(&mut document, &pages, &mut notes);
    if refused_pages.len() == pages.len() {
        return Err(ParseFailure::PageTooBig {
            max: CONTENT_BYTES_MAX as u64,
        });
    }
    let forms_emptied = empty_form_bombs(&mut document, &mut notes);
    if forms_emptied || !refused_pages.is_empty() {
        needs_rewrite = true;
        document.prune_objects();
    }
    Ok(Gated {
        title: title(&document),
        outline: outline(&document),
        notes,
        refused_pages,
        needs_rewrite,
        document,
        page_count,
    })
}

fn has_header(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(HEADER_WITHIN_BYTES)];
    start.windows(5).any(|window| window == b"%PDF-")
}

fn load(
    bytes: &[u8],
    password: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<Document, ParseFailure> {
    let options = |password: Option<&str>| LoadOptions {
        password: password.map(str::to_owned),
        ..LoadOptions::with_max_decompressed_size(STRUCTURE_BYTES_MAX)
    };
    let refused = if password.is_some() {
        ParseFailure::PasswordWrong
    } else {
        ParseFailure::PasswordRequired
    };
    match Document::load_mem_with_options(bytes, options(password)) {
        Ok(document) if document.is_encrypted() => Err(refused),
        Ok(document) => Ok(document),
        Err(Error::InvalidPassword | Error::Decryption(_)) => Err(refused),
        Err(Error::UnsupportedSecurityHandler(_)) => Err(ParseFailure::EncryptionUnsupported),
        Err(Error::Decompress(DecompressError::MemoryLimitExceeded { .. })) => {
            Err(ParseFailure::MemoryExceeded)
        }
        Err(error) => {
            let document = repair::graft(bytes, options(None)).ok_or_else(|| damaged(error))?;
            notes.push("rebuilt the page tree of a cut file".to_owned());
            Ok(document)
        }
    }
}

/// Makes pages blank whose content would expand past [`CONTENT_BYTES_MAX`], and returns their numbers.
fn blank_bombs(
    document: &mut Document,
    pages: &BTreeMap<u32, ObjectId>,
    notes: &mut Vec<String>,
) -> BTreeSet<u32> {
    let refused: BTreeSet<u32> = pages
        .iter()
        .filter(|&(_, &page)| !content_fits(document, page))
        .map(|(&number, _)| number)
        .collect();
    for number in &refused {
        if let Some(Ok(page)) = pages
            .get(number)
            .map(|&page| document.get_dictionary_mut(page))
        {
            page.remove(b"Contents");
        }
        notes.push(format!(
            "page {number} left out: its content expands to more than 64 MiB"
        ));
    }
    refused
}

fn content_fits(document: &Document, page: ObjectId) -> bool {
    let streams = document.get_page_contents(page);
    let streams: Vec<&Stream> = streams
        .into_iter()
        .filter_map(|id| document.get_object(id).and_then(Object::as_stream).ok())
        .collect();
    let stored: usize = streams.iter().map(|stream| stream.content.len()).sum();
    if stored <= CONTENT_BYTES_MAX / EXPANSION_MAX
        && streams.iter().all(|stream| has_one_filter(stream))
    {
        return true;
    }
    document
        .get_page_content_with_limit(page, CONTENT_BYTES_MAX)
        .is_ok()
}

/// The same for forms, drawings that pages share: PDFium expands them when a page draws them.
fn empty_form_bombs(document: &mut Document, notes: &mut Vec<String>) -> bool {
    let mut emptied = 0;
    for object in document.objects.values_mut() {
        let Object::Stream(stream) = object else {
            continue;
        };
        let is_form = stream
            .dict
            .get(b"Subtype")
            .and_then(Object::as_name)
            .is_ok_and(|name| name == b"Form");
        if is_form && !form_fits(stream, CONTENT_BYTES_MAX) {
            stream.set_plain_content(Vec::new());
            emptied += 1;
        }
    }
    if emptied > 0 {
        notes.push(format!(
            "left out drawings that expand to more than 64 MiB: {emptied}"
        ));
    }
    emptied > 0
}

fn form_fits(form: &Stream, max: usize) -> bool {
    if form.content.len() <= max / EXPANSION_MAX && has_one_filter(form) {
        return true;
    }
    !matches!(
        form.decompressed_content_with_limit(max),
        Err(Error::Decompress(
            DecompressError::MemoryLimitExceeded { .. }
        ))
    )
}

fn has_one_filter(stream: &Stream) -> bool {
    stream.filters().map_or(true, |filters| filters.len() <= 1)
}

fn title(document: &Document) -> Option<String> {
    let (_, information) = document
        .dereference(document.trailer.get(b"Info").ok()?)
        .ok()?;
    let (_, title) = document
        .dereference(information.as_dict().ok()?.get(b"Title").ok()?)
        .ok()?;
    let title = lopdf::decode_text_string(title).ok()?;
    let title: String = title
        .chars()
        .filter(|c| !c.is_control())
        .take(TITLE_CHARACTERS_MAX)
        .collect();
    // Word's printer driver writes the file's name like this.
    let title = title.trim().trim_start_matches("Microsoft Word - ").trim();
    let is_file_name = !title.contains(' ') && title.contains('.');
    let says_something =
        !title.is_empty() && !is_file_name && !title.eq_ignore_ascii_case("untitled");
    says_something.then(|| title.to_owned())
}

/// A document without an outline, or with a broken one, has none: headings are then told by their looks.
fn outline(document: &Document) -> Outline {
    let mut outline = Outline::new();
    if !outline_ends(document) {
        return outline;
    }
    let Ok(contents) = document.get_toc() else {
        return outline;
    };
    for entry in contents.toc.into_iter().take(OUTLINE_TITLES_MAX) {
        let Ok(page) = u32::try_from(entry.page) else {
            continue;
        };
        outline
            .entry(page)
            .or_default()
            .push(OutlineTitle::new(&entry.title, entry.level));
    }
    outline
}

/// Whether no entry leads back to one that was met: lopdf would follow it until the memory is used up.
fn outline_ends(document: &Document) -> bool {
    let mut met = BTreeSet::new();
    let mut next: Vec<ObjectId> = document
        .catalog()
        .and_then(|catalog| catalog.get(b"Outlines"))
        .and_then(Object::as_reference)
        .into_iter()
        .collect();
    while let Some(entry) = next.pop() {
        if !met.insert(entry) {
            return false;
        }
        if let Ok(entry) = document.get_dictionary(entry) {
            let links = [b"First".as_slice(), b"Next"].map(|link| entry.get(link));
            next.extend(
                links
                    .into_iter()
                    .flatten()
                    .filter_map(|link| link.as_reference().ok()),
            );
        }
    }
    true
}

fn damaged(error: impl ToString) -> ParseFailure {
    ParseFailure::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_may_come_after_some_junk_but_not_after_much() {
        let after = |junk: usize| [vec![b'x'; junk], b"%PDF-1.7\n".to_vec()].concat();
        assert!(has_header(&after(0)));
        assert!(has_header(&after(1024)));
        assert!(has_header(&after(1600)));
        assert!(!has_header(&after(5000)));
        assert!(!has_header(b"%PDF"));
        assert!(!has_header(b"<html>a PDF</html>"));
    }

    #[test]
    fn an_outline_that_leads_back_to_itself_is_none() {
        let mut document = Document::with_version("1.5");
        let entry = document.new_object_id();
        let mut dictionary = lopdf::Dictionary::new();
        dictionary.set("Title", Object::string_literal("Pumps"));
        document.objects.insert(entry, dictionary.clone().into());
        let mut root = lopdf::Dictionary::new();
        root.set("First", entry);
        let root = document.add_object(root);
        let mut catalog = lopdf::Dictionary::new();
        catalog.set("Outlines", root);
        let catalog = document.add_object(catalog);
        document.trailer.set("Root", catalog);
        assert!(outline_ends(&document));

        dictionary.set("Next", entry);
        document.objects.insert(entry, dictionary.into());
        assert!(!outline_ends(&document));
        assert!(outline(&document).is_empty());
    }

    #[test]
    fn a_stream_fits_up_to_the_limit_and_not_a_byte_further() {
        let form = |content: Vec<u8>| {
            let mut form = Stream::new(lopdf::Dictionary::new(), content);
            form.compress().unwrap();
            form
        };
        let max = 1 << 20;
        assert!(form_fits(&form(vec![b' '; max]), max));
        assert!(!form_fits(&form(vec![b' '; max + 1]), max));
    }
}
