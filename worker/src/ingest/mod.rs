//! An upload becomes searchable: parse, read scans, chunk, embed, store, and make the new version visible at once.

pub mod chunk;
pub mod ocr;
pub mod parse;

use std::{borrow::Cow, collections::HashMap, fs::File, path::Path};

use lectern_shared::{
    events::{name, payload::IngestDone},
    failure::Failure,
    media::MediaType,
    metrics,
    store::{
        chunks::{self, NewChunk, NewPage, TextHash},
        collections::{self, CollectionSettings},
        documents::{self, Completion, ForIngest, Password},
        index,
        jobs::Claimed,
    },
};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tracing::info;

pub(crate) use self::chunk::{collapse, sentences};
use self::{
    chunk::{Chunk, Chunker},
    ocr::Ocr,
    parse::{PageProgress, ParseFailure, ParsedDocument},
};
use crate::{config::RunSettings, context::Context, error::JobError, report::Report};

/// Chunks that are embedded and written together: enough for full batches of the model, few enough to hold.
const WINDOW: usize = 64;

/// Pages that are written together.
const PAGES_WINDOW: usize = 200;

pub(crate) async fn ingest(
    context: &Context,
    job: &Claimed,
    report: &mut Report,
) -> Result<(), JobError> {
    let Some(document) = documents::begin_ingest(&context.pool, job).await? else {
        return Ok(());
    };

    let collection = collections::settings(&context.pool, document.collection).await?;

    let (file, _) = context.blobs.open_file(&document.blob_key).await?;
    report.stage("parsing").await;
    let parsed = parse(context, &document, &file, report).await?;
    let parsed = read_scans(context, &document, &collection, &file, parsed, report).await?;
    ::metrics::counter!(metrics::PAGES).increment(parsed.pages.len() as u64);

    report.stage("chunking").await;
    let (parsed, chunks) = chunk(context, &collection, parsed).await?;

    report.stage("embedding").await;
    store_pages(context, job, &document, &parsed).await?;
    embed_and_store(context, job, &document, &chunks, report).await?;

    complete(context, job, &document, &parsed, chunks.len(), report).await
}

async fn parse(
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
async fn read_scans(
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

async fn chunk(
    context: &Context,
    collection: &CollectionSettings,
    parsed: ParsedDocument,
) -> Result<(ParsedDocument, Vec<Chunk>), JobError> {
    let settings = context.settings.parse.chunks(collection);
    let chunker = Chunker::new(context.tokens.clone(), settings);
    // Counting the tokens of a book takes a tenth of a second: not on a runtime thread.
    let (parsed, chunks) = tokio::task::spawn_blocking(move || {
        let chunks = chunker.chunks(&parsed.pages);
        (parsed, chunks)
    })
    .await
    .map_err(JobError::transient)?;
    let chunks = chunks?;
    let max = context.settings.parse.chunks_max as usize;
    if chunks.len() > max {
        return Err(JobError::failed(
            Failure::TooManyChunks,
            format!("{} chunks, more than {max}", chunks.len()),
        ));
    }
    Ok((parsed, chunks))
}

async fn store_pages(
    context: &Context,
    job: &Claimed,
    document: &ForIngest,
    parsed: &ParsedDocument,
) -> Result<(), JobError> {
    for pages in parsed.pages.chunks(PAGES_WINDOW) {
        let rows: Vec<NewPage<'_>> = pages
            .iter()
            .map(|page| NewPage {
                number: page.number.cast_signed(),
                label: page.label.as_deref(),
                text: &page.text,
            })
            .collect();
        if !chunks::insert_pages(&context.pool, job, document, &rows).await? {
            return Err(JobError::LeaseLost);
        }
    }
    Ok(())
}

async fn embed_and_store(
    context: &Context,
    job: &Claimed,
    document: &ForIngest,
    chunks: &[Chunk],
    report: &mut Report,
) -> Result<(), JobError> {
    let total = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
    let mut done = 0_u32;
    report.progress(0, total).await;
    let mut windows = chunks.chunks(WINDOW);
    let mut embedded = embed(context, document, windows.next().unwrap_or_default()).await?;
    while !embedded.is_empty() {
        let count = u32::try_from(embedded.len()).unwrap_or(u32::MAX);
        let rows = (done..).zip(embedded).map(|(ordinal, row)| NewChunk {
            ordinal: ordinal.cast_signed(),
            ..row
        });
        let write = chunks::insert(&context.pool, job, document, context.model, rows.collect());
        // The model works on the next window while this one is written.
        let (written, next) = tokio::join!(
            write,
            embed(context, document, windows.next().unwrap_or_default())
        );
        if !written? {
            return Err(JobError::LeaseLost);
        }
        embedded = next?;
        done += count;
        report.progress(done, total).await;
    }
    ::metrics::counter!(metrics::CHUNKS).increment(total.into());
    Ok(())
}

/// The chunks with their vectors. Text that has a vector already, in an earlier version of the document for instance,
/// gets that one; equal texts are embedded once.
async fn embed(
    context: &Context,
    document: &ForIngest,
    chunks: &[Chunk],
) -> Result<Vec<NewChunk>, JobError> {
    if chunks.is_empty() {
        return Ok(Vec::new());
    }
    let texts: Vec<Cow<'_, str>> = chunks.iter().map(Chunk::embedded).collect();
    let hashes: Vec<TextHash> = texts
        .iter()
        .map(|text| Sha256::digest(text.as_bytes()).into())
        .collect();
    let known = chunks::vectors_of(&context.pool, document.tenant, context.model, &hashes).await?;
    let mut vectors: HashMap<TextHash, Vec<f32>> = known.into_iter().collect();
    let mut missing: HashMap<TextHash, String> = HashMap::new();
    for (hash, text) in hashes.iter().zip(texts) {
        if !vectors.contains_key(hash) {
            missing.insert(*hash, text.into_owned());
        }
    }
    let reused = chunks.len() - missing.len();
    ::metrics::counter!(metrics::EMBEDDING_REUSED).increment(reused as u64);
    let (missing, texts): (Vec<TextHash>, Vec<String>) = missing.into_iter().unzip();
    let embedded = context.embedder.embed_passages(texts).await?;
    vectors.extend(missing.into_iter().zip(embedded));
    let rows = hashes
        .into_iter()
        .zip(chunks)
        .map(|(hash, chunk)| row(chunk, hash, vectors[&hash].clone()));
    Ok(rows.collect())
}

fn row(chunk: &Chunk, embedded_sha256: TextHash, embedding: Vec<f32>) -> NewChunk {
    NewChunk {
        ordinal: 0,
        page_first: chunk.page_first().cast_signed(),
        page_last: chunk.page_last().cast_signed(),
        spans: chunk.spans.clone(),
        heading: chunk.heading.clone(),
        place: chunk.place.clone(),
        embedded_sha256,
        text: chunk.text.clone(),
        tokens: i32::try_from(chunk.tokens).unwrap_or(i32::MAX),
        embedding,
    }
}

async fn complete(
    context: &Context,
    job: &Claimed,
    document: &ForIngest,
    parsed: &ParsedDocument,
    chunk_count: usize,
    report: &mut Report,
) -> Result<(), JobError> {
    let index_min = i64::from(context.settings.worker.index_chunks_min);
    let pool = &context.pool;
    let request_index =
        chunks::count_up_to(pool, index_min).await? >= index_min && !index::is_valid(pool).await?;
    let done = IngestDone {
        pages: i32::try_from(parsed.pages.len()).unwrap_or(i32::MAX),
        chunks: i32::try_from(chunk_count).unwrap_or(i32::MAX),
        version: document.version,
        notes: parsed.notes.clone(),
    };
    let completion = Completion {
        title: parsed.title.as_deref(),
        pages: done.pages,
        chunks: done.chunks,
        notes: &done.notes,
        request_index,
    };
    let index_job = documents::complete_ingest(pool, job, document, &completion, &context.limits)
        .await?
        .ok_or(JobError::LeaseLost)?;
    if let Some(index_job) = index_job {
        context.wake(index_job).await;
    }
    info!(
        pages = done.pages,
        chunks = done.chunks,
        version = done.version,
        "document ingested"
    );
    report.emit(name::DONE, &done).await;
    Ok(())
}
