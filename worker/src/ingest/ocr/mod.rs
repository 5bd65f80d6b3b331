//! Text recognition (OCR): pages that are pictures get their text from Tesseract, with the place of each line.
//!
//! A parser's child draws the pages, one picture at a time (`parse/render.rs`), and each goes to a Tesseract of its
//! own (`tesseract`) in a cage (`cage`); `page` makes text of what that says, and `notes` tells people.
//! Nothing here fails a document: pages that can't be read stay without text, and a note says why.

mod languages;

mod cage;
mod notes;
mod page;
mod tesseract;

use std::{collections::BTreeMap, fs::File, os::unix::fs::FileExt, path::Path};

use futures::{StreamExt, stream};
use lectern_shared::failure::Failure;
use tokio::sync::Semaphore;
use tracing::{info, warn};

pub use self::{
    cage::{CHILD_COMMAND, run_child},
    languages::{Languages, LanguagesInvalid},
};
use self::{
    page::Recognised,
    tesseract::{Tesseract, TesseractFailure},
};
use super::parse::{
    Page, PageProgress, ParseFailure, ParseLimits, ParsedDocument, Picture, Pictures,
};
use crate::config::{OcrMode, OcrSettings};

/// Letters and digits of a page that is all picture but for a page number or a scanner's stamp.
const SCAN_LETTERS_MAX: usize = 24;

/// A picture that makes the child crash is passed over, and so are the ones after it once that has happened so often.
const CRASHES_MAX: usize = 3;

/// What reading scans needs besides the settings.
pub struct Ocr<'a> {
    /// Our own binary, which becomes the parser's child and Tesseract.
    pub program: &'a Path,
    pub pdfium: &'a Path,
    pub limits: &'a ParseLimits,
    pub password: Option<&'a str>,
    /// The worker's, or what the collection has instead.
    pub settings: &'a OcrSettings,
    /// One place for each page that may be read at a time, over all documents.
    pub places: &'a Semaphore,
}

/// The numbers of the pages that OCR is for.
#[must_use]
pub fn pages_to_read(document: &ParsedDocument, mode: OcrMode) -> Vec<u32> {
    let pages = document.pages.iter();
    pages
        .filter(|page| mode == OcrMode::Force || is_scan(page))
        .map(|page| page.number)
        .collect()
}

/// No text, or so little that the picture must hold what the page says.
fn is_scan(page: &Page) -> bool {
    let mut letters = page.text.chars().filter(|c| c.is_alphanumeric());
    page.has_pictures && letters.nth(SCAN_LETTERS_MAX).is_none()
}

/// Gives the pages of a PDF that are scans their text, as far as the settings say, and notes what was done and what
/// was not. `on_page` is told after each page.
///
/// Returns why a document whose pages all stay without text has none.
pub async fn read(
    document: &mut ParsedDocument,
    file: File,
    ocr: &Ocr<'_>,
    on_page: &mut (dyn FnMut(PageProgress) + Send),
) -> Failure {
    let settings = ocr.settings;
    if !is_pdf(&file) {
        return Failure::NoText;
    }
    let mut wanted = pages_to_read(document, settings.mode);
    if wanted.is_empty() {
        return Failure::NoText;
    }
    if settings.mode == OcrMode::Off {
        let which = notes::pages(&wanted);
        document.notes.push(format!(
            "{which}: no text, and text recognition (OCR) is off; set LECTERN_OCR=auto, or `ocr` of the collection, and have the document read anew"
        ));
        return Failure::OcrOff;
    }
    let tesseract = match Tesseract::find(ocr.program, settings).await {
        Ok(tesseract) => tesseract,
        Err(failure) => {
            let advice = tesseract::advice(&failure, &settings.languages);
            warn!(error = %failure, advice, "scans stay without text");
            // With text in the file OCR would have been a second opinion.
            wanted = pages_to_read(document, OcrMode::Auto);
            if !wanted.is_empty() {
                let which = notes::pages(&wanted);
                document.notes.push(format!(
                    "{which}: no text, and text recognition (OCR) is not available: {advice}, and have the document read anew"
                ));
            }
            return Failure::OcrUnavailable;
        }
    };
    let beyond = wanted.split_off(wanted.len().min(settings.pages_max as usize));
    let mut results = recognise(file, ocr, &tesseract, &wanted, on_page).await;

    let mut sure = Vec::new();
    let mut trouble: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    let mut failed = false;
    for page in &mut document.pages {
        let number = page.number;
        let why = if beyond.binary_search(&number).is_ok() {
            "not read by OCR, since the document has more scanned pages than LECTERN_OCR_PAGES_MAX"
        } else if wanted.binary_search(&number).is_ok() {
            match results.remove(&number) {
                Some(Ok(recognised)) if is_better(&recognised, page) => {
                    sure.push((number, recognised.confidence));
                    replace(page, recognised);
                    continue;
                }
                Some(Ok(_)) => "OCR found no text",
                Some(Err(TesseractFailure::TimedOut)) => {
                    "OCR took longer than LECTERN_OCR_SECONDS_MAX"
                }
                Some(Err(_)) => "OCR failed",
                None => "could not be drawn for OCR",
            }
        } else {
            continue;
        };
        failed |= why != "OCR found no text";
        // A page whose own text stays has lost nothing.
        if is_scan(page) {
            trouble.entry(why).or_default().push(number);
        }
    }
    let languages = settings.languages.in_english();
    document.notes.extend(notes::read_by_ocr(&sure, &languages));
    for (why, numbers) in &trouble {
        document
            .notes
            .push(format!("{}: {why}", notes::pages(numbers)));
    }
    if failed {
        Failure::OcrFailed
    } else {
        Failure::NoText
    }
}

/// Other formats have pages without text, too, as empty slides: those are no scans.
fn is_pdf(file: &File) -> bool {
    let mut head = [0; 4096];
    let read = file.read_at(&mut head, 0).unwrap_or(0);
    head[..read].windows(5).any(|window| window == b"%PDF-")
}

/// Whether there is something, and more than the file itself had on a page that was all picture.
fn is_better(recognised: &Recognised, page: &Page) -> bool {
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
    let found = letters(&recognised.text);
    found > 0 && (!is_scan(page) || found >= letters(&page.text))
}

fn replace(page: &mut Page, recognised: Recognised) {
    *page = Page {
        number: page.number,
        label: page.label.take(),
        text: recognised.text,
        lines: recognised.lines,
        has_pictures: page.has_pictures,
        ..Page::default()
    };
}

/// What Tesseract says of each page; pages that can't be drawn are missing.
async fn recognise(
    file: File,
    ocr: &Ocr<'_>,
    tesseract: &Tesseract<'_>,
    wanted: &[u32],
    on_page: &mut (dyn FnMut(PageProgress) + Send),
) -> BTreeMap<u32, Result<Recognised, TesseractFailure>> {
    let total = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    let mut done = 0;
    on_page(PageProgress { done, total });
    let pictures = stream::unfold(Drawing::new(file, ocr, wanted), Drawing::step);
    let mut results = BTreeMap::new();
    let mut recognised = pictures
        .map(|picture| recognise_page(ocr, tesseract, picture))
        .buffer_unordered(ocr.settings.places())
        .boxed();
    while let Some((number, result)) = recognised.next().await {
        if let Err(failure) = &result {
            warn!(page = number, error = %failure, "page not read by OCR");
        }
        results.insert(number, result);
        done += 1;
        on_page(PageProgress { done, total });
    }
    results
}

async fn recognise_page(
    ocr: &Ocr<'_>,
    tesseract: &Tesseract<'_>,
    picture: Picture,
) -> (u32, Result<Recognised, TesseractFailure>) {
    // Never closed.
    let _place = ocr.places.acquire().await;
    let table = tesseract.recognise(&picture).await;
    let page = table.map(|table| page::read(&table, picture.width, picture.height));
    (picture.number, page)
}

/// Draws pages, and goes on after one that makes the child crash.
struct Drawing<'a> {
    file: File,
    ocr: &'a Ocr<'a>,
    pictures: Option<Pictures>,
    wanted: Vec<u32>,
    crashes: usize,
}

impl<'a> Drawing<'a> {
    fn new(file: File, ocr: &'a Ocr<'a>, wanted: &[u32]) -> Self {
        Self {
            file,
            ocr,
            pictures: None,
            wanted: wanted.to_vec(),
            crashes: 0,
        }
    }

    async fn step(mut self) -> Option<(Picture, Self)> {
        self.next().await.map(|picture| (picture, self))
    }

    async fn next(&mut self) -> Option<Picture> {
        while self.crashes <= CRASHES_MAX && !self.wanted.is_empty() {
            let failure = match self.draw_next().await {
                Ok(picture) => return picture,
                Err(failure) => failure,
            };
            // The page that it was at, presumably.
            if let Some(pictures) = self.pictures.take() {
                self.wanted = pictures.left();
            }
            let page = (!self.wanted.is_empty()).then(|| self.wanted.remove(0));
            warn!(page, error = %failure, "page not drawn for OCR");
            self.crashes += 1;
        }
        None
    }

    async fn draw_next(&mut self) -> Result<Option<Picture>, ParseFailure> {
        let pictures = match &mut self.pictures {
            Some(pictures) => pictures,
            none => {
                let file = self.file.try_clone();
                let file = file.map_err(|error| ParseFailure::Unavailable(error.to_string()))?;
                none.insert(Pictures::of(
                    file,
                    self.ocr.program,
                    self.ocr.pdfium,
                    self.ocr.limits,
                    self.ocr.password,
                    &self.wanted,
                    self.ocr.settings.dpi,
                )?)
            }
        };
        let picture = pictures.next().await?;
        if picture.is_none() {
            self.wanted.clear();
        }
        Ok(picture)
    }
}

/// Says in the log whether scans can be read.
pub(crate) async fn announce(program: &Path, settings: &OcrSettings) {
    if settings.mode == OcrMode::Off {
        info!("text recognition (OCR) is off: scans stay without text");
        return;
    }
    let found = Tesseract::find(program, settings).await;
    let version = match &found {
        Ok(tesseract) => tesseract.version().await,
        Err(failure) => Err(failure.clone()),
    };
    match version {
        Ok(version) => {
            info!(tesseract = version, languages = %settings.languages, "text recognition (OCR) is available");
        }
        Err(failure) => {
            let advice = tesseract::advice(&failure, &settings.languages);
            warn!(error = %failure, advice, "no text recognition (OCR): scans stay without text");
        }
    }
}
