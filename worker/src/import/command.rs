//! `lectern-worker import`: files, folders and zips on this machine's own disk, each file as if it were uploaded.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use lectern_shared::{
    blobs::Blobs,
    events::Publisher,
    ids::{CollectionId, DEFAULT_TENANT},
    jobs::{self, Dispatcher, Names},
    names,
    store::{
        self, StoreError, collections,
        imports::Skip,
        jobs::{Enqueued, Limits},
        reach::Reach,
        versions::{self, Added, Facts, Made, Place},
    },
};
use redis::aio::ConnectionManager;
use sqlx::PgPool;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use walkdir::WalkDir;

use super::{
    Unpacked, archive, discard,
    intake::{Intake, Taken},
    next,
};
use crate::config::ImportCommand;

/// How long to wait when the queue is full before trying again.
const QUEUE_FULL_PAUSE: Duration = Duration::from_secs(1);

/// Bytes that are read of a file at a time.
const READ_BYTES: usize = 256 << 10;

/// Imports what `command` names and tells of each file on the standard output.
///
/// # Errors
/// When a path can't be read, there is no such collection, or a store fails. What was imported before stays.
pub async fn run(command: ImportCommand, stop: CancellationToken) -> Result<()> {
    let pool = store::connect(&command.store)?;
    crate::wait_for_schema(&pool, &stop).await?;
    let collection = collections::by_name(&pool, &Reach::all(DEFAULT_TENANT), &command.collection)
        .await?
        .with_context(|| {
            format!(
                "there is no collection {}: make it with POST /api/v1/collections",
                command.collection
            )
        })?;
    let metadata = match &command.metadata {
        Some(raw) => {
            let value: serde_json::Value =
                serde_json::from_str(raw).context("--metadata is not JSON")?;
            if !value.is_object() {
                bail!("--metadata is not a JSON object");
            }
            Some(value)
        }
        None => None,
    };
    let redis = jobs::connect(&command.store.redis_url)
        .await
        .context("Redis can't be reached")?;
    let mut importer = Importer {
        blobs: Blobs::open(&command.store).context("the blob store can't be opened")?,
        dispatcher: Dispatcher::new(redis.clone(), Names::new(&command.store.redis_prefix)),
        limits: (&command.store).into(),
        facts: Facts {
            metadata,
            ..Facts::default()
        },
        pool,
        redis,
        collection,
        told: BTreeMap::new(),
        command: &command,
    };
    for path in &command.paths {
        tokio::select! {
            imported = importer.path(path) => imported.with_context(|| path.display().to_string())?,
            () = stop.cancelled() => bail!("stopped: what was imported stays, and the rest is imported by the same command"),
        }
    }
    let told: Vec<_> = importer
        .told
        .iter()
        .map(|(outcome, files)| format!("{files} {outcome}"))
        .collect();
    say(&format!("done: {}", told.join(", ")));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its progress is this command's output")]
fn say(line: &str) {
    println!("{line}");
}

struct Importer<'a> {
    pool: PgPool,
    redis: ConnectionManager,
    blobs: Blobs,
    dispatcher: Dispatcher,
    limits: Limits,
    collection: CollectionId,
    facts: Facts,
    command: &'a ImportCommand,
    /// How many files have become what.
    told: BTreeMap<&'static str, u64>,
}

impl Importer<'_> {
    async fn path(&mut self, path: &Path) -> Result<()> {
        if !path.is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return self.file(path, &name).await;
        }
        // In order of names, so that the same command takes the same way again.
        for entry in WalkDir::new(path).sort_by_file_name() {
            let entry = entry?;
            if entry.file_type().is_dir() {
                continue;
            }
            let below = entry.path().strip_prefix(path)?.to_string_lossy();
            let Some(name) = names::path_name(&below).filter(|name| !archive::is_litter(name))
            else {
                continue;
            };
            if entry.file_type().is_file() {
                self.file(entry.path(), &name).await?;
            } else {
                self.tell(&name, Err(Skip::NotAFile));
            }
        }
        Ok(())
    }

    async fn file(&mut self, path: &Path, name: &str) -> Result<()> {
        if is_zip(path).await? {
            return self.zip(path).await;
        }
        let blobs = self.blobs.clone();
        let mut file = tokio::fs::File::open(path).await?;
        let mut intake = Intake::new(&blobs, DEFAULT_TENANT, name);
        let mut buffer = vec![0; READ_BYTES];
        let mut bytes = 0;
        let taken = loop {
            let length = file.read(&mut buffer).await?;
            if length == 0 {
                break intake.finish().await?;
            }
            bytes += length as u64;
            if bytes > self.command.upload_bytes_max {
                intake.abort().await?;
                break Err(Skip::TooLarge);
            }
            intake.take(&buffer[..length]).await?;
        };
        self.keep(name, taken).await
    }

    async fn zip(&mut self, path: &Path) -> Result<()> {
        let limits = archive::Limits {
            entries_max: self.command.import.import_entries_max,
            bytes_max: self.command.import.import_unpacked_bytes_max,
            entry_bytes_max: self.command.upload_bytes_max,
        };
        let blobs = self.blobs.clone();
        let mut pieces = archive::read(File::open(path)?, limits, 0);
        while let Some(unpacked) = next(&mut pieces, &blobs, DEFAULT_TENANT).await? {
            if let Unpacked::File { name, file, .. } = unpacked {
                self.keep(&name, file).await?;
            }
        }
        Ok(())
    }

    async fn keep(&mut self, name: &str, taken: Result<Taken, Skip>) -> Result<()> {
        let taken = match taken {
            Ok(taken) => taken,
            Err(reason) => {
                self.tell(name, Err(reason));
                return Ok(());
            }
        };
        let place = Place {
            collection: self.collection,
            name,
            force: self.command.force,
        };
        let file = taken.file();
        let added = loop {
            match versions::add(&self.pool, &place, &file, &self.facts, None, &self.limits).await {
                Err(StoreError::QueueFull) => tokio::time::sleep(QUEUE_FULL_PAUSE).await,
                Err(StoreError::QuotaExceeded(_)) => {
                    discard(&self.blobs, &taken).await;
                    self.tell(name, Err(Skip::QuotaExceeded));
                    return Ok(());
                }
                added => break added?,
            }
        };
        let outcome = match added {
            Added::Duplicate(_) => {
                discard(&self.blobs, &taken).await;
                "duplicate"
            }
            Added::Made(made) => {
                let outcome = made.outcome();
                self.begin(made).await;
                outcome
            }
        };
        self.tell(name, Ok(outcome));
        Ok(())
    }

    async fn begin(&self, made: Made) {
        for job in made.superseded {
            let _ = self.dispatcher.hint_cancel(job).await;
        }
        if made.version > 1 {
            let redis = self.redis.clone();
            let _ = Publisher::forget(redis, &self.command.store, made.document.0).await;
        }
        let Enqueued { id, queue, wake } = made.job;
        // What isn't woken now is by the sweep.
        if wake && self.dispatcher.wake(queue, &[id]).await.is_err() {
            let _ = store::jobs::mark_undispatched(&self.pool, &[id]).await;
        }
    }

    fn tell(&mut self, name: &str, outcome: Result<&'static str, Skip>) {
        match outcome {
            Ok(outcome) => {
                *self.told.entry(outcome).or_default() += 1;
                say(&format!("{outcome}: {name}"));
            }
            Err(reason) => {
                *self.told.entry("skipped").or_default() += 1;
                say(&format!("skipped: {name}: {}", reason.message()));
            }
        }
    }
}

/// By name and content: office files are zips, too.
async fn is_zip(path: &Path) -> Result<bool> {
    if !path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
    {
        return Ok(false);
    }
    let path: PathBuf = path.to_owned();
    let begins = move || -> std::io::Result<bool> {
        let mut head = [0; 4];
        let length = File::open(path)?.take(4).read(&mut head)?;
        Ok(head[..length].starts_with(b"PK"))
    };
    tokio::task::spawn_blocking(begins)
        .await
        .map_err(|_| anyhow!("reading has panicked"))?
        .map_err(Into::into)
}
