//! Postings: which chunks have a term, how often, and how long they are; as bytes, and made of chunks or of others.

use std::collections::BTreeMap;

use lectern_shared::store::lexicon::{ChunkText, NewSegment, Stretch};

use super::{
    Language,
    analysis::{Analyzer, Terms},
    language,
};

/// A term in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The chunk's number in its segment, from 0.
    pub(super) chunk: u32,
    /// How often the term stands in it.
    pub(super) count: u32,
    /// Words in the chunk, without stop words.
    pub(super) words: u32,
}

/// The entries of one term as bytes: for each a gap, a count and a number of words.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    next: u32,
}

impl Writer {
    /// Entries come in order of their chunks.
    fn push(&mut self, entry: Entry) {
        for number in [entry.chunk - self.next, entry.count, entry.words] {
            write_number(&mut self.bytes, number);
        }
        self.next = entry.chunk + 1;
    }
}

fn write_number(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn read_number(bytes: &mut std::slice::Iter<'_, u8>) -> Option<u32> {
    let mut number = 0;
    for shift in (0..32).step_by(7) {
        let byte = *bytes.next()?;
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Reads what [`Writer`] wrote; ends early where the bytes make no sense.
pub(super) fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry> {
    let mut bytes = bytes.iter();
    let mut next = 0_u32;
    std::iter::from_fn(move || {
        let gap = read_number(&mut bytes)?;
        let entry = Entry {
            chunk: next.checked_add(gap)?,
            count: read_number(&mut bytes)?,
            words: read_number(&mut bytes)?,
        };
        next = entry.chunk.checked_add(1)?;
        Some(entry)
    })
}

/// The segment of one document's chunks, and what most of it is written in; `usual` is the language of its collection.
/// Blocks for milliseconds, a book for a tenth of a second.
pub(crate) fn index(
    chunks: &[ChunkText],
    usual: Option<Language>,
) -> (NewSegment, Option<Language>) {
    let texts: Vec<String> = chunks
        .iter()
        .map(|chunk| {
            format!(
                "{}\n{}",
                chunk.heading.as_deref().unwrap_or_default(),
                chunk.text
            )
        })
        .collect();
    let (languages, most) = language::of_each(&texts, usual);
    let mut analyzers: BTreeMap<Option<Language>, Analyzer> = BTreeMap::new();
    let mut writers: BTreeMap<String, Writer> = BTreeMap::new();
    let mut all_words = 0_i64;
    for (chunk, (text, language)) in (0..).zip(texts.iter().zip(languages)) {
        let analyzer = analyzers
            .entry(language)
            .or_insert_with(|| Analyzer::new(language));
        let Terms { stems, exact } = analyzer.terms(text);
        let words = u32::try_from(stems.len()).unwrap_or(u32::MAX);
        all_words += i64::from(words);
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for term in stems.into_iter().chain(exact) {
            *counts.entry(term).or_default() += 1;
        }
        for (term, count) in counts {
            writers.entry(term).or_default().push(Entry {
                chunk,
                count,
                words,
            });
        }
    }
    let segment = NewSegment {
        chunks: i32::try_from(chunks.len()).unwrap_or(i32::MAX),
        words: all_words,
        languages: analyzers
            .keys()
            .flatten()
            .map(|language| language.code().to_owned())
            .collect(),
        postings: writers
            .into_iter()
            .map(|(term, writer)| (term, writer.bytes))
            .collect(),
    };
    (segment, most)
}

/// Where the chunks of some segments go in a new one.
pub(super) struct Renumbering {
    /// For each source its stretches to keep, with the new number of the first of its chunks.
    sources: Vec<(i64, Vec<(Stretch, u32)>)>,
}

impl Renumbering {
    pub(super) fn new(sources: &[(i64, Vec<Stretch>)]) -> Self {
        let mut next = 0;
        let sources = sources
            .iter()
            .map(|(id, stretches)| {
                let placed = stretches
                    .iter()
                    .map(|stretch| {
                        let base = next;
                        next += stretch.chunks.cast_unsigned();
                        (*stretch, base)
                    })
                    .collect();
                (*id, placed)
            })
            .collect();
        Self { sources }
    }

    /// The entries of one term in the new segment; empty when all that had it are gone.
    pub(super) fn merged(&self, parts: &BTreeMap<i64, Vec<u8>>) -> Vec<u8> {
        let mut writer = Writer::default();
        for (id, stretches) in &self.sources {
            let Some(bytes) = parts.get(id) else { continue };
            let mut stretches = stretches.iter().peekable();
            for entry in entries(bytes) {
                let ends = |stretch: &Stretch| (stretch.base + stretch.chunks).cast_unsigned();
                while stretches
                    .next_if(|(stretch, _)| ends(stretch) <= entry.chunk)
                    .is_some()
                {}
                let Some((stretch, base)) = stretches.peek() else {
                    break;
                };
                if let Some(at) = entry.chunk.checked_sub(stretch.base.cast_unsigned()) {
                    writer.push(Entry {
                        chunk: base + at,
                        ..entry
                    });
                }
            }
        }
        writer.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text: &str) -> ChunkText {
        ChunkText {
            heading: None,
            text: text.to_owned(),
        }
    }

    fn of(segment: &NewSegment, term: &str) -> Vec<(u32, u32, u32)> {
        let found = segment.postings.iter().find(|(found, _)| found == term);
        found.map_or_else(Vec::new, |(_, bytes)| {
            entries(bytes)
                .map(|entry| (entry.chunk, entry.count, entry.words))
                .collect()
        })
    }

    const PUMPS: &str =
        "The pump must be primed before its first use. A pump without water breaks.";
    const FILTERS: &str =
        "The filter is washed every week with warm water, and changed once a year.";

    #[test]
    fn a_term_knows_its_chunks_how_often_it_stands_there_and_how_long_they_are() {
        let (segment, language) = index(&[chunk(PUMPS), chunk(FILTERS)], None);
        assert_eq!(language.map(Language::code), Some("en"));
        assert_eq!(of(&segment, "pump"), [(0, 2, 9)]);
        assert_eq!(of(&segment, "water"), [(0, 1, 9), (1, 1, 8)]);
        assert_eq!(segment.words, 17);
        assert_eq!(segment.languages, ["en"]);
    }

    #[test]
    fn numbers_of_any_size_come_back() {
        let wanted = [
            Entry {
                chunk: 0,
                count: 1,
                words: 127,
            },
            Entry {
                chunk: 300,
                count: 128,
                words: 20_000,
            },
            Entry {
                chunk: u32::MAX - 1,
                count: u32::MAX,
                words: 0,
            },
        ];
        let mut writer = Writer::default();
        for entry in wanted {
            writer.push(entry);
        }
        assert_eq!(entries(&writer.bytes).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn bytes_that_make_no_sense_end_the_list() {
        assert_eq!(entries(&[0x80]).count(), 0);
        assert_eq!(entries(&[1, 1]).count(), 0);
        assert_eq!(entries(&[0xff; 20]).count(), 0);
    }

    #[test]
    fn segments_become_one_without_the_chunks_that_are_gone() {
        let (first, _) = index(&[chunk(PUMPS), chunk(FILTERS), chunk(PUMPS)], None);
        let (second, _) = index(&[chunk(FILTERS)], None);
        let stretch = |segment, base, chunks| Stretch {
            segment,
            base,
            chunks,
            words: 0,
        };
        // The first segment's middle chunk is gone.
        let renumbering = Renumbering::new(&[
            (1, vec![stretch(1, 0, 1), stretch(1, 2, 1)]),
            (2, vec![stretch(2, 0, 1)]),
        ]);
        let merged = |term: &str| {
            let parts = [(1, &first), (2, &second)]
                .into_iter()
                .filter_map(|(id, segment)| {
                    let (_, bytes) = segment.postings.iter().find(|(found, _)| found == term)?;
                    Some((id, bytes.clone()))
                })
                .collect();
            let chunks: Vec<u32> = entries(&renumbering.merged(&parts))
                .map(|entry| entry.chunk)
                .collect();
            chunks
        };
        assert_eq!(merged("pump"), [0, 1]);
        assert_eq!(merged("water"), [0, 1, 2]);
        assert_eq!(merged("filter"), [2]);
    }
}
