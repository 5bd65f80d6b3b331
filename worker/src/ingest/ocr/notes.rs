//! What people are told of the pages of a scan: ranges instead of one note for each page.

use std::fmt::Write;

/// "page 3", "pages 2–5, 9 and 12".
pub(super) fn pages(numbers: &[u32]) -> String {
    let mut parts = Vec::new();
    for run in numbers.chunk_by(|a, b| a + 1 == *b) {
        parts.push(match run {
            [first, .., last] => format!("{first}–{last}"),
            run => run.iter().map(ToString::to_string).collect(),
        });
    }
    let noun = if numbers.len() == 1 { "page" } else { "pages" };
    match parts.as_slice() {
        [all @ .., last] if !all.is_empty() => format!("{noun} {} and {last}", all.join(", ")),
        parts => format!("{noun} {}", parts.concat()),
    }
}

/// Pages read by OCR with how sure Tesseract is of each, ascending: "pages 1–3: read by OCR (English), 91 % sure".
/// Of pages that are hard to read, as old copies, the doubtful ones are named, since an answer from them may be wrong.
pub(super) fn read_by_ocr(sure: &[(u32, f32)], languages: &str) -> Option<String> {
    if sure.is_empty() {
        return None;
    }
    let numbers: Vec<u32> = sure.iter().map(|&(number, _)| number).collect();
    let mean = sure.iter().map(|&(_, sure)| sure).sum::<f32>() / sure.len() as f32;
    let mut note = format!(
        "{}: read by OCR ({languages}), {mean:.0} % sure",
        pages(&numbers)
    );
    let doubtful: Vec<u32> = sure
        .iter()
        .filter(|&&(_, sure)| sure < DOUBTFUL)
        .map(|&(number, _)| number)
        .collect();
    if !doubtful.is_empty() && doubtful.len() < sure.len() {
        let _ = write!(note, "; hard to read: {}", pages(&doubtful));
    }
    Some(note)
}

/// Clean scans come out at 90 and more.
const DOUBTFUL: f32 = 70.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_named_by_ranges() {
        assert_eq!(pages(&[3]), "page 3");
        assert_eq!(pages(&[2, 3, 4, 5]), "pages 2–5");
        assert_eq!(pages(&[1, 3]), "pages 1 and 3");
        assert_eq!(pages(&[2, 3, 5, 9, 10]), "pages 2–3, 5 and 9–10");
    }

    #[test]
    fn the_doubtful_pages_of_a_scan_are_named() {
        assert_eq!(read_by_ocr(&[], "English"), None);
        assert_eq!(
            read_by_ocr(&[(3, 91.2)], "English").unwrap(),
            "page 3: read by OCR (English), 91 % sure"
        );
        assert_eq!(
            read_by_ocr(&[(1, 90.0), (2, 60.0), (3, 90.0)], "German").unwrap(),
            "pages 1–3: read by OCR (German), 80 % sure; hard to read: page 2"
        );
    }
}
