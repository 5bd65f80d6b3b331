//! Many files at once: those of a zip, by a job, and those on the server's own disk, by a command.
//!
//! Each goes the way of an upload: the same duplicates, the same versions.

mod archive;
mod command;
mod intake;

use std::time::Duration;

use lectern_shared::{
    blobs::{BlobError, Blobs},
    failure::Failure,
    ids::TenantId,
    store::{
        StoreError,
        imports::{self, Entry, ForImport, Skip},
        jobs::Claimed,
        versions::Added,
    },
};
use tokio::sync::mpsc;
use tracing::{info, warn};

pub use self::command::run;
use self::{
    archive::{Limits, Piece},
    intake::{Intake, Taken},
};
use crate::{context::Context, error::JobError, report::Report};

/// When the tenant's queue is full, for so long: other jobs get the place meanwhile.
const QUEUE_FULL_PAUSE: Duration = Duration::from_secs(5);

pub(crate) async fn import(
    context: &Context,
    job: &Claimed,
    report: &mut Report,
) -> Result<(), JobError> {
    let Some(import) = imports::begin(&context.pool, job).await? else {
        return Ok(());
    };
    report.stage("importing").await;
    let (zip, _) = context.blobs.open_file(&import.blob_key).await?;
    let settings = &context.settings.import;
    let limits = Limits {
        entries_max: settings.import_entries_max,
        bytes_max: settings.import_unpacked_bytes_max,
        entry_bytes_max: import.entry_bytes_max.cast_unsigned(),
    };
    let mut pieces = archive::read(zip, limits, import.next_ordinal.cast_unsigned());
    let mut total = 0;
    while let Some(unpacked) = next(&mut pieces, &context.blobs, import.tenant).await? {
        match unpacked {
            Unpacked::Entries(entries) => {
                total = entries;
                imports::note_entries(&context.pool, import.id, entries.cast_signed()).await?;
            }
            Unpacked::File {
                ordinal,
                name,
                file,
            } => {
                let entry = Entry {
                    ordinal: ordinal.cast_signed(),
                    name: &name,
                };
                keep(context, job, &import, entry, file).await?;
                report.progress(ordinal + 1, total).await;
            }
        }
    }
    if !imports::complete(&context.pool, job).await? {
        return Err(JobError::LeaseLost);
    }
    info!(entries = total, "import done");
    Ok(())
}

/// Makes a document of a file, or notes why it is none.
async fn keep(
    context: &Context,
    job: &Claimed,
    import: &ForImport,
    entry: Entry<'_>,
    file: Result<Taken, Skip>,
) -> Result<(), JobError> {
    let taken = match file {
        Ok(taken) => taken,
        Err(reason) => {
            return imports::skip(&context.pool, job, import, entry, reason.code())
                .await?
                .then_some(())
                .ok_or(JobError::LeaseLost);
        }
    };
    let file = taken.file();
    let added = imports::add(&context.pool, job, import, entry, &file, &context.limits).await;
    match added {
        Ok(Some(Added::Made(made))) => context.begin(made).await,
        Ok(Some(Added::Duplicate(_))) => discard(&context.blobs, &taken).await,
        Ok(None) => {
            discard(&context.blobs, &taken).await;
            return Err(JobError::LeaseLost);
        }
        Err(StoreError::QueueFull) => {
            discard(&context.blobs, &taken).await;
            return Err(JobError::Postponed(QUEUE_FULL_PAUSE));
        }
        Err(StoreError::QuotaExceeded(_)) => {
            discard(&context.blobs, &taken).await;
            let code = Skip::QuotaExceeded.code();
            return imports::skip(&context.pool, job, import, entry, code)
                .await?
                .then_some(())
                .ok_or(JobError::LeaseLost);
        }
        // The rows may be written for all we know: the file stays.
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn discard(blobs: &Blobs, taken: &Taken) {
    if let Err(error) = blobs.delete(&taken.blob_key).await {
        warn!(%error, "file of an import left behind");
    }
}

/// What comes out of a zip, its files in the blob store.
enum Unpacked {
    Entries(u32),
    File {
        ordinal: u32,
        name: String,
        file: Result<Taken, Skip>,
    },
}

/// The next of a zip; `None` at its end.
async fn next(
    pieces: &mut mpsc::Receiver<Piece>,
    blobs: &Blobs,
    tenant: TenantId,
) -> Result<Option<Unpacked>, UnpackError> {
    let (ordinal, name) = match pieces.recv().await {
        Some(Piece::Finished) => return Ok(None),
        Some(Piece::Entries(entries)) => return Ok(Some(Unpacked::Entries(entries))),
        Some(Piece::Begin { ordinal, name }) => (ordinal, name),
        Some(Piece::Failed { failure, cause }) => {
            return Err(UnpackError::Failed { failure, cause });
        }
        // It has panicked, or we have.
        None | Some(Piece::Bytes(_) | Piece::End | Piece::Skip(_)) => {
            return Err(UnpackError::Broken);
        }
    };
    let mut intake = Intake::new(blobs, tenant, &name);
    let file = loop {
        match pieces.recv().await {
            Some(Piece::Bytes(bytes)) => intake.take(&bytes).await?,
            Some(Piece::End) => break intake.finish().await?,
            Some(Piece::Skip(reason)) => {
                intake.abort().await?;
                break Err(reason);
            }
            Some(Piece::Failed { failure, cause }) => {
                return Err(UnpackError::Failed { failure, cause });
            }
            Some(Piece::Entries(_) | Piece::Begin { .. } | Piece::Finished) | None => {
                return Err(UnpackError::Broken);
            }
        }
    };
    Ok(Some(Unpacked::File {
        ordinal,
        name,
        file,
    }))
}

#[derive(Debug, thiserror::Error)]
enum UnpackError {
    #[error("{failure}: {cause}")]
    Failed { failure: Failure, cause: String },
    #[error("the thread that unpacks has died")]
    Broken,
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl From<UnpackError> for JobError {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::Failed { failure, cause } => Self::failed(failure, cause),
            UnpackError::Blob(error) => Self::transient(error),
            broken @ UnpackError::Broken => Self::transient(broken),
        }
    }
}
