//! Formats other than PDF: each becomes the same pages with headings, through a well-kept reader of its own.
//!
//! They run where PDFs are read: in the confined child, within its memory and time. What they add are bounds of their
//! own: archives unpack to a limited size (`package`), XML nests to a limited depth and expands no entities (`xml`),
//! tags of web pages are read one after another, never as a tree (`html`), and no part of a text grows past
//! `parts::PART_BYTES`.
//!
//! Most of these formats have no pages. Their parts are numbered all the same, as places to keep text; what people are
//! told is a part's label, or the rows, lines or paragraphs that it counts.

mod csv;
mod docx;
mod epub;
mod flow;
mod html;
mod jsonl;
mod markdown;
mod package;
mod parts;
mod pptx;
mod table;
mod text;
mod xlsx;
mod xml;

use lectern_shared::media::MediaType;

use super::{ParseFailure, ParseLimits, ParsedDocument};

/// Reads a file that is no PDF.
pub(super) fn read(
    media_type: MediaType,
    bytes: &[u8],
    limits: &ParseLimits,
) -> Result<ParsedDocument, ParseFailure> {
    match media_type {
        // Never asked: PDFs have a reader of their own.
        MediaType::Pdf => Err(ParseFailure::Unavailable("a PDF among others".to_owned())),
        MediaType::Text => text::read(bytes, limits),
        MediaType::Markdown => markdown::read(bytes, limits),
        MediaType::Html => html::read(bytes, limits),
        MediaType::Docx => docx::read(bytes, limits),
        MediaType::Epub => epub::read(bytes, limits),
        MediaType::Csv => csv::read(bytes, limits),
        MediaType::Xlsx => xlsx::read(bytes, limits),
        MediaType::Pptx => pptx::read(bytes, limits),
        MediaType::JsonLines => jsonl::read(bytes, limits),
    }
}

fn damaged(what: impl ToString) -> ParseFailure {
    ParseFailure::Damaged(what.to_string())
}

const TITLE_CHARACTERS_MAX: usize = 300;

/// A title of a file's metadata, if it says anything.
fn title(raw: &str) -> Option<String> {
    let title = parts::clean(raw);
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    let title: String = title.chars().take(TITLE_CHARACTERS_MAX).collect();
    (!title.is_empty() && !title.eq_ignore_ascii_case("untitled")).then_some(title)
}
