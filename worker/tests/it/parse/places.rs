//! Where the lines of a page stand: what a reader sees highlighted must be what was cited.

use lectern_worker::ingest::parse::{Bounds, Page};
use pdfium_render::prelude::*;

use super::{flat, own, read};
use crate::support::pdfium_path;

/// A page as a picture, dark or not by pixel.
struct Picture {
    width: usize,
    height: usize,
    is_dark: Vec<bool>,
}

impl Picture {
    fn of(page: &PdfPage) -> Self {
        let config = PdfRenderConfig::new().set_target_width(800);
        let bitmap = page.render_with_config(&config).unwrap();
        let (width, height) = (bitmap.width() as usize, bitmap.height() as usize);
        let is_dark = bitmap
            .as_rgba_bytes()
            .chunks_exact(4)
            .map(|pixel| pixel[0] < 128)
            .collect();
        Self {
            width,
            height,
            is_dark,
        }
    }

    /// Left, top, right and bottom of a box, in pixels.
    fn pixels(&self, Bounds([left, top, right, bottom]): Bounds) -> [usize; 4] {
        let pixel = |share: f32, of: usize| (f64::from(share) * of as f64).round() as usize;
        [
            pixel(left, self.width),
            pixel(top, self.height),
            pixel(right, self.width),
            pixel(bottom, self.height),
        ]
    }

    fn dark(&self) -> impl Iterator<Item = (usize, usize)> {
        let places = self.is_dark.iter().enumerate().filter(|&(_, &dark)| dark);
        places.map(|(at, _)| (at % self.width, at / self.width))
    }
}

/// All that is dark lies in some line's box, and reaches to both ends of it.
fn assert_boxes_fit(picture: &Picture, page: &Page, name: &str) {
    let within = |[left, top, right, bottom]: [usize; 4], (x, y): (usize, usize)| {
        (left.saturating_sub(1)..=right + 1).contains(&x)
            && (top.saturating_sub(1)..=bottom + 1).contains(&y)
    };
    let boxes: Vec<_> = page
        .lines
        .iter()
        .map(|line| picture.pixels(line.bounds))
        .collect();
    let outside = picture
        .dark()
        .find(|&pixel| !boxes.iter().any(|&bounds| within(bounds, pixel)));
    assert_eq!(outside, None, "{name}: {boxes:?}");
    for (bounds, line) in boxes.iter().zip(&page.lines) {
        let text = &page.text[line.start..line.end];
        let inside = || picture.dark().filter(|&pixel| within(*bounds, pixel));
        let [left, top, right, bottom] = *bounds;
        let is_upright = right - left > bottom - top;
        let (start, end, extent): (usize, usize, Vec<usize>) = match is_upright {
            true => (left, right, inside().map(|(x, _)| x).collect()),
            false => (top, bottom, inside().map(|(_, y)| y).collect()),
        };
        let (first, last) = (extent.iter().min(), extent.iter().max());
        let (Some(first), Some(last)) = (first, last) else {
            panic!("{name}: nothing is drawn where {text:?} is said to be");
        };
        assert!(
            first.abs_diff(start) < 8 && last.abs_diff(end) < 8,
            "{name}: {text:?} is drawn at {first} to {last}, not {start} to {end}"
        );
    }
}

#[tokio::test]
async fn lines_stand_where_they_are_drawn_however_the_page_is_turned_and_cut() {
    let document = read(&own("places.pdf")).await.unwrap();
    let pdfium = Pdfium::new(Pdfium::bind_to_library(pdfium_path()).unwrap());
    let file = pdfium.load_pdf_from_file(&own("places.pdf"), None).unwrap();
    for (page, drawn) in document.pages.iter().zip(file.pages().iter()) {
        let picture = Picture::of(&drawn);
        assert_boxes_fit(&picture, page, &format!("page {}", page.number));
    }
    let texts: Vec<String> = document.pages.iter().map(flat).collect();
    assert_eq!(
        texts[..4],
        vec!["A line near the top and a smaller one upwards"; 4]
    );
    assert_eq!(texts[4], "A line beside another");
}

#[tokio::test]
async fn the_box_of_a_line_is_the_one_that_its_coordinates_give() {
    let document = read(&own("places.pdf")).await.unwrap();
    // Baseline at 150, 600, in a page shown from 100, 200 to 500, 700; letters rise 0.72 of 24 points.
    let (x, y) = (50.0 / 400.0, 100.0 / 500.0);
    let rise = 0.72 * 24.0 / 500.0;
    let lines = |page: usize| document.pages[page].lines[0].bounds.0;
    let is_near =
        |share: f32, expected: f64, slack: f64| (f64::from(share) - expected).abs() < slack;
    let [left, top, _, bottom] = lines(0);
    assert!(is_near(left, x, 0.005), "{left}");
    assert!(is_near(top, y - rise, 0.02), "{top}");
    assert!(is_near(bottom, y, 0.02), "{bottom}");
    // Turned clockwise, what was left is above, and what was above is right.
    let [left, top, right, _] = lines(1);
    assert!(is_near(top, x, 0.005), "{top}");
    assert!(is_near(right, 1.0 - y + rise, 0.02), "{right}");
    assert!(is_near(left, 1.0 - y, 0.02), "{left}");
}
