//! Reads tensors out of a safetensors file without holding the file in memory.
//!
//! Layout: a little-endian u64 with the header's length, the header (JSON: name to type, shape and
//! byte range), the tensors one after the other. Source: "Format" in the README of the safetensors
//! crate.
//!
//! Numbers are 32-bit floats or 16-bit ones (IEEE half precision), which become 32 bits as they are read. The table of
//! words may be 8-bit integers with scales in a tensor of their own.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::f16;
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use sha2::{Digest, Sha256};

use super::EmbedError;

/// The header of ours is 10 KB; a cap keeps a file of another kind from claiming gigabytes.
const HEADER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What the names of an encoder's tensors begin with when it was saved as a part of a larger model.
const PREFIXES: [&str; 3] = ["", "bert.", "roberta."];

/// A tensor that every encoder has.
const SURELY_THERE: &str = "embeddings.word_embeddings.weight";

/// The index of a safetensors file, whose tensors are read on demand.
#[derive(Debug)]
pub(super) struct Weights {
    /// Resolved: ONNX Runtime refuses external data behind a link that leads out of the model's
    /// folder.
    path: PathBuf,
    /// Where the first tensor starts.
    tensors_offset: u64,
    header: Metadata,
    /// One of [`PREFIXES`].
    prefix: &'static str,
}

/// How wide the numbers of a tensor are: floats, or integers of 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Bits32,
    Bits16,
    Bits8,
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Self::Bits32 => 4,
            Self::Bits16 => 2,
            Self::Bits8 => 1,
        }
    }
}

/// Where a tensor's bytes are in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) width: Width,
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
        let is_there = |prefix: &&str| header.info(&format!("{prefix}{SURELY_THERE}")).is_some();
        let prefix = PREFIXES.into_iter().find(is_there).unwrap_or_default();
        Ok(Self {
            path,
            tensors_offset,
            header,
            prefix,
        })
    }

    /// The file's name and the folder that it is in, as the graph refers to them.
    pub(super) fn file_name(&self) -> Cow<'_, str> {
        self.path.file_name().unwrap_or_default().to_string_lossy()
    }

    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// The place of a tensor of floats with this name and shape.
    pub(super) fn place(&self, name: &str, shape: &[usize]) -> Result<Place, EmbedError> {
        let place = self.place_of_any(name, shape)?;
        if place.width == Width::Bits8 {
            let found = format!("{name} holds integers, not floats");
            return Err(EmbedError::malformed(&self.path, found));
        }
        Ok(place)
    }

    /// The same, of floats or of 8-bit integers, which mean nothing without their scales.
    pub(super) fn place_of_any(&self, name: &str, shape: &[usize]) -> Result<Place, EmbedError> {
        let of_encoder = self.header.info(&format!("{}{name}", self.prefix));
        // What stands on an encoder has no part in its prefix.
        let Some(tensor) = of_encoder.or_else(|| self.header.info(name)) else {
            return Err(EmbedError::malformed(
                &self.path,
                format!("it has no tensor {name}"),
            ));
        };
        let width = match tensor.dtype {
            Dtype::F32 => Some(Width::Bits32),
            Dtype::F16 => Some(Width::Bits16),
            Dtype::I8 => Some(Width::Bits8),
            _ => None,
        };
        let Some(width) = width.filter(|_| tensor.shape == shape) else {
            let found = format!(
                "{name} is {:?} {:?}, not F32 or F16 {shape:?}",
                tensor.dtype, tensor.shape
            );
            return Err(EmbedError::malformed(&self.path, found));
        };
        let (start, end) = tensor.data_offsets;
        Ok(Place {
            offset: self.tensors_offset + start as u64,
            length: (end - start) as u64,
            width,
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

        let mut bytes = vec![0; columns * place.width.bytes()];
        let mut row: Vec<f32> = Vec::with_capacity(columns);
        for _ in 0..place.length / bytes.len().max(1) as u64 {
            file.read_exact(&mut bytes)
                .map_err(EmbedError::read(&self.path))?;
            row.clear();
            match place.width {
                Width::Bits32 => {
                    row.extend(bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes));
                }
                Width::Bits16 => row.extend(
                    bytes
                        .as_chunks()
                        .0
                        .iter()
                        .map(|number| f16::from_le_bytes(*number).to_f32()),
                ),
                Width::Bits8 => row.extend(bytes.iter().map(|byte| f32::from(byte.cast_signed()))),
            }
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
            message.contains("matrix is F32 [2, 2], not F32 or F16 [4]"),
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
    fn numbers_of_16_bits_are_read_as_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = [1.0_f32, -0.5, 65504.0]
            .iter()
            .flat_map(|number| f16::from_f32(*number).to_le_bytes())
            .collect();
        let tensor = TensorView::new(Dtype::F16, vec![3], &bytes).unwrap();
        let path = folder.path().join("model.safetensors");
        safetensors::serialize_to_file([("vector", tensor)], None, &path).unwrap();
        let weights = Weights::open(&path).unwrap();
        assert_eq!(
            weights.numbers("vector", &[3]).unwrap(),
            [1.0, -0.5, 65504.0]
        );
        assert_eq!(weights.place("vector", &[3]).unwrap().width, Width::Bits16);
    }

    #[test]
    fn an_encoder_that_was_part_of_a_larger_model_is_found_under_its_name_there() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = 7.0_f32.to_le_bytes();
        let tensor = TensorView::new(Dtype::F32, vec![1, 1], &bytes).unwrap();
        let path = folder.path().join("model.safetensors");
        let name = format!("roberta.{SURELY_THERE}");
        safetensors::serialize_to_file([(name.as_str(), tensor)], None, &path).unwrap();
        let weights = Weights::open(&path).unwrap();
        assert_eq!(weights.numbers(SURELY_THERE, &[1, 1]).unwrap(), [7.0]);
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
