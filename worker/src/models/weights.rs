//! Reads tensors out of a safetensors file without holding the file in memory.
//!
//! Layout: a little-endian u64 with the header's length, the header (JSON: name to type, shape and
//! byte range), the tensors one after the other. Source: "Format" in the README of the safetensors
//! crate.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::Metadata;
use sha2::{Digest, Sha256};

use super::EmbedError;

/// The header of ours is 10 KB; a cap keeps a file of another kind from claiming gigabytes.
const HEADER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The index of a safetensors file, whose tensors are read on demand.
#[derive(Debug)]
pub(super) struct Weights {
    /// Resolved: ONNX Runtime refuses external data behind a link that leads out of the model's
    /// folder.
    path: PathBuf,
    /// Where the first tensor starts.
    tensors_offset: u64,
    header: Metadata,
}

/// Where a tensor's bytes are in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Weights {
    pub(super) fn open(path: &Path) -> Result<Self, EmbedError> {
        let path = path.canonicalize().map_err(EmbedError::read(path))?;
        let mut file = File::open(&path).map_err(EmbedError::read(&path))?;
        let file_bytes = file.metadata().map_err(EmbedError::read(&path))?.len();

        let mut header_bytes = [0; 8];
        file.read_exact(&mut header_bytes)
            .map_err(EmbedError::read(&path))?;
        let header_bytes = u64::from_le_bytes(header_bytes);
        if header_bytes > HEADER_BYTES_MAX.min(file_bytes) {
            return Err(EmbedError::malformed(
                &path,
                "its header is longer than the file or 16 MiB",
            ));
        }
        let header = BufReader::new(file.take(header_bytes));
        let header: Metadata =
            serde_json::from_reader(header).map_err(|error| EmbedError::malformed(&path, error))?;

        let tensors_offset = 8 + header_bytes;
        if tensors_offset + header.data_len() as u64 != file_bytes {
            return Err(EmbedError::malformed(
                &path,
                "its length differs from what its header says",
            ));
        }
        Ok(Self {
            path,
            tensors_offset,
            header,
        })
    }

    /// The file's name and the folder that it is in, as the graph refers to them.
    pub(super) fn file_name(&self) -> Cow<'_, str> {
        self.path.file_name().unwrap_or_default().to_string_lossy()
    }

    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// The place of a tensor of 32-bit floats with this name and shape.
    pub(super) fn place(&self, name: &str, shape: &[usize]) -> Result<Place, EmbedError> {
        let Some(tensor) = self.header.info(name) else {
            return Err(EmbedError::malformed(
                &self.path,
                format!("it has no tensor {name}"),
            ));
        };
        if tensor.dtype != Dtype::F32 || tensor.shape != shape {
            let found = format!(
                "{name} is {:?} {:?}, not F32 {shape:?}",
                tensor.dtype, tensor.shape
            );
            return Err(EmbedError::malformed(&self.path, found));
        }
        let (start, end) = tensor.data_offsets;
        Ok(Place {
            offset: self.tensors_offset + start as u64,
            length: (end - start) as u64,
        })
    }

    /// Hands the rows of a matrix `[rows, columns]` (for a vector, its one row) to `each`, one at a
    /// time: the word embeddings alone would otherwise take 46 MB.
    pub(super) fn for_each_row(
        &self,
        name: &str,
        shape: &[usize],
        mut each: impl FnMut(&[f32]),
    ) -> Result<(), EmbedError> {
        let place = self.place(name, shape)?;
        let columns = shape.last().copied().unwrap_or(1);
        let mut file = File::open(&self.path).map_err(EmbedError::read(&self.path))?;
        file.seek(SeekFrom::Start(place.offset))
            .map_err(EmbedError::read(&self.path))?;
        let mut file = BufReader::with_capacity(1 << 20, file.take(place.length));

        let mut bytes = vec![0; columns * 4];
        let mut row = Vec::with_capacity(columns);
        for _ in 0..place.length / (columns as u64 * 4) {
            file.read_exact(&mut bytes)
                .map_err(EmbedError::read(&self.path))?;
            row.clear();
            row.extend(bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes));
            each(&row);
        }
        Ok(())
    }

    /// All numbers of a small tensor, in the file's order.
    pub(super) fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EmbedError> {
        let mut numbers = Vec::with_capacity(shape.iter().product());
        self.for_each_row(name, shape, |row| numbers.extend_from_slice(row))?;
        Ok(numbers)
    }

    /// SHA-256 of the whole file, in hex.
    pub(super) fn sha256(&self) -> Result<String, EmbedError> {
        let mut file = File::open(&self.path).map_err(EmbedError::read(&self.path))?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file
                .read(&mut buffer)
                .map_err(EmbedError::read(&self.path))?
            {
                0 => return Ok(hex::encode(hasher.finalize())),
                length => hasher.update(&buffer[..length]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn two_by_two(folder: &Path) -> PathBuf {
        let bytes: Vec<u8> = [1.0_f32, 2.0, 3.0, -4.5]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect();
        let tensor = TensorView::new(Dtype::F32, vec![2, 2], &bytes).unwrap();
        let path = folder.join("model.safetensors");
        safetensors::serialize_to_file([("matrix", tensor)], None, &path).unwrap();
        path
    }

    #[test]
    fn a_tensor_is_read_row_by_row() {
        let folder = tempfile::tempdir().unwrap();
        let weights = Weights::open(&two_by_two(folder.path())).unwrap();
        let mut rows = Vec::new();
        weights
            .for_each_row("matrix", &[2, 2], |row| rows.push(row.to_vec()))
            .unwrap();
        assert_eq!(rows, [[1.0, 2.0], [3.0, -4.5]]);
        assert_eq!(weights.place("matrix", &[2, 2]).unwrap().length, 16);
    }

    #[test]
    fn a_tensor_of_another_shape_or_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let weights = Weights::open(&two_by_two(folder.path())).unwrap();
        let message = weights.place("matrix", &[4]).unwrap_err().to_string();
        assert!(
            message.contains("matrix is F32 [2, 2], not F32 [4]"),
            "{message}"
        );
        assert!(
            weights
                .place("vector", &[4])
                .unwrap_err()
                .to_string()
                .contains("no tensor vector")
        );
    }

    #[test]
    fn a_file_cut_short_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = two_by_two(folder.path());
        let length = std::fs::metadata(&path).unwrap().len();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(length - 1)
            .unwrap();
        assert!(matches!(
            Weights::open(&path),
            Err(EmbedError::Malformed { .. })
        ));
    }
}
