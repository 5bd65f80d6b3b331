//! BM25 over postings: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with
//! the idf of Lucene, which is never negative.

use std::{cmp::Ordering, collections::BinaryHeap, collections::HashMap};

use lectern_shared::store::lexicon::{Postings, Segment, Stretch};

use super::{analysis::Wanted, postings};

/// The parameters of BM25.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters {
    /// How soon further occurrences of a word stop counting.
    pub(crate) k1: f32,
    /// How much long chunks are held back, from 0 to 1.
    pub(crate) b: f32,
}

/// What there is to search, and what of it may be found.
pub(super) struct Corpus<'a> {
    pub(super) segments: &'a [Segment],
    /// Documents that are gone or not yet there: not found, and not counted.
    pub(super) hidden: &'a [Stretch],
    /// Only these are found; the rest is counted nevertheless. `None`: all.
    pub(super) among: Option<&'a [Stretch]>,
}

/// A chunk by its segment and its number there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) segment: i64,
    pub(super) chunk: u32,
    pub(super) score: f32,
}

impl Corpus<'_> {
    /// Chunks that may be found, by segment.
    pub(super) fn chunks(&self) -> i64 {
        let all: i64 = self
            .segments
            .iter()
            .map(|segment| i64::from(segment.chunks))
            .sum();
        all - self
            .hidden
            .iter()
            .map(|stretch| i64::from(stretch.chunks))
            .sum::<i64>()
    }

    fn words(&self) -> i64 {
        let all: i64 = self.segments.iter().map(|segment| segment.words).sum();
        all - self.hidden.iter().map(|stretch| stretch.words).sum::<i64>()
    }

    /// The best `limit` chunks, best first.
    pub(super) fn best(
        &self,
        wanted: &[Wanted],
        postings: &[Postings],
        parameters: Parameters,
        limit: usize,
    ) -> Vec<Found> {
        let chunks = self.chunks();
        if chunks <= 0 {
            return Vec::new();
        }
        #[expect(clippy::cast_precision_loss, reason = "a mean needs no more digits")]
        let mean_words = (self.words() as f32 / chunks as f32).max(1.0);
        let hidden = by_segment(self.hidden);
        let weights = self.weights(wanted, postings, &hidden, chunks);

        let mut scores: HashMap<i64, Vec<f32>> = HashMap::new();
        for list in postings {
            let Some(segment) = self
                .segments
                .iter()
                .find(|segment| segment.id == list.segment)
            else {
                continue;
            };
            let Some(&weight) = weights.get(list.term.as_str()) else {
                continue;
            };
            let sums = scores
                .entry(list.segment)
                .or_insert_with(|| vec![0.0; usize::try_from(segment.chunks).unwrap_or_default()]);
            let Parameters { k1, b } = parameters;
            for entry in postings::entries(&list.entries) {
                let Some(sum) = sums.get_mut(entry.chunk as usize) else {
                    break;
                };
                #[expect(clippy::cast_precision_loss, reason = "counts of words in a chunk")]
                let (count, words) = (entry.count as f32, entry.words as f32);
                *sum += weight * count / (count + k1 * (1.0 - b + b * words / mean_words));
            }
        }
        for (segment, stretches) in &hidden {
            if let Some(sums) = scores.get_mut(segment) {
                for stretch in stretches {
                    sums[range(stretch)].fill(0.0);
                }
            }
        }
        match self.among {
            None => {
                let all = scores
                    .iter()
                    .map(|(&segment, sums)| (segment, 0, sums.as_slice()));
                top(all, limit)
            }
            Some(among) => {
                let some = among.iter().filter_map(|stretch| {
                    let sums = scores.get(&stretch.segment)?;
                    Some((
                        stretch.segment,
                        stretch.base.cast_unsigned(),
                        &sums[range(stretch)],
                    ))
                });
                top(some, limit)
            }
        }
    }

    /// What each term counts: its idf among the chunks that are not hidden, times its own weight.
    fn weights<'a>(
        &self,
        wanted: &'a [Wanted],
        postings: &[Postings],
        hidden: &HashMap<i64, Vec<Stretch>>,
        chunks: i64,
    ) -> HashMap<&'a str, f32> {
        let mut frequencies: HashMap<&str, usize> = HashMap::new();
        for list in postings {
            let mut entries = 0;
            let hidden = hidden
                .get(&list.segment)
                .map(Vec::as_slice)
                .unwrap_or_default();
            for entry in postings::entries(&list.entries) {
                entries += usize::from(!is_within(entry.chunk, hidden));
            }
            *frequencies.entry(&list.term).or_default() += entries;
        }
        wanted
            .iter()
            .filter_map(|Wanted { term, weight }| {
                let frequency = *frequencies.get(term.as_str())?;
                #[expect(clippy::cast_precision_loss, reason = "the logarithm of a ratio")]
                let (all, with) = (chunks as f32, frequency as f32);
                let idf = (1.0 + (all - with + 0.5).max(0.0) / (with + 0.5)).ln();
                Some((term.as_str(), idf * weight))
            })
            .collect()
    }
}

fn range(stretch: &Stretch) -> std::ops::Range<usize> {
    let base = usize::try_from(stretch.base).unwrap_or_default();
    base..base + usize::try_from(stretch.chunks).unwrap_or_default()
}

fn by_segment(stretches: &[Stretch]) -> HashMap<i64, Vec<Stretch>> {
    let mut found: HashMap<i64, Vec<Stretch>> = HashMap::new();
    for stretch in stretches {
        found.entry(stretch.segment).or_default().push(*stretch);
    }
    found
}

/// Whether a number is in one of these stretches, which are in order.
fn is_within(chunk: u32, stretches: &[Stretch]) -> bool {
    let after = stretches.partition_point(|stretch| stretch.base.cast_unsigned() <= chunk);
    after.checked_sub(1).is_some_and(|at| {
        let stretch = stretches[at];
        chunk < (stretch.base + stretch.chunks).cast_unsigned()
    })
}

/// Ordered so that the worst is the greatest: the one to leave a heap first.
struct Kept(Found);

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> Ordering {
        // Of equals the one that came in first is the better one, so that the order is always the same.
        let place = |kept: &Self| (kept.0.segment, kept.0.chunk);
        other
            .0
            .score
            .total_cmp(&self.0.score)
            .then_with(|| place(self).cmp(&place(other)))
    }
}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Kept {}

/// The best of these scores, each list with its segment and the number of its first chunk.
fn top<'a>(lists: impl Iterator<Item = (i64, u32, &'a [f32])>, limit: usize) -> Vec<Found> {
    let mut best: BinaryHeap<Kept> = BinaryHeap::with_capacity(limit + 1);
    let mut least = 0.0;
    for (segment, base, scores) in lists {
        for (chunk, &score) in (base..).zip(scores) {
            if score <= 0.0 || score < least {
                continue;
            }
            best.push(Kept(Found {
                segment,
                chunk,
                score,
            }));
            if best.len() > limit {
                best.pop();
                least = best.peek().map_or(0.0, |worst| worst.0.score);
            }
        }
    }
    best.into_sorted_vec()
        .into_iter()
        .map(|kept| kept.0)
        .collect()
}

#[cfg(test)]
mod tests {
    use lectern_shared::store::lexicon::ChunkText;

    use super::{
        super::{Language, analysis, postings::index},
        *,
    };

    const PARAMETERS: Parameters = Parameters { k1: 1.2, b: 0.75 };

    const TEXTS: [&str; 4] = [
        "The pump must be primed with water before its first use.",
        "The filter is washed with water every week.",
        "The tank holds nine litres of water.",
        "A pump that runs dry is a broken pump.",
    ];

    /// Each text as a segment of its own if `apart`, else all in one.
    fn search(
        question: &str,
        apart: bool,
        hidden: &[Stretch],
        among: Option<&[Stretch]>,
    ) -> Vec<(i64, u32, f32)> {
        let chunk = |text: &&str| ChunkText {
            heading: None,
            text: (*text).to_owned(),
        };
        let all: Vec<ChunkText> = TEXTS.iter().map(chunk).collect();
        let parts: Vec<&[ChunkText]> = if apart {
            all.chunks(1).collect()
        } else {
            vec![&all]
        };
        let mut segments = Vec::new();
        let mut postings = Vec::new();
        for (id, part) in (0..).zip(parts) {
            let (segment, _) = index(part, Language::from_code("en"));
            segments.push(Segment {
                id,
                chunks: segment.chunks,
                words: segment.words,
                languages: segment.languages,
            });
            for (term, entries) in segment.postings {
                postings.push(Postings {
                    segment: id,
                    term,
                    entries,
                });
            }
        }
        let corpus = Corpus {
            segments: &segments,
            hidden,
            among,
        };
        let stems = analysis::wanted(question, None, &[Language::from_code("en").unwrap()], 0.0);
        corpus
            .best(&stems, &postings, PARAMETERS, 10)
            .into_iter()
            .map(|found| (found.segment, found.chunk, found.score))
            .collect()
    }

    #[test]
    fn a_score_is_that_of_the_formula() {
        let found = search("tanks", false, &[], None);
        assert_eq!(found.len(), 1);
        // Four chunks of so many words without stop words, of which one has it, once.
        let words = [6.0, 5.0, 5.0, 5.0];
        let mean = words.iter().sum::<f32>() / 4.0;
        let expected = (1.0_f32 + 3.5 / 1.5).ln() / (1.0 + 1.2 * (0.25 + 0.75 * words[2] / mean));
        assert!(
            (found[0].2 - expected).abs() < 1e-5,
            "{} {expected}",
            found[0].2
        );
    }

    #[test]
    fn segments_make_no_difference() {
        let whole: Vec<(u32, f32)> = search("pump water", false, &[], None)
            .into_iter()
            .map(|(_, chunk, score)| (chunk, score))
            .collect();
        let apart: Vec<(u32, f32)> = search("pump water", true, &[], None)
            .into_iter()
            .map(|(segment, _, score)| (u32::try_from(segment).unwrap(), score))
            .collect();
        assert_eq!(whole, apart);
        assert_eq!(whole[0].0, 0, "what has both words comes first");
        assert_eq!(whole.len(), 4);
    }

    #[test]
    fn what_is_hidden_is_neither_found_nor_counted() {
        let stretch = Stretch {
            segment: 0,
            base: 3,
            chunks: 1,
            words: 5,
        };
        let found = search("pump", false, &[stretch], None);
        assert_eq!(found.len(), 1);
        let all = search("pump", false, &[], None);
        assert_eq!(all.len(), 2);
        // One of three rather than two of four: the word is rarer now.
        let score_of_first = all.iter().find(|found| found.1 == 0).unwrap().2;
        assert!(found[0].2 > score_of_first);
    }

    #[test]
    fn a_filter_limits_what_is_found_and_not_what_is_counted() {
        let stretch = Stretch {
            segment: 0,
            base: 3,
            chunks: 1,
            words: 5,
        };
        let found = search("pump", false, &[], Some(&[stretch]));
        let all = search("pump", false, &[], None);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0], *all.iter().find(|found| found.1 == 3).unwrap());
    }
}
