//! The job that deletes the file of a deleted document.

use lectern_shared::{blobs, ids::DocumentId, store::jobs::Claimed};

use crate::{context::Context, error::JobError};

pub(crate) async fn purge(context: &Context, job: &Claimed) -> Result<(), JobError> {
    context
        .blobs
        .delete(&blobs::key(job.tenant, DocumentId(job.subject)))
        .await?;
    Ok(())
}
