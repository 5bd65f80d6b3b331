//! The child's half: locks itself in, reads the file from stdin, and writes pages to stdout as it reads them.
//!
//! The body size and the vocabulary that `layout` asks for belong to the whole document, but holding its whole
//! text to learn them would make memory grow with the number of pages, and reading every page twice would halve
//! the speed. So pages wait in a window of `LOOK_AHEAD` while later ones are learnt from: exact for short
//! documents, and for long ones as good as exact: over 38 files of up to 117 pages, a window of 16 gives the same
//! text and headings as the whole document does, and one of 4 gives other headings on 7 pages.

use std::any::Any;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::thread;

use lectern_shared::media::MediaType;
use nix::errno::Errno;
use nix::unistd::Pid;

use super::columns::in_order;
use super::formats;
use super::gate::{self, Gated, Outline};
use super::layout::compose;
use super::protocol::{Message, PASSWORD_VARIABLE, Task};
use super::style::Style;
use super::text::{PdfiumDocument, PdfiumLibrary, Sheet};
use super::{ParseFailure, ParseLimits, limits, lock, render};

/// Pages read ahead of the one that is written.
const LOOK_AHEAD: usize = 16;

/// Parsers recurse over nested objects: lopdf stops at a depth of its own, PDFium mostly.
/// An overflow ends in the guard page, hence in a clean crash.
const STACK_BYTES: usize = 64 << 20;

/// Notes are for people; a file with a thousand bad pages needs no thousand notes.
const NOTES_MAX: usize = 20;

/// Runs the parser and reports on stdout; `arguments` are those after [`super::CHILD_COMMAND`].
/// `main` calls this first of all, with no other thread running and no file opened.
pub fn run_child(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let task = arguments.next().and_then(|task| task.into_string().ok());
    let outcome = match task.map(|task| serde_json::from_str::<Task>(&task)) {
        Some(Ok(task)) => confined(task),
        Some(Err(_)) | None => Err(ParseFailure::Unavailable("no usable task".to_owned())),
    };
    let Err(failure) = outcome else {
        return ExitCode::SUCCESS;
    };
    // Without a parent to read it, the exit code is all there is to say.
    let _ = Outbox::new(u64::MAX).send(&Message::Failed(failure));
    ExitCode::FAILURE
}

fn confined(task: Task) -> Result<(), ParseFailure> {
    let unavailable = |errno: Errno| ParseFailure::Unavailable(format!("limits: {errno}"));
    let parent = Pid::from_raw(task.parent.cast_signed());
    limits::confine(&task.limits, stdin_bytes(), parent).map_err(unavailable)?;
    // Behind the locks no library can be loaded any more.
    let pdfium = match task.media_type {
        MediaType::Pdf => Some(PdfiumLibrary::load(&task.pdfium)?),
        _ => None,
    };
    lock::lock_in().map_err(|error| {
        ParseFailure::Unavailable(format!("locks: {:#}", anyhow::Error::from(error)))
    })?;

    let work = move || {
        limits::forbid_processes().map_err(unavailable)?;
        match &pdfium {
            Some(library) => read_pdf(library, &task),
            None => read_other(&task),
        }
    };
    let worker = thread::Builder::new()
        .name("parse".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(work)
        // The stack is the first big allocation under the memory limit.
        .map_err(|_| ParseFailure::MemoryExceeded)?;
    worker
        .join()
        .unwrap_or_else(|panic| Err(ParseFailure::Crashed(panic_message(panic.as_ref()))))
}

fn read_pdf(library: &PdfiumLibrary, task: &Task) -> Result<(), ParseFailure> {
    let bytes = read_stdin(&task.limits)?;
    let password = password();

    let mut gated = gate::inspect(&bytes, password.as_deref(), &task.limits)?;
    limits::allow_time_for(&task.limits, gated.page_count())
        .map_err(|errno| ParseFailure::Unavailable(format!("limits: {errno}")))?;
    let mut outbox = Outbox::new(task.limits.output_bytes_max);
    let mut notes = std::mem::take(&mut gated.notes);
    let outline = std::mem::take(&mut gated.outline);
    let refused = std::mem::take(&mut gated.refused_pages);
    outbox.send(&Message::Opened {
        pages: gated.page_count(),
        title: gated.title.take(),
    })?;

    // PDFium gets the file as it is, unless that needed repair; then, or when PDFium can't make
    // the same of it, what lopdf understood of it, written anew. lopdf's copy must be gone
    // before pages are read: together they would be the peak of memory.
    let rewritten: Vec<u8>;
    let document = match open_as_is(library, &bytes, password.as_deref(), &gated) {
        Some(document) => {
            drop(gated);
            document
        }
        None => {
            notes.push("read from a repaired copy".to_owned());
            rewritten = gated.rewrite()?;
            library.open(&rewritten, None)?
        }
    };
    if let Some(wanted) = &task.render {
        return render::send_pictures(&document, wanted, &mut outbox);
    }
    let mut pages = PageWriter {
        outline,
        style: Style::default(),
        window: VecDeque::new(),
        outbox,
    };
    let mut read = 0;
    for number in 1..=document.page_count() {
        if refused.contains(&number) {
            continue;
        }
        match document.sheet(number) {
            Ok(mut sheet) => {
                read += 1;
                sheet.lines = in_order(sheet.lines);
                pages.add(sheet)?;
            }
            Err(_) => notes.push(format!("page {number} left out: it can't be read")),
        }
    }
    if read == 0 {
        return Err(ParseFailure::Damaged("no page could be read".to_owned()));
    }
    pages.finish(notes)
}

/// What isn't a PDF is read as a whole before its pages can be counted; their text is bounded.
fn read_other(task: &Task) -> Result<(), ParseFailure> {
    let bytes = read_stdin(&task.limits)?;
    let document = formats::read(task.media_type, &bytes, &task.limits)?;
    let mut outbox = Outbox::new(task.limits.output_bytes_max);
    outbox.send(&Message::Opened {
        pages: u32::try_from(document.pages.len()).unwrap_or(u32::MAX),
        title: document.title,
    })?;
    for page in document.pages {
        outbox.send(&Message::Page(page))?;
    }
    outbox.finish(document.notes)
}

#[expect(
    clippy::disallowed_methods,
    reason = "no setting of the service, but a message from our own parent"
)]
fn password() -> Option<String> {
    std::env::var_os(PASSWORD_VARIABLE).and_then(|password| password.into_string().ok())
}

/// Asking for the size reads nothing; a stdin without one gets the smallest allowance.
fn stdin_bytes() -> u64 {
    let stdin = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(File::from);
    stdin
        .and_then(|stdin| stdin.metadata())
        .map_or(0, |metadata| metadata.len())
}

/// At most one byte more than allowed is read: the parent looked at the size, but files can grow.
fn read_stdin(limits: &ParseLimits) -> Result<Vec<u8>, ParseFailure> {
    let max = limits.file_bytes_max;
    let mut bytes = Vec::new();
    let read = std::io::stdin()
        .lock()
        .take(max.saturating_add(1))
        .read_to_end(&mut bytes);
    match read {
        Ok(0) => Err(ParseFailure::Empty),
        Ok(read) if read as u64 > max => Err(ParseFailure::TooBig {
            bytes: read as u64,
            max,
        }),
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::OutOfMemory => {
            Err(ParseFailure::MemoryExceeded)
        }
        Err(error) => Err(ParseFailure::Unavailable(format!(
            "reading the file: {error}"
        ))),
    }
}

fn open_as_is<'a>(
    library: &'a PdfiumLibrary,
    bytes: &'a [u8],
    password: Option<&str>,
    gated: &Gated,
) -> Option<PdfiumDocument<'a>> {
    if gated.needs_rewrite {
        return None;
    }
    let document = library.open(bytes, password).ok()?;
    (document.page_count() == gated.page_count()).then_some(document)
}

/// Holds the window of pages between PDFium and stdout.
struct PageWriter {
    outline: Outline,
    style: Style,
    window: VecDeque<Sheet>,
    outbox: Outbox,
}

impl PageWriter {
    fn add(&mut self, sheet: Sheet) -> Result<(), ParseFailure> {
        self.style.learn(&sheet);
        self.window.push_back(sheet);
        if self.window.len() > LOOK_AHEAD {
            self.write_oldest()
        } else {
            Ok(())
        }
    }

    fn write_oldest(&mut self) -> Result<(), ParseFailure> {
        let Some(sheet) = self.window.pop_front() else {
            return Ok(());
        };
        let titles = self
            .outline
            .get(&sheet.number)
            .map_or(&[][..], Vec::as_slice);
        let page = compose(&sheet, &self.style, titles);
        self.outbox.send(&Message::Page(page))
    }

    fn finish(mut self, notes: Vec<String>) -> Result<(), ParseFailure> {
        while !self.window.is_empty() {
            self.write_oldest()?;
        }
        self.outbox.finish(notes)
    }
}

/// stdout, with a count of what went out.
pub(super) struct Outbox {
    bytes_left: u64,
    bytes_max: u64,
}

impl Outbox {
    fn new(bytes_max: u64) -> Self {
        Self {
            bytes_left: bytes_max,
            bytes_max,
        }
    }

    fn finish(mut self, mut notes: Vec<String>) -> Result<(), ParseFailure> {
        if notes.len() > NOTES_MAX {
            let more = notes.len() - NOTES_MAX;
            notes.truncate(NOTES_MAX);
            notes.push(format!("and {more} more notes"));
        }
        self.send(&Message::Finished { notes })
    }

    pub(super) fn send(&mut self, message: &Message) -> Result<(), ParseFailure> {
        self.send_with(message, &[])
    }

    /// A message and the bytes that it announces, which don't count as text.
    pub(super) fn send_with(
        &mut self,
        message: &Message,
        bytes: &[u8],
    ) -> Result<(), ParseFailure> {
        let gone = |error: &dyn ToString| ParseFailure::Unavailable(error.to_string());
        let mut line = serde_json::to_vec(message).map_err(|error| gone(&error))?;
        line.push(b'\n');
        self.bytes_left =
            self.bytes_left
                .checked_sub(line.len() as u64)
                .ok_or(ParseFailure::OutputTooBig {
                    max: self.bytes_max,
                })?;
        let mut stdout = std::io::stdout().lock();
        stdout
            .write_all(&line)
            .and_then(|()| stdout.write_all(bytes))
            .and_then(|()| stdout.flush())
            .map_err(|error| gone(&error))
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic")
        .to_owned()
}
