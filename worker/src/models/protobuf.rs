//! Writes protocol buffer messages, as far as an ONNX model needs them.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding>. A crate would bring a code generator
//! and a copy of `onnx.proto` for the five kinds of field below.

/// The bytes of one message. Fields may come in any order; repeated ones are written once per
/// value.
#[derive(Debug, Default, Clone)]
pub(super) struct Message(Vec<u8>);

/// The wire types that tell a reader how long a field is.
const VARINT: u32 = 0;
const LENGTH_DELIMITED: u32 = 2;
const FIXED_32_BIT: u32 = 5;

impl Message {
    pub(super) fn integer(&mut self, field: u32, value: i64) -> &mut Self {
        self.tag(field, VARINT);
        // Negative numbers are written as their two's complement, ten bytes long.
        self.varint(value.cast_unsigned());
        self
    }

    pub(super) fn float(&mut self, field: u32, value: f32) -> &mut Self {
        self.tag(field, FIXED_32_BIT);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) -> &mut Self {
        self.tag(field, LENGTH_DELIMITED);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub(super) fn text(&mut self, field: u32, value: &str) -> &mut Self {
        self.bytes(field, value.as_bytes())
    }

    pub(super) fn message(&mut self, field: u32, value: &Self) -> &mut Self {
        self.bytes(field, &value.0)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the encoding guide: 150 in field 1, "testing" in field 2, the first as a
    /// message in field 3.
    #[test]
    fn the_examples_of_the_encoding_guide_come_out_the_same() {
        let mut inner = Message::default();
        inner.integer(1, 150);
        assert_eq!(inner.clone().into_bytes(), [0x08, 0x96, 0x01]);

        let mut outer = Message::default();
        outer.text(2, "testing").message(3, &inner);
        assert_eq!(outer.into_bytes(), *b"\x12\x07testing\x1a\x03\x08\x96\x01");
    }

    #[test]
    fn minus_two_takes_ten_bytes_and_a_float_four() {
        let mut message = Message::default();
        message.integer(1, -2);
        assert_eq!(
            message.into_bytes(),
            *b"\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
        );

        let mut message = Message::default();
        message.float(2, 1.0);
        assert_eq!(message.into_bytes(), *b"\x15\x00\x00\x80\x3f");
    }
}
