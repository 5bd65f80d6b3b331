//! The uploaded originals: in a local folder, or in any S3-compatible store when several machines must read them.

use std::{fs::File, io::Seek, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{Stream, TryStreamExt};
use object_store::{
    GetResultPayload, ObjectStore, ObjectStoreExt, WriteMultipart, aws::AmazonS3Builder,
    local::LocalFileSystem, path::Path, prefix::PrefixStore,
};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::{config::StoreSettings, ids::TenantId};

/// Parts of an upload: S3's smallest, and so the memory that one upload takes, twice over.
const PART_BYTES: usize = 5 << 20;

/// A blob store.
#[derive(Clone, Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
}

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("there is no such file in the blob store")]
    Missing,
    #[error("the blob store failed")]
    Store(#[source] object_store::Error),
    #[error("the blob folder or a temporary file failed")]
    Io(#[from] std::io::Error),
}

impl From<object_store::Error> for BlobError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::Missing,
            other => Self::Store(other),
        }
    }
}

/// Where a new file goes: by ids alone, so that no name that people gave ever becomes a path.
///
/// Of its own, not the document's: whose version a file becomes is known once all of it has been hashed, and no two
/// uploads ever write to one place. The rows name it; what none names any more is in `removals`.
#[must_use]
pub fn fresh_key(tenant: TenantId) -> String {
    format!("{tenant}/{}", Uuid::now_v7())
}

impl Blobs {
    /// Opens the configured store; a local folder is made when it is missing.
    ///
    /// # Errors
    /// When the folder can't be made, or the URL is not understood.
    pub fn open(settings: &StoreSettings) -> Result<Self, BlobError> {
        if let Some(folder) = settings.blob_dir() {
            std::fs::create_dir_all(&folder)?;
            let store = LocalFileSystem::new_with_prefix(folder)?.with_automatic_cleanup(true);
            return Ok(Self {
                store: Arc::new(store),
            });
        }
        let store = AmazonS3Builder::from_env()
            .with_url(&settings.blobs)
            .build()?;
        let prefix = settings.blobs.splitn(4, '/').nth(3).unwrap_or_default();
        Ok(Self {
            store: Arc::new(PrefixStore::new(store, Path::from(prefix))),
        })
    }

    /// Begins to write a blob. Nothing is visible before [`Writer::finish`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn write(&self, key: &str) -> Result<Writer, BlobError> {
        let upload = self.store.put_multipart(&Path::from(key)).await?;
        Ok(Writer {
            upload: WriteMultipart::new_with_chunk_size(upload, PART_BYTES),
        })
    }

    /// A blob as an open file with its size: the file itself from a local folder, an unnamed copy from S3.
    ///
    /// # Errors
    /// [`BlobError::Missing`], or when the store fails.
    pub async fn open_file(&self, key: &str) -> Result<(File, u64), BlobError> {
        let blob = self.store.get(&Path::from(key)).await?;
        let bytes = blob.meta.size;
        match blob.payload {
            GetResultPayload::File(file, _) => Ok((file, bytes)),
            GetResultPayload::Stream(mut stream) => {
                let mut copy = tokio::fs::File::from_std(tempfile::tempfile()?);
                while let Some(part) = stream.try_next().await? {
                    copy.write_all(&part).await?;
                }
                copy.flush().await?;
                let mut copy = copy.into_std().await;
                copy.rewind()?;
                Ok((copy, bytes))
            }
        }
    }

    /// A blob as a stream of bytes.
    ///
    /// # Errors
    /// [`BlobError::Missing`], or when the store fails.
    pub async fn stream(
        &self,
        key: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, object_store::Error>> + Send + 'static, BlobError>
    {
        Ok(self.store.get(&Path::from(key)).await?.into_stream())
    }

    /// Whether there is such a blob.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn exists(&self, key: &str) -> Result<bool, BlobError> {
        match self.store.head(&Path::from(key)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The keys of all blobs that were written before that time, in no order.
    pub fn written_before(
        &self,
        time: DateTime<Utc>,
    ) -> impl Stream<Item = Result<String, BlobError>> + Send + 'static {
        self.store
            .list(None)
            .map_err(BlobError::from)
            .try_filter_map(move |blob| async move {
                Ok((blob.last_modified < time).then(|| blob.location.to_string()))
            })
    }

    /// Deletes a blob; one that is gone already is fine.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, key: &str) -> Result<(), BlobError> {
        match self.store.delete(&Path::from(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A blob that is being written. Dropping it unfinished leaves nothing visible.
pub struct Writer {
    upload: WriteMultipart,
}

impl Writer {
    /// Takes the next bytes; waits while two parts are on their way already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.upload.wait_for_capacity(2).await?;
        self.upload.write(bytes);
        Ok(())
    }

    /// Makes the blob visible.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn finish(self) -> Result<(), BlobError> {
        self.upload.finish().await?;
        Ok(())
    }

    /// Throws away what was written.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn abort(self) -> Result<(), BlobError> {
        Ok(self.upload.abort().await?)
    }
}
