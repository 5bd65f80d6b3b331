//! The job that builds the vector index.

use anyhow::anyhow;
use lectern_shared::store::index::{self, Build};
use tracing::info;

use crate::{context::Context, error::JobError};

pub(crate) async fn build(context: &Context) -> Result<(), JobError> {
    match index::build(&context.pool, context.settings.worker.index_memory_mib).await? {
        Build::Built => info!("vector index built"),
        Build::NotNeeded => {}
        // If the other build fails, this job is the one that notices.
        Build::Busy => {
            return Err(JobError::transient(anyhow!(
                "another worker is building the index"
            )));
        }
    }
    Ok(())
}
