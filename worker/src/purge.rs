//! The job that deletes files that no row names any more.

use lectern_shared::store::{jobs::Claimed, removals};

use crate::{context::Context, error::JobError};

pub(crate) async fn purge(context: &Context, job: &Claimed) -> Result<(), JobError> {
    for blob_key in removals::of(&context.pool, job.subject).await? {
        context.blobs.delete(&blob_key).await?;
        removals::done(&context.pool, &blob_key).await?;
    }
    Ok(())
}
