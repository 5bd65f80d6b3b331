//! `lectern-worker doctor`: finds what should not be, says what it would do about it, and does it when asked to.
//!
//! Nothing that it looks for should ever be there: it is for what a crash between two stores, a restored backup or
//! somebody's hands in the database have left.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use chrono::Utc;
use futures::TryStreamExt;
use lectern_shared::{
    blobs::Blobs,
    ids::{DEFAULT_TENANT, DocumentId, TenantId},
    store::{
        self,
        doctor::{self, NamedFile},
        index,
        jobs::{self, Limits},
    },
};
use sqlx::PgPool;
use uuid::Uuid;

use crate::config::DoctorCommand;

/// Files that are asked about at a time.
const BATCH: usize = 500;

/// After so long without a lease some sweep would have taken a job back.
const LEASE_GRACE: Duration = Duration::from_secs(60);

/// Looks everywhere, and mends if the command says so. Returns how much was found.
///
/// # Errors
/// When a store can't be reached.
pub async fn run(command: DoctorCommand) -> Result<u64> {
    let pool = store::connect(&command.store)?;
    anyhow::ensure!(
        store::is_migrated(&pool).await,
        "the database can't be reached, or its schema is not up to date: run lectern-api migrate"
    );
    let mut visit = Visit {
        blobs: Blobs::open(&command.store).context("the blob store can't be opened")?,
        limits: (&command.store).into(),
        pool,
        repair: command.repair,
        grace: Duration::from_secs(command.doctor.doctor_grace_seconds.into()),
        found: 0,
    };
    visit.files_without_rows().await?;
    visit.rows_without_files().await?;
    visit.removals_without_job().await?;
    visit.strays().await?;
    visit.jobs_without_subject().await?;
    visit.jobs_with_old_lease().await?;
    visit.documents_without_job().await?;
    visit.index().await?;
    let found = visit.found;
    say(&match (found, visit.repair) {
        (0, _) => "nothing found".to_owned(),
        (_, true) => format!("{found} found and mended"),
        (_, false) => format!("{found} found; run again with --repair to mend them"),
    });
    Ok(found)
}

#[expect(
    clippy::print_stdout,
    reason = "its findings are this command's output"
)]
fn say(line: &str) {
    println!("{line}");
}

struct Visit {
    pool: PgPool,
    blobs: Blobs,
    limits: Limits,
    repair: bool,
    grace: Duration,
    found: u64,
}

impl Visit {
    fn find(&mut self, what: &str, remedy: &str) {
        self.found += 1;
        let verb = if self.repair { "" } else { "would be " };
        say(&format!("{what}: {verb}{remedy}"));
    }

    /// As of uploads that broke off between the blob store and the database. Younger ones may be on their way.
    async fn files_without_rows(&mut self) -> Result<()> {
        let before = Utc::now() - self.grace;
        let mut batches = Box::pin(self.blobs.written_before(before).try_chunks(BATCH));
        while let Some(batch) = batches.try_next().await? {
            let named = doctor::named_files(&self.pool, &batch).await?;
            let mut orphans: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
            for key in batch.into_iter().filter(|key| !named.contains(key)) {
                self.find(&format!("file without a row: {key}"), "deleted");
                // What we wrote begins with its tenant.
                let tenant = key.split('/').next().and_then(|first| first.parse().ok());
                let tenant = tenant.unwrap_or(DEFAULT_TENANT.0);
                orphans.entry(tenant).or_default().push(key);
            }
            if self.repair {
                for (tenant, keys) in orphans {
                    doctor::remove_files(&self.pool, TenantId(tenant), &keys).await?;
                }
            }
        }
        Ok(())
    }

    async fn rows_without_files(&mut self) -> Result<()> {
        let mut after = (DocumentId(Uuid::nil()), 0);
        loop {
            let files = doctor::files(&self.pool, after, BATCH as i64).await?;
            let Some(last) = files.last() else {
                return Ok(());
            };
            after = (last.document, last.number);
            for file in &files {
                self.row(file).await?;
            }
        }
    }

    async fn row(&mut self, file: &NamedFile) -> Result<()> {
        if self.blobs.exists(&file.blob_key).await?
            || !doctor::still_names(&self.pool, file).await?
        {
            return Ok(());
        }
        let NamedFile {
            document, number, ..
        } = file;
        self.find(
            &format!("document without its file: {document}, version {number}"),
            "told so, to be uploaded again",
        );
        if self.repair {
            doctor::tell_missing(&self.pool, *document).await?;
        }
        Ok(())
    }

    async fn removals_without_job(&mut self) -> Result<()> {
        let mut waiting: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
        for (tenant, key) in doctor::removals_without_job(&self.pool).await? {
            self.find(
                &format!("file to be deleted, without a job: {key}"),
                "deleted",
            );
            waiting.entry(tenant.0).or_default().push(key);
        }
        if self.repair {
            for (tenant, keys) in waiting {
                doctor::remove_files(&self.pool, TenantId(tenant), &keys).await?;
            }
        }
        Ok(())
    }

    async fn strays(&mut self) -> Result<()> {
        let strays = doctor::strays(&self.pool).await?;
        for (rows, what) in [(strays.chunks, "chunks"), (strays.pages, "pages")] {
            if rows > 0 {
                self.find(
                    &format!("{what} of versions that nobody sees or makes: {rows}"),
                    "deleted",
                );
            }
        }
        if self.repair {
            doctor::drop_strays(&self.pool).await?;
        }
        Ok(())
    }

    async fn jobs_without_subject(&mut self) -> Result<()> {
        let stuck = doctor::jobs_without_subject(&self.pool).await?;
        for job in &stuck {
            let what = format!(
                "job {} ({}, {}) of what is gone",
                job.id, job.kind, job.state
            );
            self.find(&what, "cancelled");
        }
        if self.repair {
            let ids: Vec<_> = stuck.iter().map(|job| job.id).collect();
            doctor::cancel_jobs(&self.pool, &ids).await?;
        }
        Ok(())
    }

    async fn jobs_with_old_lease(&mut self) -> Result<()> {
        let stuck = doctor::jobs_with_old_lease(&self.pool, LEASE_GRACE).await?;
        for job in &stuck {
            self.find(
                &format!("job {} ({}) whose worker is long dead", job.id, job.kind),
                "taken back (is there no worker to do so?)",
            );
        }
        if self.repair && !stuck.is_empty() {
            jobs::recover_expired(&self.pool).await?;
        }
        Ok(())
    }

    async fn documents_without_job(&mut self) -> Result<()> {
        for waiting in doctor::documents_without_job(&self.pool).await? {
            let what = format!("document {} is {} without a job", waiting.id, waiting.state);
            self.find(&what, "enqueued");
            if self.repair {
                doctor::enqueue_document(&self.pool, DocumentId(waiting.id), &self.limits).await?;
            }
        }
        Ok(())
    }

    async fn index(&mut self) -> Result<()> {
        // One that a build is at is invalid, too, until it is done.
        if index::is_invalid(&self.pool).await? && !index::is_requested(&self.pool).await? {
            self.find("the vector index is invalid", "built anew");
            if self.repair {
                index::ask(&self.pool, &self.limits).await?;
            }
        }
        Ok(())
    }
}
