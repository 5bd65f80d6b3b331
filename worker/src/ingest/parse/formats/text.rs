//! Plain text, in whatever encoding; its lines are counted.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::Encoding;

use super::super::{ParseFailure, ParseLimits, ParsedDocument};
use super::parts::{PART_BYTES, Parts, clean};

pub(super) fn read(bytes: &[u8], limits: &ParseLimits) -> Result<ParsedDocument, ParseFailure> {
    let mut parts = Parts::new(limits, Some("lines"));
    let text = decode(bytes);
    let mut paragraph = String::new();
    let mut rows = Vec::new();
    for (number, line) in (1_u32..).zip(lines(&text)) {
        let line = clean(line);
        if line.trim().is_empty() || paragraph.len() > PART_BYTES {
            parts.write(&paragraph, None, &rows)?;
            paragraph.clear();
            rows.clear();
        }
        if !line.trim().is_empty() {
            if !paragraph.is_empty() {
                paragraph.push('\n');
            }
            rows.push((paragraph.len(), number));
            paragraph.push_str(line.trim_end());
        }
    }
    parts.write(&paragraph, None, &rows)?;
    parts.finish(None, Vec::new())
}

/// Lines as editors count them, whether they end with `\n`, `\r\n` or, on old Macs, `\r`.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let end = if text.contains('\n') { '\n' } else { '\r' };
    text.split(end)
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
}

/// The text of bytes that don't say which encoding they are in.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    decode_labelled(bytes, None)
}

/// The same, with the encoding that a file names, which is believed where the bytes don't speak against it: many a
/// page says ISO 8859-1 and is UTF-8.
pub(super) fn decode_labelled<'a>(bytes: &'a [u8], label: Option<&[u8]>) -> Cow<'a, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0;
    }
    let text = String::from_utf8_lossy(bytes);
    if let Cow::Borrowed(_) = text {
        return text;
    }
    if is_damaged_utf8(&text) {
        return text;
    }
    let encoding = label.and_then(Encoding::for_label).unwrap_or_else(|| {
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
        detector.feed(bytes, true);
        detector.guess(None, Utf8Detection::Deny)
    });
    encoding.decode_without_bom_handling(bytes).0
}

/// Few characters beyond ASCII are broken, most are whole: a byte or two was lost, and it's no other encoding, where
/// hardly any would be whole.
fn is_damaged_utf8(lossy: &str) -> bool {
    let mut broken = 0_usize;
    let mut whole = 0_usize;
    for c in lossy.chars() {
        if c == char::REPLACEMENT_CHARACTER {
            broken += 1;
        } else if !c.is_ascii() {
            whole += 1;
        }
    }
    broken * 10 <= whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_by_their_bytes() {
        let german = "Größe und Maße der Straßenbäume in Köln für das Jahr";
        assert_eq!(decode(german.as_bytes()), german);
        let (latin, _, _) = encoding_rs::WINDOWS_1252.encode(german);
        assert_eq!(decode(&latin), german);
        let wide: Vec<u8> = [0xfeff]
            .into_iter()
            .chain(german.encode_utf16())
            .flat_map(u16::to_be_bytes)
            .collect();
        assert_eq!(decode(&wide), german);
        let russian = "Договор аренды жилого помещения заключён на один год";
        let (koi, _, _) = encoding_rs::KOI8_R.encode(russian);
        assert_eq!(decode(&koi), russian);
    }

    #[test]
    fn a_broken_byte_does_not_make_another_encoding_of_a_text() {
        let mut bytes = "Größe Länge Höhe Breite Öl Übung äöü äöü"
            .as_bytes()
            .to_vec();
        bytes.push(0xc3);
        assert!(decode(&bytes).starts_with("Größe Länge"));
    }

    #[test]
    fn lines_are_counted_whatever_ends_them() {
        for text in [
            "one\n\nthree\nfour",
            "one\r\n\r\nthree\r\nfour",
            "one\r\rthree\rfour",
        ] {
            let document = read(text.as_bytes(), &ParseLimits::default()).unwrap();
            let page = &document.pages[0];
            assert_eq!(page.text, "one\n\nthree\nfour");
            let rows = page.rows.as_ref().unwrap();
            assert_eq!(
                (rows.noun.as_str(), &rows.starts[..]),
                ("lines", &[(0, 1), (5, 3), (11, 4)][..])
            );
        }
    }
}
