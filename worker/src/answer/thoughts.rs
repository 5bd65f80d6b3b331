//! Hides what models think aloud, `<think>…</think>`, while it streams.
//!
//! Servers that tell thoughts apart send them in a field of their own, which is never read.

const TAGS: [(&str, &str); 3] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
];

#[derive(Debug, Default)]
pub(super) struct Thoughts {
    /// What may be the beginning of a tag.
    held: String,
    /// The tag that ends the thought.
    until: Option<&'static str>,
    /// There was a thought.
    any: bool,
}

impl Thoughts {
    /// What is no thought, now that `piece` is known.
    pub(super) fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        let mut shown = String::new();
        loop {
            if let Some(end) = self.until {
                let Some(at) = self.held.find(end) else {
                    let keep = beginning_of(&self.held, &[end]);
                    self.held.drain(..self.held.len() - keep);
                    return shown;
                };
                self.held.drain(..at + end.len());
                self.until = None;
                // The blank lines after it belong to it.
                let blanks = self.held.len() - self.held.trim_start().len();
                self.held.drain(..blanks);
                continue;
            }
            let found = TAGS
                .iter()
                .filter_map(|&(begin, end)| Some((self.held.find(begin)?, begin, end)))
                .min();
            let Some((at, begin, end)) = found else {
                let keep = beginning_of(&self.held, &TAGS.map(|(begin, _)| begin));
                shown.extend(self.held.drain(..self.held.len() - keep));
                return shown;
            };
            shown.push_str(&self.held[..at]);
            self.held.drain(..at + begin.len());
            self.until = Some(end);
            self.any = true;
        }
    }

    /// What is left at the end; a thought that has no end is none of it.
    pub(super) fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.held);
        if self.until.is_some() {
            String::new()
        } else {
            rest
        }
    }

    pub(super) fn any(&self) -> bool {
        self.any
    }
}

/// How many bytes at the end of `text` may be the beginning of one of `tags`.
fn beginning_of(text: &str, tags: &[&str]) -> usize {
    tags.iter()
        .flat_map(|tag| (1..tag.len()).filter(|&bytes| text.ends_with(&tag[..bytes])))
        .max()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[&str]) -> String {
        let mut thoughts = Thoughts::default();
        let mut shown: String = pieces.iter().map(|piece| thoughts.push(piece)).collect();
        shown.push_str(&thoughts.finish());
        shown
    }

    #[test]
    fn thoughts_are_hidden_however_they_are_cut() {
        let text = "<think>Hm, a < b.</think>\n\nIt is 47 euros <b> [1].<thinking>done</thinking>";
        let wanted = "It is 47 euros <b> [1].";
        assert_eq!(shown(&[text]), wanted);
        let letters: Vec<String> = text.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        // Blanks after a thought that come in later pieces stay: readers trim them.
        assert_eq!(shown(&letters).trim_start(), wanted);
    }

    #[test]
    fn a_thought_without_an_end_shows_nothing() {
        let mut thoughts = Thoughts::default();
        assert_eq!(thoughts.push("<think>On and on"), "");
        assert_eq!(thoughts.finish(), "");
        assert!(thoughts.any());
    }

    #[test]
    fn a_tag_that_was_none_comes_out_in_the_end() {
        assert_eq!(shown(&["a <", "th"]), "a <th");
    }
}
