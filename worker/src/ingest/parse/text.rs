//! PDFium's part: the lines of a page, in reading order, with their place, size and weight.

use std::path::Path;

use pdfium_render::prelude::*;

use super::ParseFailure;
use super::layout::{Bounds, Line};

/// Where PDFium looks for substitutes of fonts that a file doesn't embed: nowhere.
/// The child opens no files, and the same PDF gives the same text on every machine.
const NO_FONTS: &str = "/dev/null/fonts";

const BOLD_WEIGHT_MIN: u32 = 600;

/// Of a line's characters, for a bold line: one that starts with a bold word is a line of text.
const BOLD_SHARE_MIN: f64 = 0.9;

/// PDFium's marks of a hyphen at the end of a line, with which it joins that line to the next.
const LINE_END_HYPHENS: [char; 2] = ['\u{2}', '\u{fffe}'];

/// The loaded library; one per process.
pub(super) struct PdfiumLibrary {
    pdfium: Pdfium,
}

impl PdfiumLibrary {
    /// # Errors
    /// [`ParseFailure::Unavailable`], or [`ParseFailure::MemoryExceeded`] when the library
    /// doesn't fit into the memory limit.
    pub(super) fn load(path: &Path) -> Result<Self, ParseFailure> {
        let bindings = Pdfium::bind_to_library(path).map_err(|error| {
            // The dynamic loader has no other way to say so.
            let text = format!("{error:?}");
            let no_memory = ["cannot allocate", "Cannot allocate", "failed to map"];
            match no_memory.iter().any(|words| text.contains(words)) {
                true => ParseFailure::MemoryExceeded,
                false => ParseFailure::Unavailable(format!("PDFium: {text}")),
            }
        })?;
        let config = PdfiumLibraryConfig::new()
            .set_renderer_anti_grain_geometry()
            .set_user_font_paths(&[NO_FONTS])
            .map_err(|error| ParseFailure::Unavailable(format!("PDFium: {error:?}")))?;
        Ok(Self {
            pdfium: Pdfium::new_with_config(bindings, config),
        })
    }

    /// # Errors
    /// [`ParseFailure::PasswordRequired`], or [`ParseFailure::Damaged`] for all else.
    pub(super) fn open<'a>(
        &'a self,
        bytes: &'a [u8],
        password: Option<&str>,
    ) -> Result<PdfiumDocument<'a>, ParseFailure> {
        match or_abort(|| self.pdfium.load_pdf_from_byte_slice(bytes, password)) {
            Ok(document) => Ok(PdfiumDocument { document }),
            Err(PdfiumError::PdfiumLibraryInternalError(PdfiumInternalError::PasswordError)) => {
                Err(ParseFailure::PasswordRequired)
            }
            Err(error) => Err(ParseFailure::Damaged(format!("{error:?}"))),
        }
    }
}

pub(super) struct PdfiumDocument<'a> {
    document: PdfDocument<'a>,
}

impl PdfiumDocument<'_> {
    pub(super) fn page_count(&self) -> u32 {
        u32::try_from(self.document.pages().len()).unwrap_or(0)
    }

    /// The lines of page `number`, from 1. A page without text has none.
    ///
    /// # Errors
    /// [`ParseFailure::Damaged`] when PDFium can't read the page.
    pub(super) fn lines(&self, number: u32) -> Result<Vec<Line>, ParseFailure> {
        let damaged = |error: PdfiumError| ParseFailure::Damaged(format!("{error:?}"));
        let index = i32::try_from(number).unwrap_or(i32::MAX) - 1;
        let page = or_abort(|| self.document.pages().get(index)).map_err(damaged)?;
        let text = or_abort(|| page.text()).map_err(damaged)?;
        let turn = page.rotation().unwrap_or(PdfPageRenderRotation::None);
        let mut builder = LineBuilder::new(turn);
        or_abort(|| {
            for character in text.chars().iter() {
                builder.add(&character);
            }
        });
        Ok(builder.finish())
    }
}

/// Runs a call into PDFium that must return: out of memory, C++ throws through it.
/// That leaves PDFium's lock locked, so that dropping a page or a document on the way out would wait for ever;
/// dying here, without a word, is what the parent takes for a lack of memory.
fn or_abort<T>(call: impl FnOnce() -> T) -> T {
    struct AbortOnUnwind;
    impl Drop for AbortOnUnwind {
        fn drop(&mut self) {
            std::process::abort();
        }
    }
    let unwinding = AbortOnUnwind;
    let value = call();
    std::mem::forget(unwinding);
    value
}

/// Collects characters into lines. Boxes cover all characters, but size and weight are asked for at the start of
/// each word only: each question is a call through PDFium's lock, and words of two sizes are rare.
struct LineBuilder {
    turn: PdfPageRenderRotation,
    lines: Vec<Line>,
    text: String,
    bounds: Option<Bounds>,
    size: f32,
    is_bold: bool,
    starts_word: bool,
    characters: u32,
    size_sum: f32,
    bold_count: u32,
    high_surrogate: Option<u16>,
}

impl LineBuilder {
    fn new(turn: PdfPageRenderRotation) -> Self {
        Self {
            turn,
            lines: Vec::new(),
            text: String::new(),
            bounds: None,
            size: 0.0,
            is_bold: false,
            starts_word: true,
            characters: 0,
            size_sum: 0.0,
            bold_count: 0,
            high_surrogate: None,
        }
    }

    fn add(&mut self, character: &PdfPageTextChar) {
        match self.decode(character.unicode_value()) {
            None | Some('\r') => {}
            Some('\n') => self.end_line(false),
            Some(hyphen) if LINE_END_HYPHENS.contains(&hyphen) => self.end_line(true),
            Some(space) if space.is_whitespace() => {
                self.starts_word = true;
                if !self.text.is_empty() && !self.text.ends_with(' ') {
                    self.text.push(' ');
                }
            }
            Some(unreadable) if is_unreadable(unreadable) => {}
            Some(letter) => self.add_letter(letter, character),
        }
    }

    fn add_letter(&mut self, letter: char, character: &PdfPageTextChar) {
        match ligature(letter) {
            Some(letters) => self.text.push_str(letters),
            None => self.text.push(letter),
        }
        if std::mem::take(&mut self.starts_word) {
            self.size = character.scaled_font_size().value.abs();
            self.is_bold = is_bold(character);
        }
        self.characters += 1;
        self.size_sum += self.size;
        self.bold_count += u32::from(self.is_bold);
        if let Ok(rect) = character.loose_bounds() {
            let bounds = upright(rect, self.turn);
            self.bounds = Some(self.bounds.map_or(bounds, |line| line.union(bounds)));
        }
    }

    fn end_line(&mut self, is_hyphenated: bool) {
        self.starts_word = true;
        let text = std::mem::take(&mut self.text);
        let (characters, bounds) = (self.characters, self.bounds.take());
        let size = self.size_sum / characters.max(1) as f32;
        let is_bold = f64::from(self.bold_count) >= f64::from(characters) * BOLD_SHARE_MIN;
        (self.characters, self.size_sum, self.bold_count) = (0, 0.0, 0);
        if characters > 0 {
            let text = text.trim_end().to_owned();
            let bounds = bounds.unwrap_or_default();
            self.lines.push(Line {
                text,
                bounds,
                size,
                is_bold,
                is_hyphenated,
                characters,
            });
        }
    }

    fn finish(mut self) -> Vec<Line> {
        self.end_line(false);
        self.lines
    }

    /// PDFium hands out UTF-16 units, hence characters beyond the first plane in two halves.
    fn decode(&mut self, value: u32) -> Option<char> {
        let Ok(unit) = u16::try_from(value) else {
            return char::from_u32(value);
        };
        let high = self.high_surrogate.take();
        match unit {
            0xd800..0xdc00 => {
                self.high_surrogate = Some(unit);
                None
            }
            0xdc00..0xe000 => char::decode_utf16([high?, unit]).next()?.ok(),
            _ => char::from_u32(value),
        }
    }
}

/// By the font's weight, else by its name: the standard fonts are often used without a descriptor that tells.
fn is_bold(character: &PdfPageTextChar) -> bool {
    let weight = match character.font_weight() {
        Some(PdfFontWeight::Weight600 | PdfFontWeight::Weight700Bold) => return true,
        Some(PdfFontWeight::Weight800 | PdfFontWeight::Weight900) => return true,
        Some(PdfFontWeight::Custom(weight)) => weight,
        _ => 0,
    };
    if (BOLD_WEIGHT_MIN..1000).contains(&weight) {
        return true;
    }
    let name = character.font_name().to_ascii_lowercase();
    ["bold", "black", "heavy"]
        .iter()
        .any(|word| name.contains(word))
}

/// The box as the reader sees it, on a page that is shown turned (`/Rotate`).
/// Only differences between boxes are used so far, so the origin is left where it falls.
fn upright(rect: PdfRect, turn: PdfPageRenderRotation) -> Bounds {
    let (left, right) = (rect.left().value, rect.right().value);
    let (bottom, top) = (rect.bottom().value, rect.top().value);
    match turn {
        PdfPageRenderRotation::None => Bounds {
            left,
            bottom,
            right,
            top,
        },
        PdfPageRenderRotation::Degrees90 => Bounds {
            left: bottom,
            bottom: -right,
            right: top,
            top: -left,
        },
        PdfPageRenderRotation::Degrees180 => Bounds {
            left: -right,
            bottom: -top,
            right: -left,
            top: -bottom,
        },
        PdfPageRenderRotation::Degrees270 => Bounds {
            left: -top,
            bottom: left,
            right: -bottom,
            top: right,
        },
    }
}

/// Control characters, private-use characters of fonts without a character map, marks that turn the writing
/// direction (PDFium's order is the reading order already) and what stands for nothing visible.
fn is_unreadable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' | '\u{fffd}' | '\u{ffff}'
            | '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Nobody searches for "ﬁnance" with a ligature.
fn ligature(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' | '\u{fb06}' => "st",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_character_are_put_together_and_lone_ones_dropped() {
        let mut builder = LineBuilder::new(PdfPageRenderRotation::None);
        let mut decode = |units: &[u32]| {
            units
                .iter()
                .filter_map(|&unit| builder.decode(unit))
                .collect::<String>()
        };
        assert_eq!(decode(&[0x61, 0xd83d, 0xde00, 0x62]), "a😀b");
        assert_eq!(decode(&[0xd83d, 0x62, 0xde00]), "b");
        assert_eq!(decode(&[0x1f600]), "😀");
    }

    #[test]
    fn what_no_reader_sees_is_dropped() {
        assert!(
            "\u{1}\u{7f}\u{e001}\u{202e}\u{feff}\u{fffd}"
                .chars()
                .all(is_unreadable)
        );
        assert!(!"a ä あ ع € \u{200d}".chars().any(is_unreadable));
    }

    #[test]
    fn boxes_of_a_turned_page_are_turned_upright() {
        // Two lines of a page turned by 90 degrees: the first is left of the second in the file.
        let line = |left: f32| PdfRect::new_from_values(100.0, left, 500.0, left + 10.0);
        let upright = |left| upright(line(left), PdfPageRenderRotation::Degrees90);
        let (first, second) = (upright(50.0), upright(70.0));
        assert!(
            first.bottom > second.top,
            "the first line is above the second"
        );
        assert_eq!((first.left, first.right), (100.0, 500.0));
    }
}
