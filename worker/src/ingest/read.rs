//! The first stages of an ingest: a file becomes pages with text, by a parser in a process of its own and, where pages
//! are pictures, by OCR.

use std::{fs::File, path::Path};

use lectern_shared::{
    failure::Failure,
    media::MediaType,
    store::{
        collections::CollectionSettings,
        documents::{ForIngest, Password},
    },
};
use tokio::sync::watch;

use super::{
    ocr::{self, Ocr},
    parse::{self, PageProgress, ParseFailure, ParsedDocument},
};
use crate::{config::RunSettings, context::Context, error::JobError, report::Report};

pub(super) async fn parse(
    context: &Context,
    document: &ForIngest,
    file: &File,
    report: &mut Report,
) -> Result<ParsedDocument, JobError> {
    let media_type = MediaType::from_mime(&document.media_type).ok_or_else(|| {
        // Uploaded through a newer release; its worker will know.
        JobError::transient(anyhow::anyhow!(
            "unknown media type {}",
            document.media_type
        ))
    })?;
    let settings = &context.settings.parse;
    let limits = settings.limits();
    let (mut on_page, counted) = page_counter();
    let parsing = parse::parse(
        file.try_clone().map_err(JobError::transient)?,
        media_type,
        Path::new(OURSELVES),
        &settings.pdfium,
        &limits,
        document.password.as_ref().map(Password::reveal),
        &mut on_page,
    );
    reporting(parsing, counted, report).await.map_err(refusal)
}

/// Gives scans their text where the settings say so; a document that has none after that fails.
pub(super) async fn read_scans(
    context: &Context,
    document: &ForIngest,
    collection: &CollectionSettings,
    file: &File,
    mut parsed: ParsedDocument,
    report: &mut Report,
) -> Result<ParsedDocument, JobError> {
    let settings = &context.settings;
    let ocr_settings = settings.ocr.of(collection);
    if !ocr::pages_to_read(&parsed, ocr_settings.mode).is_empty() {
        report.stage("ocr").await;
    }
    let ocr = Ocr {
        program: Path::new(OURSELVES),
        pdfium: &settings.parse.pdfium,
        limits: &settings.parse.limits(),
        password: document.password.as_ref().map(Password::reveal),
        settings: &ocr_settings,
        places: &context.ocr_places,
    };
    let (mut on_page, counted) = page_counter();
    let file = file.try_clone().map_err(JobError::transient)?;
    let reading = ocr::read(&mut parsed, file, &ocr, &mut on_page);
    let why_none = reporting(reading, counted, report).await;
    if parsed.pages.iter().all(|page| page.text.trim().is_empty()) {
        return Err(JobError::failed(why_none, "no page has text"));
    }
    Ok(parsed)
}

/// What a parser calls after each page from inside its loop, where nothing can be awaited, and what then can be: the
/// newest count is what matters.
fn page_counter() -> (
    impl FnMut(PageProgress) + Send,
    watch::Receiver<PageProgress>,
) {
    let (count, counted) = watch::channel(PageProgress { done: 0, total: 0 });
    let on_page = move |progress| {
        count.send_replace(progress);
    };
    (on_page, counted)
}

/// Runs `work` and reports the pages that it counts meanwhile.
async fn reporting<T>(
    work: impl Future<Output = T>,
    mut counted: watch::Receiver<PageProgress>,
    report: &mut Report,
) -> T {
    tokio::pin!(work);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            Ok(()) = counted.changed() => {
                let PageProgress { done, total } = *counted.borrow_and_update();
                report.progress(done, total).await;
            }
        }
    };
    // The last page and the end come together.
    if counted.has_changed().unwrap_or(false) {
        let PageProgress { done, total } = *counted.borrow();
        report.progress(done, total).await;
    }
    result
}

/// Says in the log, at the start, what this worker can read.
pub(crate) async fn announce(settings: &RunSettings) {
    ocr::announce(Path::new(OURSELVES), &settings.ocr).await;
}

/// The program that runs now, even if its file was replaced by an update meanwhile.
const OURSELVES: &str = "/proc/self/exe";

/// What users are told.
fn refusal(failure: ParseFailure) -> JobError {
    let told = match &failure {
        ParseFailure::Unavailable(_) => return JobError::transient(failure),
        ParseFailure::Empty => Failure::EmptyFile,
        ParseFailure::NotAPdf => Failure::NotAPdf,
        ParseFailure::Damaged(_) => Failure::Damaged,
        ParseFailure::NoPages => Failure::NoPages,
        ParseFailure::TooManyPages { .. } => Failure::TooManyPages,
        ParseFailure::PageTooBig { .. } | ParseFailure::TooBig { .. } => Failure::PageTooBig,
        ParseFailure::UnpackedTooBig { .. } | ParseFailure::TooManyEntries { .. } => {
            Failure::UnpackedTooBig
        }
        ParseFailure::PasswordRequired => Failure::PasswordRequired,
        ParseFailure::PasswordWrong => Failure::PasswordWrong,
        ParseFailure::EncryptionUnsupported => Failure::EncryptionUnsupported,
        ParseFailure::TimedOut => Failure::ParseTimedOut,
        ParseFailure::MemoryExceeded => Failure::ParseMemory,
        ParseFailure::OutputTooBig { .. } => Failure::TooMuchText,
        ParseFailure::Crashed(_) => Failure::ParserCrashed,
    };
    JobError::failed(told, failure)
}
