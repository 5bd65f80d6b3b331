//! Names of files as they are shown: whatever strangers send, nothing in them controls a terminal or deceives.
//! They are never used as paths.

/// Characters of a name, at the most.
const CHARS_MAX: usize = 255;

/// The last part of whatever a client sent as the name of a file. `None`: nothing is left of it.
#[must_use]
pub fn file_name(raw: &str) -> Option<String> {
    let last = raw.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = shown(last, CHARS_MAX);
    (!name.trim().is_empty()).then_some(name)
}

/// A file's place in a folder or an archive, so that two of one name in different folders are told apart.
/// What is longer than a name may be loses its beginning.
#[must_use]
pub fn path_name(raw: &str) -> Option<String> {
    let parts: Vec<String> = raw
        .split(['/', '\\'])
        .map(|part| shown(part, CHARS_MAX))
        .filter(|part| !matches!(part.trim(), "" | "." | ".."))
        .collect();
    let path = parts.join("/");
    let length = path.chars().count();
    let path: String = path
        .chars()
        .skip(length.saturating_sub(CHARS_MAX))
        .collect();
    (!path.is_empty()).then_some(path)
}

/// Without characters that control a terminal or turn the direction of writing around.
#[must_use]
pub fn shown(raw: &str, chars_max: usize) -> String {
    raw.chars()
        .filter(|&c| !c.is_control() && !turns_direction(c))
        .take(chars_max)
        .collect()
}

/// Unicode's bidirectional controls (UAX #9) can make `fdp.exe` read as `exe.pdf`.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_last_part_and_nothing_that_deceives() {
        assert_eq!(
            file_name("a/../Hand\u{202e}buch.pdf").as_deref(),
            Some("Handbuch.pdf")
        );
        assert_eq!(file_name("folder/ \u{7}"), None);
    }

    #[test]
    fn a_path_goes_nowhere_but_down() {
        assert_eq!(
            path_name("/../a//.\\b/\u{0}c.pdf").as_deref(),
            Some("a/b/c.pdf")
        );
        assert_eq!(path_name("../.."), None);
        let long = path_name(&"folder/".repeat(100)).unwrap();
        assert_eq!(long.chars().count(), 255);
        assert!(long.ends_with("folder/folder"));
    }
}
