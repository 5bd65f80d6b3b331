//! Draws pages for text recognition, in the child that would else read their text: same gate, same cage.

use pdfium_render::prelude::*;

use super::ParseFailure;
use super::child::Outbox;
use super::protocol::{Message, Render};
use super::text::{PdfiumDocument, or_abort};

/// A page of A3 at 300 dpi has 17 million. Larger ones are drawn less finely: their letters are larger, too,
/// or their size is a slip, as in scans whose pixels were taken for points.
pub(super) const PIXELS_MAX: u32 = 20_000_000;

/// PDFium's points.
const POINTS_PER_INCH: f32 = 72.0;

/// Writes the wanted pages' pictures to stdout. A page that can't be drawn is left out: the parent sees that.
pub(super) fn send_pictures(
    document: &PdfiumDocument<'_>,
    wanted: &Render,
    outbox: &mut Outbox,
) -> Result<(), ParseFailure> {
    for &number in &wanted.pages {
        if let Some(picture) = draw(document, number, wanted.dpi) {
            let Grey {
                width,
                height,
                pixels,
            } = picture;
            let message = Message::Picture {
                number,
                width,
                height,
            };
            outbox.send_with(&message, &pixels)?;
        }
    }
    outbox.send(&Message::Finished { notes: vec![] })
}

struct Grey {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

/// The page as it is shown: turned and cropped as the file says.
fn draw(document: &PdfiumDocument<'_>, number: u32, dpi: u16) -> Option<Grey> {
    let index = i32::try_from(number).ok()?.checked_sub(1)?;
    let page = or_abort(|| document.document.pages().get(index)).ok()?;
    let (width, height) = size(page.width().value, page.height().value, dpi);
    let config = PdfRenderConfig::new()
        .set_fixed_size(width, height)
        .set_format(PdfBitmapFormat::Gray)
        .use_grayscale_rendering(true)
        .set_reverse_byte_order(false);
    let bitmap = or_abort(|| page.render_with_config(&config)).ok()?;
    let padded = bitmap.as_raw_bytes();
    let (width, height) = (width.cast_unsigned(), height.cast_unsigned());
    // Rows are padded to whole words.
    let stride = padded.len() / height as usize;
    let pixels = padded
        .chunks_exact(stride)
        .flat_map(|row| &row[..width as usize])
        .copied()
        .collect();
    Some(Grey {
        width,
        height,
        pixels,
    })
}

/// Width and height in pixels of a page of this size in points.
fn size(width: f32, height: f32, dpi: u16) -> (i32, i32) {
    let wanted = f32::from(dpi) / POINTS_PER_INCH;
    let most = (PIXELS_MAX as f32 / (width * height).max(1.0)).sqrt();
    let scale = wanted.min(most);
    let pixels = |points: f32| ((points * scale).round() as i32).clamp(1, PIXELS_MAX.cast_signed());
    let (width, height) = (pixels(width), pixels(height));
    // Rounding, or a strip of a page, may have come past the limit.
    (width, height.min(PIXELS_MAX.cast_signed() / width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_drawn_as_finely_as_wanted_unless_that_takes_too_many_pixels() {
        assert_eq!(size(612.0, 792.0, 200), (1700, 2200));
        let (width, height) = size(2480.0, 3508.0, 300);
        assert!((19_990_000..=20_000_000).contains(&(width * height)));
        assert_eq!(size(0.0, 0.0, 300), (1, 1));
        let (width, height) = size(1e9, 0.001, 300);
        assert!(i64::from(width) * i64::from(height) <= 20_000_000);
    }
}
