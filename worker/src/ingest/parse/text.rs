//! PDFium's part: the characters of a page, in reading order, with their place, size and weight; and whether the page
//! has pictures.

use std::f32::consts::FRAC_PI_2;
use std::path::Path;

use pdfium_render::prelude::*;

use super::ParseFailure;
use super::lines::{Before, Glyph, Line, lines};
use super::place::{Bounds, Frame};

/// Where PDFium looks for substitutes of fonts that a file doesn't embed: nowhere.
/// The child opens no files, and the same PDF gives the same text on every machine.
const NO_FONTS: &str = "/dev/null/fonts";

const BOLD_WEIGHT_MIN: u32 = 600;

/// PDFium's marks of a hyphen at the end of a line, with which it joins that line to the next.
const LINE_END_HYPHENS: [char; 2] = ['\u{2}', '\u{fffe}'];

/// Of a page, for pictures that may hold text: a logo has less.
const PICTURE_SHARE_MIN: f32 = 0.05;

/// Objects of a page, and of a form, among which pictures are looked for.
const OBJECTS_MAX: usize = 5_000;

/// Forms hold forms; pictures deeper down are hardly ever met.
const FORM_DEPTH_MAX: u32 = 3;

/// A page as PDFium reads it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sheet {
    pub(super) number: u32,
    pub(super) frame: Frame,
    pub(super) lines: Vec<Line>,
    pub(super) has_pictures: bool,
}

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
    pub(super) document: PdfDocument<'a>,
}

impl PdfiumDocument<'_> {
    pub(super) fn page_count(&self) -> u32 {
        u32::try_from(self.document.pages().len()).unwrap_or(0)
    }

    /// Page `number`, from 1. One without text has no lines.
    ///
    /// # Errors
    /// [`ParseFailure::Damaged`] when PDFium can't read the page.
    pub(super) fn sheet(&self, number: u32) -> Result<Sheet, ParseFailure> {
        let damaged = |error: PdfiumError| ParseFailure::Damaged(format!("{error:?}"));
        let index = i32::try_from(number).unwrap_or(i32::MAX) - 1;
        let page = or_abort(|| self.document.pages().get(index)).map_err(damaged)?;
        let text = or_abort(|| page.text()).map_err(damaged)?;
        let mut reader = Reader::new();
        or_abort(|| {
            for character in text.chars().iter() {
                reader.add(&character);
            }
        });
        let (upright, lines) = reader.finish();
        let shown = or_abort(|| page.boundaries().bounding()).map(|shown| of_rect(shown.bounds));
        let frame = Frame {
            page: shown.unwrap_or_default(),
            shown: page.rotation().map_or(0, quarters),
            upright,
        };
        let has_pictures = or_abort(|| has_pictures(&page, frame.page, !lines.is_empty()));
        Ok(Sheet {
            number,
            frame,
            lines,
            has_pictures,
        })
    }
}

fn quarters(turn: PdfPageRenderRotation) -> u8 {
    match turn {
        PdfPageRenderRotation::None => 0,
        PdfPageRenderRotation::Degrees90 => 1,
        PdfPageRenderRotation::Degrees180 => 2,
        PdfPageRenderRotation::Degrees270 => 3,
    }
}

/// Runs a call into PDFium that must return: out of memory, C++ throws through it.
/// That leaves PDFium's lock locked, so that dropping a page or a document on the way out would wait for ever;
/// dying here, without a word, is what the parent takes for a lack of memory.
pub(super) fn or_abort<T>(call: impl FnOnce() -> T) -> T {
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

/// Collects the visible characters of a page. Size, weight and direction are asked for at the start of each word only:
/// each question is a call through PDFium's lock, and words of two sizes are rare.
struct Reader {
    glyphs: Vec<Glyph>,
    before: Before,
    size: f32,
    is_bold: bool,
    starts_word: bool,
    /// Words by the quarter turns that make them upright.
    turns: [u32; 4],
    high_surrogate: Option<u16>,
}

impl Reader {
    fn new() -> Self {
        Self {
            glyphs: Vec::new(),
            before: Before::Nothing,
            size: 0.0,
            is_bold: false,
            starts_word: true,
            turns: [0; 4],
            high_surrogate: None,
        }
    }

    fn add(&mut self, character: &PdfPageTextChar) {
        match self.decode(character.unicode_value()) {
            None | Some('\r') => {}
            Some('\n') => self.see(Before::LineEnd),
            Some(hyphen) if LINE_END_HYPHENS.contains(&hyphen) => self.see(Before::Hyphen),
            Some(space) if space.is_whitespace() => self.see(Before::Space),
            Some(code) if code.is_control() => {
                if let Some(ligature) = tex_ligature(code) {
                    self.add_letter(ligature, character);
                }
            }
            Some(unreadable) if is_unreadable(unreadable) => {}
            Some(letter) => self.add_letter(letter, character),
        }
    }

    /// A line's end counts for more than a blank, and a hyphen there for more than either.
    fn see(&mut self, between: Before) {
        self.starts_word = true;
        let rank = |before| match before {
            Before::Nothing => 0,
            Before::Space => 1,
            Before::LineEnd => 2,
            Before::Hyphen => 3,
        };
        if rank(between) > rank(self.before) {
            self.before = between;
        }
    }

    fn add_letter(&mut self, letter: char, character: &PdfPageTextChar) {
        if std::mem::take(&mut self.starts_word) {
            self.is_bold = is_bold(character);
            self.size = character.unscaled_font_size().value.abs();
            if let Ok(matrix) = character.matrix() {
                let (a, b, c, d) = (matrix.a(), matrix.b(), matrix.c(), matrix.d());
                self.size *= c.hypot(d);
                // What is mirrored has no direction.
                if a * d > b * c {
                    let quarters = (b.atan2(a) / FRAC_PI_2).round() as i32;
                    self.turns[quarters.rem_euclid(4) as usize] += 1;
                }
            }
        }
        let bounds = match character.loose_bounds() {
            Ok(rect) => of_rect(rect),
            Err(_) => self
                .glyphs
                .last()
                .map(|last| last.bounds)
                .unwrap_or_default(),
        };
        self.glyphs.push(Glyph {
            letter,
            bounds,
            size: self.size,
            is_bold: self.is_bold,
            before: std::mem::replace(&mut self.before, Before::Nothing),
        });
    }

    /// The turns that make most words upright, and the lines of the page turned so.
    fn finish(mut self) -> (u8, Vec<Line>) {
        let most = (0..4_u8).max_by_key(|&turn| (self.turns[usize::from(turn)], turn == 0));
        let upright = most.unwrap_or(0);
        for glyph in &mut self.glyphs {
            glyph.bounds = glyph.bounds.turned(upright);
        }
        (upright, lines(&self.glyphs, self.before == Before::Hyphen))
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

fn of_rect(rect: PdfRect) -> Bounds {
    Bounds {
        left: rect.left().value,
        bottom: rect.bottom().value,
        right: rect.right().value,
        top: rect.top().value,
    }
}

/// Whether the page shows pictures of some size, or drawings instead of text.
fn has_pictures(page: &PdfPage, shown: Bounds, has_text: bool) -> bool {
    if !has_text {
        return !page.objects().is_empty();
    }
    let mut area = 0.0;
    for object in page.objects().iter().take(OBJECTS_MAX) {
        if shows_picture(&object, FORM_DEPTH_MAX)
            && let Ok(bounds) = object.bounds()
        {
            area += of_rect(bounds.to_rect()).area_within(shown);
        }
    }
    area > PICTURE_SHARE_MIN * shown.width() * shown.height()
}

fn shows_picture(object: &PdfPageObject, depth: u32) -> bool {
    match object.object_type() {
        PdfPageObjectType::Image => true,
        PdfPageObjectType::XObjectForm if depth > 0 => {
            object.as_x_object_form_object().is_some_and(|form| {
                form.iter()
                    .take(OBJECTS_MAX)
                    .any(|part| shows_picture(&part, depth - 1))
            })
        }
        _ => false,
    }
}

/// TeX's fonts have their ligatures where others have control characters, and bitmap fonts don't say what they mean:
/// the encodings T1 and OT1 (LaTeX font encodings, sections 2.1 and 2.2).
fn tex_ligature(code: char) -> Option<char> {
    Some(match code {
        '\u{b}' | '\u{1b}' => '\u{fb00}',
        '\u{c}' | '\u{1c}' => '\u{fb01}',
        '\u{1d}' => '\u{fb02}',
        '\u{e}' | '\u{1e}' => '\u{fb03}',
        '\u{f}' | '\u{1f}' => '\u{fb04}',
        _ => return None,
    })
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

/// Control characters, private-use characters of fonts without a character map, marks that turn the writing
/// direction (PDFium's order is the reading order already) and what stands for nothing visible.
pub(in crate::ingest) fn is_unreadable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' | '\u{fffd}' | '\u{ffff}'
            | '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_character_are_put_together_and_lone_ones_dropped() {
        let mut builder = Reader::new();
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
}
