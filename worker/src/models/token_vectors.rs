//! What a model says of each token of a text, small enough to be kept for every passage.
//!
//! A token's state (384 numbers) is rotated at random, and of the first [`SIGNS`] numbers the signs are kept, a bit
//! each: the share of signs in which two tokens agree tells the angle between them (Charikar, STOC 2002). The rotation
//! is two rounds of flipped signs and a Hadamard transform, the same for all models and for ever: nothing is fitted to
//! documents, and nothing besides the model's identity must be remembered to compare what was stored years apart.
//!
//! Measured with all-MiniLM-L6-v2 on the four English development collections, as the gain in nDCG@10 over the search
//! alone: .006 on average, .002 more or less by which rotation it is, and .013 on squad-dev, whose questions are about
//! facts. The states as they are, 64 times the bytes, gain as much (.006, .018). Components of a PCA in as many bytes or
//! 128 signs gained less; to leave out punctuation or frequent words, or to subtract the mean state first, gained
//! nothing.

/// Directions that are kept of a token: 24 bytes.
const SIGNS: usize = 192;

const BYTES: usize = SIGNS / 8;

/// The first byte of what is stored. Another rotation or another number of signs needs another one.
const FORMAT: u8 = 1;

/// The tokens of a text, special ones included, as signs of their rotated states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSigns {
    /// The format's number, then [`BYTES`] for each token.
    bytes: Vec<u8>,
}

impl TokenSigns {
    /// From the states of the last layer, `dimensions` numbers for each token.
    #[must_use]
    pub(super) fn from_states(states: &[f32], dimensions: usize) -> Self {
        let rotation = Rotation::new(dimensions);
        let mut bytes = vec![FORMAT];
        for state in states.chunks_exact(dimensions.max(1)) {
            let rotated = rotation.turn(state);
            bytes.extend(rotated[..SIGNS].chunks_exact(8).map(|eight| {
                let bits = eight.iter().zip(0..8);
                bits.fold(0, |byte, (number, bit)| {
                    byte | (u8::from(*number > 0.0) << bit)
                })
            }));
        }
        Self { bytes }
    }

    /// As they were stored. None: in a format that this release doesn't know.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let is_known = bytes.first() == Some(&FORMAT) && (bytes.len() - 1).is_multiple_of(BYTES);
        is_known.then_some(Self { bytes })
    }

    /// As they are stored.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// How well a passage answers to these tokens, from -1 to 1: of each of them its nearest in the passage, on
    /// average. (`MaxSim`: Khattab and Zaharia, SIGIR 2020.)
    #[must_use]
    pub fn nearest_in(&self, passage: &Self) -> f32 {
        let passage: Vec<Words> = passage.tokens().collect();
        let tokens = self.tokens();
        let differences = tokens.map(|token| {
            let others = passage.iter().map(|other| differing(token, *other));
            others.min().unwrap_or(SIGNS as u32)
        });
        let (sum, count) = differences.fold((0, 0), |(sum, count), one| (sum + one, count + 1));
        1.0 - 2.0 * sum as f32 / (SIGNS as u32 * count.max(1)) as f32
    }

    fn tokens(&self) -> impl Iterator<Item = Words> {
        let tokens = self.bytes[1..].as_chunks::<BYTES>().0;
        tokens.iter().map(|token| {
            let mut words = token.as_chunks().0.iter().copied().map(u64::from_le_bytes);
            std::array::from_fn(|_| words.next().unwrap_or_default())
        })
    }
}

/// The signs of a token.
type Words = [u64; BYTES / 8];

/// In how many signs two tokens differ.
fn differing(one: Words, other: Words) -> u32 {
    let words = one.into_iter().zip(other);
    words.map(|(one, other)| (one ^ other).count_ones()).sum()
}

/// A random rotation of vectors, as quick as sorting them. Vectors are filled up with zeros to a power of two.
struct Rotation {
    size: usize,
    /// Of two rounds: 1 or -1.
    flips: [Vec<f32>; 2],
}

impl Rotation {
    fn new(dimensions: usize) -> Self {
        let size = dimensions.max(SIGNS).next_power_of_two();
        let mut state = 0;
        let mut flips = || {
            let flip = |()| {
                if splitmix(&mut state) >> 63 == 0 {
                    1.0
                } else {
                    -1.0
                }
            };
            std::iter::repeat_n((), size).map(flip).collect()
        };
        Self {
            size,
            flips: [flips(), flips()],
        }
    }

    fn turn(&self, vector: &[f32]) -> Vec<f32> {
        let mut turned = vec![0.0; self.size];
        turned[..vector.len()].copy_from_slice(vector);
        for flips in &self.flips {
            for (number, flip) in turned.iter_mut().zip(flips) {
                *number *= flip;
            }
            hadamard(&mut turned);
        }
        turned
    }
}

/// The Walsh-Hadamard transform, not scaled.
fn hadamard(numbers: &mut [f32]) {
    let mut half = 1;
    while half < numbers.len() {
        for block in numbers.chunks_exact_mut(2 * half) {
            let (left, right) = block.split_at_mut(half);
            for (a, b) in left.iter_mut().zip(right) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014): the same numbers on every machine, whatever becomes of a crate.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIMENSIONS: usize = 384;

    /// Vectors that are as random as those of the rotation.
    fn states(seed: u64, count: usize) -> Vec<f32> {
        let mut state = seed;
        let number = |()| (splitmix(&mut state) >> 40) as f32 / (1_u32 << 23) as f32 - 1.0;
        std::iter::repeat_n((), count * DIMENSIONS)
            .map(number)
            .collect()
    }

    fn cosine(left: &[f32], right: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
    }

    #[test]
    fn a_rotation_keeps_lengths_and_angles() {
        let states = states(1, 2);
        let (one, two) = states.split_at(DIMENSIONS);
        let rotation = Rotation::new(DIMENSIONS);
        let (turned, other) = (rotation.turn(one), rotation.turn(two));
        assert!((cosine(one, two) - cosine(&turned, &other)).abs() < 1e-5);
        let length = |vector: &[f32]| vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        // Each round of two multiplies by the root of 512.
        assert!((length(&turned) / length(one) / 512.0 - 1.0).abs() < 1e-4);
    }

    fn signs(states: &[f32]) -> TokenSigns {
        TokenSigns::from_states(states, DIMENSIONS)
    }

    #[test]
    fn the_rotation_is_the_same_for_ever() {
        let mut first = vec![0.0; DIMENSIONS];
        first[0] = 1.0;
        assert_eq!(
            hex::encode(signs(&first).into_bytes()),
            "0108b63ae632afb654682ff54d4d12d3a47234cfe34e8070a8"
        );
    }

    #[test]
    fn a_passage_with_the_questions_tokens_is_nearer_than_one_without() {
        let question = states(1, 4);
        let mut with = states(2, 30);
        with[DIMENSIONS * 7..][..DIMENSIONS * 4].copy_from_slice(&question);
        let question = signs(&question);
        assert_eq!(question.nearest_in(&signs(&with)), 1.0);
        let without = question.nearest_in(&signs(&states(3, 30)));
        assert!(without < 0.3, "{without}");
        assert_eq!(question.nearest_in(&signs(&[])), -1.0);
    }

    #[test]
    fn signs_tell_angles() {
        let states = states(4, 2);
        let (one, two) = states.split_at(DIMENSIONS);
        let between: Vec<f32> = one.iter().zip(two).map(|(a, b)| a + b).collect();
        // Of 90 degrees half of the signs differ, of 45 a quarter: a likeness of 0 and of a half.
        let nearest = |other: &[f32]| signs(one).nearest_in(&signs(other));
        assert!(nearest(two).abs() < 0.2, "{}", nearest(two));
        assert!(
            (nearest(&between) - 0.5).abs() < 0.15,
            "{}",
            nearest(&between)
        );
    }

    #[test]
    fn what_is_stored_is_read_again_and_other_formats_are_left_alone() {
        let signs = signs(&states(6, 5));
        let bytes = signs.clone().into_bytes();
        assert_eq!(bytes.len(), 1 + 5 * BYTES);
        assert_eq!(TokenSigns::from_bytes(bytes.clone()), Some(signs));
        assert_eq!(TokenSigns::from_bytes(bytes[..20].to_vec()), None);
        assert_eq!(TokenSigns::from_bytes(Vec::new()), None);
        let newer = [&[FORMAT + 1], &bytes[1..]].concat();
        assert_eq!(TokenSigns::from_bytes(newer), None);
    }
}
