//! The kinds of files that Lectern reads, and how one is told from another: by content first, by name where the content
//! leaves it open.
//!
//! The API decides at the upload, and the worker reads the file as what was decided.

use serde::{Deserialize, Serialize};

/// What is looked at of a file: enough for the first names in an archive, and for more junk than any PDF has before its
/// header.
pub const HEAD_BYTES: usize = 16 << 10;

/// PDF readers look for the header within the first kilobyte; real files with more before it exist.
const PDF_HEADER_WINDOW: usize = 4096;

macro_rules! media_types {
    ($($(#[$doc:meta])* $variant:ident = $mime:literal, $name:literal, [$($extension:literal),+];)*) => {
        /// A kind of file that can be read. Stored by its MIME type.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum MediaType {
            $($(#[$doc])* #[serde(rename = $mime)] $variant,)*
        }

        impl MediaType {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The MIME type: what rows and headers say.
            #[must_use]
            pub fn mime(self) -> &'static str {
                match self { $(Self::$variant => $mime,)* }
            }

            /// What people call it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Ends of file names, the usual one first, without the dot.
            #[must_use]
            pub fn extensions(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($extension),+],)* }
            }
        }
    };
}

media_types! {
    Pdf = "application/pdf", "PDF", ["pdf"];
    Docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "Word (DOCX)",
        ["docx", "docm", "dotx"];
    Pptx = "application/vnd.openxmlformats-officedocument.presentationml.presentation", "PowerPoint (PPTX)",
        ["pptx", "pptm", "ppsx", "potx"];
    Xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "Excel (XLSX)",
        ["xlsx", "xlsm", "xltx"];
    Epub = "application/epub+zip", "EPUB", ["epub"];
    Html = "text/html", "HTML", ["html", "htm", "xhtml"];
    Markdown = "text/markdown", "Markdown", ["md", "markdown"];
    Csv = "text/csv", "CSV", ["csv", "tsv"];
    /// A record a line, each an object with `text` and perhaps `title` and `id` or `url`; perhaps packed by gzip.
    JsonLines = "application/jsonl", "JSON Lines", ["jsonl", "ndjson", "jsonl.gz", "ndjson.gz"];
    Text = "text/plain", "plain text", ["txt", "text", "log"];
}

impl MediaType {
    /// Of a row, which a newer release may have written: then `None`.
    #[must_use]
    pub fn from_mime(mime: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|media| media.mime() == mime)
    }

    /// What there is, for people: "PDF, Word (DOCX), …".
    #[must_use]
    pub fn list() -> String {
        let names: Vec<_> = Self::ALL.iter().map(|media| media.name()).collect();
        names.join(", ")
    }

    /// What a file is by its first bytes (`HEAD_BYTES` of them, or all) and its name.
    /// `None`: nothing that can be read.
    #[must_use]
    pub fn detect(head: &[u8], file_name: &str) -> Option<Self> {
        let named = Self::named(file_name);
        if head.starts_with(b"%PDF-") {
            return Some(Self::Pdf);
        }
        if head.starts_with(b"PK\x03\x04") {
            return in_archive(head, named);
        }
        if head.starts_with(b"\x1f\x8b") {
            return named.filter(|&media| media == Self::JsonLines);
        }
        let text = text_of(head);
        if text.as_deref().is_some_and(is_html) {
            return Some(Self::Html);
        }
        // Some PDFs have junk before their header; and texts, programs among them, may well speak of one.
        let is_named_otherwise = named != Some(Self::Pdf) && file_name.contains('.');
        if has_pdf_header(head) && !(is_named_otherwise && text.is_some()) {
            return Some(Self::Pdf);
        }
        // RTF and PostScript are letters, too, but nothing to read.
        let text = text.filter(|text| !text.starts_with("{\\rtf") && !text.starts_with("%!PS"))?;
        let by_name = named.filter(|media| media.is_text());
        Some(by_name.unwrap_or_else(|| {
            if is_tagged(&text) {
                Self::Html
            } else {
                Self::Text
            }
        }))
    }

    fn named(file_name: &str) -> Option<Self> {
        let name = file_name.to_lowercase();
        let ends = |end: &&str| {
            let stem = name.strip_suffix(*end);
            stem.is_some_and(|stem| stem.ends_with('.'))
        };
        Self::ALL
            .iter()
            .copied()
            .find(|media| media.extensions().iter().any(&ends))
    }

    fn is_text(self) -> bool {
        matches!(
            self,
            Self::Html | Self::Markdown | Self::Csv | Self::JsonLines | Self::Text
        )
    }
}

fn has_pdf_header(head: &[u8]) -> bool {
    head[..head.len().min(PDF_HEADER_WINDOW)]
        .windows(5)
        .any(|window| window == b"%PDF-")
}

/// The first entries' names tell what an archive is; where they are common to all office files, its own name does.
fn in_archive(head: &[u8], named: Option<MediaType>) -> Option<MediaType> {
    let mut is_office = false;
    for name in entry_names(head) {
        match name {
            b"mimetype" => {
                // Stored, not packed, and the first entry: so that it can be told from here.
                let is_epub = head.get(38..58) == Some(b"application/epub+zip");
                return is_epub.then_some(MediaType::Epub);
            }
            b"xl/workbook.bin" => return None,
            _ if name.starts_with(b"word/") => return Some(MediaType::Docx),
            _ if name.starts_with(b"ppt/") => return Some(MediaType::Pptx),
            _ if name.starts_with(b"xl/") => return Some(MediaType::Xlsx),
            b"[Content_Types].xml" => is_office = true,
            _ if name.starts_with(b"_rels/") || name.starts_with(b"docProps/") => is_office = true,
            _ => {}
        }
    }
    let is_office_name =
        |media: &MediaType| matches!(media, MediaType::Docx | MediaType::Pptx | MediaType::Xlsx);
    named.filter(|media| is_office && is_office_name(media))
}

/// Names in the local headers (APPNOTE 4.3.7). Looked for by their signature, since many writers put an entry's size
/// behind it.
fn entry_names(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    const HEADER: usize = 30;
    (0..head.len().saturating_sub(HEADER)).filter_map(move |at| {
        let header = &head[at..at + HEADER];
        if !header.starts_with(b"PK\x03\x04") {
            return None;
        }
        let length = usize::from(u16::from_le_bytes([header[26], header[27]]));
        head.get(at + HEADER..at + HEADER + length)
    })
}

/// The text that these bytes may be the start of: UTF-16 with its mark, UTF-8, or some encoding of a byte or two a
/// letter, of which the ASCII characters are kept. `None` where there are bytes that no text has.
fn text_of(head: &[u8]) -> Option<String> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        // A surrogate may be cut in two at the end, no more.
        let broken = text.matches(char::REPLACEMENT_CHARACTER).count();
        (broken <= 1 && !text.chars().any(is_binary)).then_some(text)
    };
    match head {
        [0xff, 0xfe, rest @ ..] => return wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return wide(rest, u16::from_be_bytes),
        _ => {}
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = String::from_utf8_lossy(head).into_owned();
    (!text.chars().any(is_binary)).then_some(text)
}

/// Control characters other than those that texts and terminals use: tab, line ends, form feed, escape (in logs, and
/// in ISO-2022-JP), and the end of a file under DOS.
fn is_binary(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0b' | '\x0e'..='\x19' | '\x1c'..='\x1f' | '\x7f')
}

/// Says of itself that it is HTML.
fn is_html(text: &str) -> bool {
    let start = after_prologue(text);
    begins(start, "<!doctype html") || begins(start, "<html")
}

/// Begins with a tag as pages without a head do.
fn is_tagged(text: &str) -> bool {
    const TAGS: [&str; 12] = [
        "<head", "<body", "<title", "<meta", "<style", "<script", "<table", "<div", "<h1", "<h2",
        "<p>", "<p ",
    ];
    let start = after_prologue(text);
    TAGS.iter().any(|tag| begins(start, tag))
}

fn begins(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Behind white space, comments and XML's declaration.
fn after_prologue(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        let end = if text.starts_with("<!--") {
            "-->"
        } else if text.starts_with("<?") {
            "?>"
        } else {
            return text;
        };
        match text.find(end) {
            Some(at) => text = &text[at + end.len()..],
            None => return text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(head: &[u8], name: &str) -> Option<MediaType> {
        MediaType::detect(head, name)
    }

    /// An archive's local headers, as a writer lays them out that doesn't know sizes yet.
    fn archive(names: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in names {
            bytes.extend_from_slice(b"PK\x03\x04\x14\0\x08\0\x08\0\0\0\0\0");
            bytes.extend_from_slice(&[0; 12]);
            bytes.extend_from_slice(&u16::try_from(name.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(&[0, 0]);
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b"some packed bytes");
        }
        bytes
    }

    #[test]
    fn a_pdf_is_told_by_its_header_even_behind_junk() {
        assert_eq!(detect(b"%PDF-1.7\n", "notes.txt"), Some(MediaType::Pdf));
        let junk = [vec![b'x'; 1600], b"%PDF-1.4".to_vec()].concat();
        assert_eq!(detect(&junk, "a.pdf"), Some(MediaType::Pdf));
        let far = [vec![b'x'; 5000], b"%PDF-1.4".to_vec()].concat();
        assert_eq!(detect(&far, "a.pdf"), Some(MediaType::Text));
        let about = b"A PDF begins with %PDF-1.4.";
        assert_eq!(detect(about, "about.md"), Some(MediaType::Markdown));
        assert_eq!(detect(about, "about.py"), Some(MediaType::Text));
        assert_eq!(detect(about, "about.pdf"), Some(MediaType::Pdf));
    }

    #[test]
    fn the_content_wins_over_the_name() {
        let page = b"\n<!-- saved -->\n<!DOCTYPE HTML><p>%PDF-1.4";
        assert_eq!(detect(page, "report.pdf"), Some(MediaType::Html));
        assert_eq!(detect(b"<html>", "page.pdf"), Some(MediaType::Html));
        assert_eq!(detect(b"just words", "report.docx"), Some(MediaType::Text));
        let word = archive(&["[Content_Types].xml", "_rels/.rels", "word/document.xml"]);
        assert_eq!(detect(&word, "thing.xlsx"), Some(MediaType::Docx));
        assert_eq!(detect(&word, "thing.txt"), Some(MediaType::Docx));
    }

    #[test]
    fn what_is_not_text_is_not_taken_for_it() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        assert_eq!(detect(png, "picture.txt"), None);
        assert_eq!(
            detect(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", "old.doc"),
            None
        );
        assert_eq!(detect(b"\x1f\x8b\x08\0\0", "archive.tar.gz"), None);
        assert_eq!(detect(b"{\\rtf1 hello", "letter.txt"), None);
        assert_eq!(detect(b"\xff\xfe\x01\x00\x02\x00", "wide.txt"), None);
        assert_eq!(detect(b"text\0text", "a.txt"), None);
    }

    #[test]
    fn texts_are_told_by_their_names() {
        for (name, expected) in [
            ("a.txt", MediaType::Text),
            ("README", MediaType::Text),
            ("a.MD", MediaType::Markdown),
            ("a.csv", MediaType::Csv),
            ("a.tsv", MediaType::Csv),
            ("a.jsonl", MediaType::JsonLines),
            ("a.htm", MediaType::Html),
        ] {
            assert_eq!(detect("Grüße".as_bytes(), name), Some(expected), "{name}");
            assert_eq!(detect(b"Gr\xfc\xdfe", name), Some(expected), "{name}");
            assert_eq!(detect(b"\xff\xfeG\0r\0", name), Some(expected), "{name}");
        }
        let packed = b"\x1f\x8b\x08\0\0";
        assert_eq!(detect(packed, "a.jsonl.gz"), Some(MediaType::JsonLines));
        let centred = b"<h1 align=center>Lectern</h1>";
        assert_eq!(detect(centred, "README.md"), Some(MediaType::Markdown));
        assert_eq!(detect(centred, "untitled"), Some(MediaType::Html));
    }

    #[test]
    fn a_cut_character_at_the_end_of_the_head_does_no_harm() {
        let head = &"Straße ß".as_bytes()[..9];
        assert_eq!(detect(head, "a.txt"), Some(MediaType::Text));
    }

    #[test]
    fn archives_are_told_by_their_entries() {
        for (names, file, expected) in [
            (
                &["_rels/.rels", "ppt/presentation.xml"][..],
                "a",
                Some(MediaType::Pptx),
            ),
            (
                &["docProps/app.xml", "xl/theme/theme1.xml"],
                "a",
                Some(MediaType::Xlsx),
            ),
            (&["[Content_Types].xml"], "a.docx", Some(MediaType::Docx)),
            (&["[Content_Types].xml"], "a.zip", None),
            (&["[Content_Types].xml", "xl/workbook.bin"], "a.xlsb", None),
            (&["photo.jpg"], "a.docx", None),
            (&["mimetype"], "a.odt", None),
        ] {
            assert_eq!(detect(&archive(names), file), expected, "{names:?} {file}");
        }
        let mut book = archive(&["mimetype"]);
        book.truncate(38);
        book.extend_from_slice(b"application/epub+zip");
        assert_eq!(detect(&book, "a.zip"), Some(MediaType::Epub));
        assert_eq!(detect(b"PK\x03\x04", "a.docx"), None, "cut");
    }

    #[test]
    fn every_type_reads_back_from_its_mime_type() {
        for &media in MediaType::ALL {
            assert_eq!(MediaType::from_mime(media.mime()), Some(media));
            assert_eq!(serde_json::to_value(media).unwrap(), media.mime());
        }
        assert_eq!(MediaType::from_mime("image/png"), None);
    }
}
