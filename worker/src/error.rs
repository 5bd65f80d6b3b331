//! How a job can end otherwise than well.

use std::time::Duration;

use lectern_shared::{blobs::BlobError, failure::Failure, store::StoreError};

use crate::{context::RETIRED_PAUSE, models::EmbedError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// Trying again would end the same way; users see the reason.
    #[error("{failure}: {cause}")]
    Failed { failure: Failure, cause: String },
    /// Worth another try; `failure` is what users see when tries run out.
    #[error("{cause:#}")]
    Transient {
        failure: Failure,
        cause: anyhow::Error,
    },
    /// Can't go on now, through no fault of its own; worth another try that doesn't count.
    #[error("postponed")]
    Postponed(Duration),
    /// Somebody else has the job: say and write nothing more.
    #[error("the lease is lost")]
    LeaseLost,
}

impl JobError {
    pub(crate) fn failed(failure: Failure, cause: impl ToString) -> Self {
        Self::Failed {
            failure,
            cause: cause.to_string(),
        }
    }

    pub(crate) fn transient(cause: impl Into<anyhow::Error>) -> Self {
        Self::Transient {
            failure: Failure::Internal,
            cause: cause.into(),
        }
    }
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        match error {
            // The sweep notices as well and ends this worker.
            StoreError::ModelMismatch(_) => Self::Postponed(RETIRED_PAUSE),
            other => Self::transient(other),
        }
    }
}

impl From<EmbedError> for JobError {
    fn from(error: EmbedError) -> Self {
        Self::transient(error)
    }
}

impl From<BlobError> for JobError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Missing => Self::failed(Failure::FileMissing, error),
            other => Self::transient(other),
        }
    }
}
