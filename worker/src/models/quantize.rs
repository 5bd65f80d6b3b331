//! Rounds matrices to small integers, each row with a scale of its own.
//!
//! They fill 7 of their 8 bits: two products of a signed 7-bit and an unsigned 8-bit number always fit into 16 bits, in
//! which processors without VNNI instructions add them up. With full 8 bits the sum can overflow there, or must take a
//! slower way, and the same text would have different vectors on different processors.
//!
//! Symmetric: zero stays zero and no offset is needed. One scale per row, that is per output of a
//! linear layer, keeps a row of large weights from costing the others their precision. Source:
//! Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient inference", section
//! 3.1.

use super::EmbedError;
use super::weights::Weights;

/// The largest of the integers; 255 * 63 + 255 * 63 is less than 2^15.
const INTEGER_MAX: f32 = 63.0;

/// A matrix `[rows, columns]` whose entries are `integers[row * columns + column] * scales[row]`.
#[derive(Debug, Default)]
pub(super) struct QuantizedMatrix {
    pub(super) integers: Vec<i8>,
    pub(super) scales: Vec<f32>,
}

impl QuantizedMatrix {
    /// Quantises a matrix of the weights, row by row.
    pub(super) fn read(
        weights: &Weights,
        name: &str,
        shape: [usize; 2],
    ) -> Result<Self, EmbedError> {
        let mut matrix = Self::default();
        matrix.integers.reserve_exact(shape[0] * shape[1]);
        weights.for_each_row(name, &shape, |row| matrix.push_row(row))?;
        Ok(matrix)
    }

    /// Puts the rows of another matrix of as many columns below this one's.
    pub(super) fn append(&mut self, mut other: Self) {
        self.integers.append(&mut other.integers);
        self.scales.append(&mut other.scales);
    }

    fn push_row(&mut self, row: &[f32]) {
        let largest = row
            .iter()
            .fold(0.0_f32, |largest, number| largest.max(number.abs()));
        // A row of zeros, as unused words of a vocabulary have, gets any scale but zero.
        let scale = if largest > 0.0 {
            largest / INTEGER_MAX
        } else {
            1.0
        };
        self.integers
            .extend(row.iter().map(|number| (number / scale).round() as i8));
        self.scales.push(scale);
    }

    /// The integers as bytes, `[rows, columns]` in row order.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.integers
            .iter()
            .map(|integer| integer.cast_unsigned())
            .collect()
    }

    /// The integers as bytes, turned round to `[columns, rows]`.
    pub(super) fn transposed_bytes(&self) -> Vec<u8> {
        let rows = self.scales.len();
        let columns = self.integers.len() / rows.max(1);
        let mut bytes = vec![0; self.integers.len()];
        for (row, integers) in self.integers.chunks_exact(columns.max(1)).enumerate() {
            for (column, integer) in integers.iter().enumerate() {
                bytes[column * rows + row] = integer.cast_unsigned();
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_scaled_by_its_own_largest_number() {
        let mut matrix = QuantizedMatrix::default();
        matrix.push_row(&[0.63, -0.315, 0.0]);
        matrix.push_row(&[0.0, 0.0, 0.0]);
        matrix.push_row(&[-126.0, 2.0, 63.0]);
        assert_eq!(matrix.integers, [63, -32, 0, 0, 0, 0, -63, 1, 32]);
        assert_eq!(matrix.scales, [0.01, 1.0, 2.0]);
    }

    #[test]
    fn transposing_puts_columns_into_rows() {
        let mut matrix = QuantizedMatrix {
            integers: vec![1, 2, 3],
            scales: vec![1.0],
        };
        matrix.append(QuantizedMatrix {
            integers: vec![4, 5, -1],
            scales: vec![1.0],
        });
        assert_eq!(matrix.transposed_bytes(), [1, 4, 2, 5, 3, 255]);
        assert_eq!(matrix.bytes(), [1, 2, 3, 4, 5, 255]);
    }
}
