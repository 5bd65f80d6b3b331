//! A file on its way into the blob store, hashed and looked at as it goes by: what an upload is for the API.

use lectern_shared::{
    blobs::{self, BlobError, Blobs, Writer},
    ids::TenantId,
    media::{HEAD_BYTES, MediaType},
    store::{imports::Skip, versions::NewFile},
};
use sha2::{Digest, Sha256};

/// A file that comes piece by piece.
pub(crate) struct Intake<'a> {
    blobs: &'a Blobs,
    tenant: TenantId,
    name: &'a str,
    head: Vec<u8>,
    state: State,
    digest: Sha256,
    bytes: u64,
}

enum State {
    /// Not enough of it is there to tell what it is.
    Looking,
    Writing {
        writer: Writer,
        blob_key: String,
        media_type: MediaType,
    },
    Refused(Skip),
}

/// A file that is in the blob store.
pub(crate) struct Taken {
    tenant: TenantId,
    pub(crate) blob_key: String,
    media_type: MediaType,
    bytes: u64,
    sha256: Vec<u8>,
}

impl Taken {
    pub(crate) fn file(&self) -> NewFile<'_> {
        NewFile {
            tenant: self.tenant,
            media_type: self.media_type.mime(),
            bytes: self.bytes.cast_signed(),
            sha256: &self.sha256,
            blob_key: &self.blob_key,
        }
    }
}

impl<'a> Intake<'a> {
    pub(crate) fn new(blobs: &'a Blobs, tenant: TenantId, name: &'a str) -> Self {
        Self {
            blobs,
            tenant,
            name,
            head: Vec::new(),
            state: State::Looking,
            digest: Sha256::new(),
            bytes: 0,
        }
    }

    /// Takes the next bytes; those of a file that is refused are let go.
    pub(crate) async fn take(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.bytes += bytes.len() as u64;
        match &mut self.state {
            State::Looking => {
                self.head.extend_from_slice(bytes);
                if self.head.len() >= HEAD_BYTES {
                    self.look().await?;
                }
            }
            State::Writing { writer, .. } => {
                self.digest.update(bytes);
                writer.write(bytes).await?;
            }
            State::Refused(_) => {}
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<(), BlobError> {
        let head = std::mem::take(&mut self.head);
        let shown = &head[..head.len().min(HEAD_BYTES)];
        self.state = match MediaType::detect(shown, self.name) {
            _ if head.is_empty() => State::Refused(Skip::Empty),
            None => State::Refused(Skip::UnsupportedType),
            Some(media_type) => {
                let blob_key = blobs::fresh_key(self.tenant);
                let mut writer = self.blobs.write(&blob_key).await?;
                self.digest.update(&head);
                writer.write(&head).await?;
                State::Writing {
                    writer,
                    blob_key,
                    media_type,
                }
            }
        };
        Ok(())
    }

    /// The file, or why it is none that can be read.
    pub(crate) async fn finish(mut self) -> Result<Result<Taken, Skip>, BlobError> {
        if matches!(self.state, State::Looking) {
            self.look().await?;
        }
        match self.state {
            State::Writing {
                writer,
                blob_key,
                media_type,
            } => {
                writer.finish().await?;
                Ok(Ok(Taken {
                    tenant: self.tenant,
                    blob_key,
                    media_type,
                    bytes: self.bytes,
                    sha256: self.digest.finalize().to_vec(),
                }))
            }
            State::Refused(reason) => Ok(Err(reason)),
            State::Looking => Ok(Err(Skip::Empty)),
        }
    }

    /// Throws away what has come.
    pub(crate) async fn abort(self) -> Result<(), BlobError> {
        match self.state {
            State::Writing { writer, .. } => writer.abort().await,
            State::Looking | State::Refused(_) => Ok(()),
        }
    }
}
