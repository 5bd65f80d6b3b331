//! Makes scans of our own files: their pages drawn and put back as pictures, as a scanner would.

use std::{fs::File, io::Write, path::Path, process::Command};

use lectern_worker::ingest::parse::{ParseLimits, Picture, Pictures};
use lopdf::{Document, Object, Stream, content::Content, dictionary};
use tempfile::NamedTempFile;

use crate::support::pdfium_path;

pub(crate) const WORKER: &str = env!("CARGO_BIN_EXE_lectern-worker");

/// OCR can't be tested without.
pub(crate) fn require_tesseract() {
    let found = Command::new("tesseract").arg("--version").output();
    assert!(
        found.is_ok_and(|found| found.status.success()),
        "no Tesseract: run deploy/dev/setup.sh, or apt-get install tesseract-ocr"
    );
}

pub(crate) async fn draw(path: &Path, pages: &[u32], dpi: u16) -> Vec<Picture> {
    let mut pictures = Pictures::of(
        File::open(path).unwrap(),
        Path::new(WORKER),
        &pdfium_path(),
        &ParseLimits::default(),
        None,
        pages,
        dpi,
    )
    .unwrap();
    let mut drawn = Vec::new();
    while let Some(picture) = pictures.next().await.unwrap() {
        drawn.push(picture);
    }
    drawn
}

/// A copy of the file at `path` in which `pages` are pictures without text; `turn` in degrees as in `/Rotate`.
pub(crate) async fn scan(path: &Path, pages: &[u32], turn: i64) -> NamedTempFile {
    let mut document = Document::load(path).unwrap();
    let ids = document.get_pages();
    for picture in draw(path, pages, 200).await {
        let mut image = Stream::new(
            dictionary! {
                "Type" => "XObject", "Subtype" => "Image", "ColorSpace" => "DeviceGray", "BitsPerComponent" => 8,
                "Width" => picture.width, "Height" => picture.height,
            },
            picture.pixels,
        );
        image.compress().unwrap();
        let image = document.add_object(image);
        let content = Content::decode(b"q 595 0 0 842 0 0 cm /Scan Do Q").unwrap();
        let content = document.add_object(Stream::new(dictionary! {}, content.encode().unwrap()));
        let page = document.get_dictionary_mut(ids[&picture.number]).unwrap();
        page.set("Contents", content);
        page.set("Rotate", turn);
        page.set(
            "Resources",
            dictionary! { "XObject" => dictionary! { "Scan" => Object::Reference(image) } },
        );
    }
    document.prune_objects();
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    let mut file = NamedTempFile::with_suffix(".pdf").unwrap();
    file.write_all(&bytes).unwrap();
    file
}
