//! Reads the text out of an uploaded file, in a child process that holds nothing worth taking.
//!
//! A PDF is a small program written by a stranger and PDFium, which reads it, is C++.
//! So each file gets a process of its own: our binary started again as `parse-child`, without our environment,
//! with limits on memory, processor time, files and output, with nothing open but the file and two pipes, and with
//! no way to open anything else.
//! Whatever happens in there, this side ends with pages or with one [`ParseFailure`].
//!
//! The child's work, in order: `limits` are set, PDFium is loaded, the `lock` is closed, `gate` (lopdf) judges structure, encryption and bombs,
//! `repair` mends what it can, `text` (PDFium) reads characters, `lines` makes lines of them, `columns` puts those into
//! reading order, `layout` makes paragraphs and `place` says where they stand; `headings` finds the titles, `furniture`
//! the running heads, both by what `style` says is usual in the document; `protocol` carries the pages to `process`, the
//! parent's half. Files of other types are read by `formats`, in the same child under the same limits.
//! For OCR the same child draws pages (`render`), and `pictures` is the parent's half.

mod child;
mod columns;
mod directions;
mod formats;
mod furniture;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod gate;
mod headings;
mod layout;
mod limits;
mod lines;
mod lock;
mod pictures;
mod place;
mod process;
mod protocol;
mod render;
mod repair;
mod style;
mod text;

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use lectern_shared::media::MediaType;
pub use lectern_shared::store::chunks::Bounds;
use serde::{Deserialize, Serialize};

pub use child::run_child;
pub(crate) use lock::leave_only;
pub use lock::{LockError, Locks, locks_here};
pub use pictures::{Picture, Pictures};
pub(in crate::ingest) use process::{ProcessGroup, read_start};
pub(in crate::ingest) use text::is_unreadable;

/// The argument after the program's name that makes our binary a parser: `main` must hand over to
/// [`run_child`] when it sees it, before it starts a runtime or reads its configuration.
pub const CHILD_COMMAND: &str = "parse-child";

/// What one file may cost. Past any of these the file fails; the worker and its other files do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParseLimits {
    pub file_bytes_max: u64,
    pub pages_max: u32,
    /// Time for opening the file, and for the whole of a short one.
    pub wall_base: Duration,
    /// Added to `wall_base` for every page, once the number of pages is known.
    pub wall_per_page: Duration,
    /// Ceiling of the child's address space; a small file gets less (see `limits`).
    pub memory_bytes_max: u64,
    /// Bytes of all messages of the child: the text as JSON, hence of what the parent must hold.
    pub output_bytes_max: u64,
    /// Bytes that an archive (DOCX, XLSX, EPUB, …) may unpack to, together.
    pub unpacked_bytes_max: u64,
    /// How many times its own size that may be, beyond the first few megabytes.
    pub unpacked_ratio_max: u32,
    /// Entries of an archive.
    pub entries_max: u32,
}

impl Default for ParseLimits {
    /// PDFium reads hundreds of ordinary pages a second, so 250 ms for each is ample on a busy machine too.
    fn default() -> Self {
        Self {
            file_bytes_max: 100 << 20,
            pages_max: 5_000,
            wall_base: Duration::from_secs(20),
            wall_per_page: Duration::from_millis(250),
            memory_bytes_max: 2 << 30,
            output_bytes_max: 64 << 20,
            unpacked_bytes_max: 512 << 20,
            // Sheets full of the same few words pack a hundred times; a bomb a thousand times.
            unpacked_ratio_max: 250,
            entries_max: 10_000,
        }
    }
}

impl ParseLimits {
    /// The time that a document of `pages` pages may take.
    fn wall(&self, pages: u32) -> Duration {
        self.wall_base
            .saturating_add(self.wall_per_page.saturating_mul(pages.min(self.pages_max)))
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ParsedDocument {
    /// The title in the file's metadata, where it has one.
    pub title: Option<String>,
    /// In page order; pages that could not be read are missing and named in `notes`.
    /// A page without text (a scan, a picture) is here with an empty text.
    pub pages: Vec<Page>,
    /// What was mended or left out, for people: "rebuilt the cross-reference table".
    pub notes: Vec<String>,
}

/// A page, or what a format has instead: a slide, a sheet, a chapter, the whole of a text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Page {
    /// From 1, as readers count.
    pub number: u32,
    /// What people call this part where it isn't "page n": "Slide 3", the name of a sheet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Reading order; lines end with `\n`, paragraphs with `\n\n`; no control or private-use characters.
    pub text: String,
    /// In the order of the text, not overlapping.
    pub headings: Vec<Heading>,
    /// Where the text stands on the page, in the order of the text, not overlapping. Empty where there is no page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<PlacedLine>,
    /// Running heads and feet and page numbers: bytes of the text, in order, not overlapping.
    /// They stay in the page's text, and chunks leave them out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub furniture: Vec<Range<usize>>,
    /// The rows, lines or records that the text is of, where readers count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// The page shows pictures, which may hold text.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_pictures: bool,
}

/// A line of a page: bytes `start..end` of its text, on character boundaries, and its box.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PlacedLine {
    pub start: usize,
    pub end: usize,
    pub bounds: Bounds,
}

/// Where in the page's text its rows begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// What they are called, in the plural: "rows", "lines", "records".
    pub noun: String,
    /// The byte that a row begins at and its number, both ascending.
    pub starts: Vec<(usize, u32)>,
}

/// A title within a page's text: bytes `start..end`, on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    pub start: usize,
    pub end: usize,
    /// 1 (a chapter) to 6.
    pub level: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageProgress {
    pub done: u32,
    pub total: u32,
}

/// Why a file gave no document. Only [`ParseFailure::Unavailable`] is worth another try:
/// the rest would end the same way again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParseFailure {
    #[error("the file is empty")]
    Empty,
    #[error("the file is not a PDF")]
    NotAPdf,
    #[error("the file has {bytes} bytes, more than {max}")]
    TooBig { bytes: u64, max: u64 },
    #[error("the file is damaged: {0}")]
    Damaged(String),
    #[error("the file has no pages")]
    NoPages,
    #[error("the file has {pages} pages, more than {max}")]
    TooManyPages { pages: u32, max: u32 },
    /// Every page was refused for this; where some remain, they are read and a note tells of the others.
    #[error("the pages expand to more than {max} bytes each")]
    PageTooBig { max: u64 },
    #[error("the archive unpacks to more than {max} bytes")]
    UnpackedTooBig { max: u64 },
    #[error("the archive has {entries} entries, more than {max}")]
    TooManyEntries { entries: u64, max: u32 },
    #[error("the file needs a password")]
    PasswordRequired,
    #[error("the password does not open the PDF")]
    PasswordWrong,
    #[error("the file is encrypted in a way that is not supported")]
    EncryptionUnsupported,
    #[error("reading the file took too long")]
    TimedOut,
    #[error("reading the file took too much memory")]
    MemoryExceeded,
    #[error("the file's text is longer than {max} bytes")]
    OutputTooBig { max: u64 },
    #[error("the parser crashed: {0}")]
    Crashed(String),
    /// Nothing to do with the file: no process, no PDFium library.
    #[error("the parser could not be started: {0}")]
    Unavailable(String),
}

/// Reads `file`, which is of `media_type`, from its start in a child process and returns its text.
///
/// `program` is our own binary (`/proc/self/exe`, or the path of the worker in tests), `pdfium` the PDFium library.
/// An encrypted file is tried with `password`, and with the empty one.
/// `on_page` is called after each page, on the caller's task: keep it short.
/// Dropping the future kills the child and all its process group.
///
/// # Errors
/// See [`ParseFailure`].
pub async fn parse(
    file: File,
    media_type: MediaType,
    program: &Path,
    pdfium: &Path,
    limits: &ParseLimits,
    password: Option<&str>,
    on_page: &mut (dyn FnMut(PageProgress) + Send),
) -> Result<ParsedDocument, ParseFailure> {
    process::run(file, media_type, program, pdfium, limits, password, on_page).await
}
