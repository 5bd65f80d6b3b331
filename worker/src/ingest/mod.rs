//! An upload becomes searchable: parse, read scans, chunk, embed, store, and make the new version visible at once.

mod read;

pub mod parse;

pub mod ocr;

pub mod chunk;

mod embed;

use lectern_shared::{
    events::{name, payload::IngestDone},
    failure::Failure,
    metrics,
    store::{
        chunks::{self, NewPage},
        collections::{self, CollectionSettings},
        documents::{self, Completion, ForIngest},
        index,
        jobs::Claimed,
        lexicon::{self, ChunkText},
    },
};
use tracing::info;

use self::{
    chunk::{Chunk, Chunker},
    parse::ParsedDocument,
};
pub(crate) use self::{
    chunk::{HEADINGS_SEPARATOR, collapse, sentences},
    read::announce,
};
use crate::{
    context::Context,
    error::JobError,
    lexical::{self, Language},
    report::Report,
};

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
    let parsed = read::parse(context, &document, &file, report).await?;
    let parsed = read::read_scans(context, &document, &collection, &file, parsed, report).await?;
    ::metrics::counter!(metrics::PAGES).increment(parsed.pages.len() as u64);

    report.stage("chunking").await;
    let (parsed, chunks) = chunk(context, &collection, parsed).await?;

    report.stage("embedding").await;
    store_pages(context, job, &document, &parsed).await?;
    embed::embed_and_store(context, job, &document, &chunks, report).await?;
    let language = store_words(context, job, &document, &chunks).await?;

    complete(
        context,
        job,
        &document,
        &parsed,
        chunks.len(),
        language,
        report,
    )
    .await
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

/// Writes what a search by words needs, and says what most of the document is written in.
async fn store_words(
    context: &Context,
    job: &Claimed,
    document: &ForIngest,
    chunks: &[Chunk],
) -> Result<Option<Language>, JobError> {
    if chunks.is_empty() {
        return Ok(None);
    }
    let texts: Vec<ChunkText> = chunks
        .iter()
        .map(|chunk| ChunkText {
            heading: chunk.heading.clone(),
            text: chunk.text.clone(),
        })
        .collect();
    let usual = lexical::upkeep::usual_language(&context.pool, document.collection).await?;
    let (segment, language) = tokio::task::spawn_blocking(move || lexical::index(&texts, usual))
        .await
        .map_err(JobError::transient)?;
    if !lexicon::insert(&context.pool, job, document, &segment).await? {
        return Err(JobError::LeaseLost);
    }
    Ok(language)
}

async fn complete(
    context: &Context,
    job: &Claimed,
    document: &ForIngest,
    parsed: &ParsedDocument,
    chunk_count: usize,
    language: Option<Language>,
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
        language: language.map(Language::code),
        request_index,
        model: context.model,
    };
    let upkeep = documents::complete_ingest(pool, job, document, &completion, &context.limits)
        .await?
        .ok_or(JobError::LeaseLost)?;
    for job in upkeep {
        context.wake(job).await;
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
