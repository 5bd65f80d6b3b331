//! Passages of a document that touch become one: a generator then reads, and a person sees, whole paragraphs rather
//! than parts of them side by side.

use lectern_shared::store::{
    chunks::{Bounds, Span},
    search::Passage,
};

/// A passage becomes part of its neighbour only if it is worth at least this share of it: what merely stands beside a
/// good passage makes it longer, not better.
const WORTH_JOINING: f64 = 0.5;

/// A passage and the chunks of its document that it consists of.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) passage: Passage,
    /// Places in the document of the first and the last of its chunks. None: not known, it touches nothing.
    pub(super) ordinals: Option<(i32, i32)>,
    /// Of the texts, at the most.
    pub(super) tokens: usize,
}

impl Part {
    /// Whether `next` goes on where this part ends: under the same titles, in the same sheet, chapter or record.
    fn is_followed_by(&self, next: &Self) -> bool {
        let (Some((_, last)), Some((first, _))) = (self.ordinals, next.ordinals) else {
            return false;
        };
        self.passage.document == next.passage.document
            && self.passage.version == next.passage.version
            && self.passage.heading == next.passage.heading
            && self.passage.place == next.passage.place
            && last + 1 == first
    }
}

/// Joins passages as long as what they become stays within `tokens_max`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joining {
    pub(super) tokens_max: usize,
}

impl Joining {
    fn wants(self, one: &Part, other: &Part) -> bool {
        let (one_score, other_score) = (one.passage.score, other.passage.score);
        (one.is_followed_by(other) || other.is_followed_by(one))
            && one.tokens + other.tokens <= self.tokens_max
            && one_score.min(other_score) >= WORTH_JOINING * one_score.max(other_score)
    }

    /// The best `passages_max` passages of `ranked` (best first), where each that touches a better one becomes part of
    /// it.
    pub(super) fn join(self, ranked: Vec<Part>, passages_max: usize) -> Vec<Part> {
        let mut joined: Vec<Part> = Vec::new();
        for part in ranked {
            if let Some(place) = joined.iter().position(|other| self.wants(other, &part)) {
                joined[place] = both(joined[place].clone(), part);
                self.close_gap(&mut joined, place);
            } else if joined.len() < passages_max {
                joined.push(part);
            } else {
                break;
            }
        }
        joined
    }

    /// What stood between two passages joins these as well, at the place of the better.
    fn close_gap(self, joined: &mut Vec<Part>, place: usize) {
        let grown = joined[place].clone();
        let others = joined.iter().enumerate();
        let other = others
            .filter(|(other, _)| *other != place)
            .find(|(_, other)| self.wants(other, &grown))
            .map(|(other, _)| other);
        if let Some(other) = other {
            joined[place.min(other)] = both(grown, joined[other].clone());
            joined.remove(place.max(other));
        }
    }
}

/// Two that touch as one: in the order of the document, under the better's name and with its scores.
fn both(one: Part, other: Part) -> Part {
    let (score, similarity) = (
        one.passage.score.max(other.passage.score),
        one.passage.similarity.max(other.passage.similarity),
    );
    let best_is_one = one.passage.score >= other.passage.score;
    let chunk = if best_is_one {
        one.passage.chunk
    } else {
        other.passage.chunk
    };
    let (mut first, second) = if one.is_followed_by(&other) {
        (one, other)
    } else {
        (other, one)
    };
    append(
        &mut first.passage.text,
        &mut first.passage.spans.0,
        &second.passage.text,
        second.passage.spans.0,
    );
    first.passage.chunk = chunk;
    first.passage.score = score;
    first.passage.similarity = similarity;
    first.passage.page_first = first.passage.page_first.min(second.passage.page_first);
    first.passage.page_last = first.passage.page_last.max(second.passage.page_last);
    first.ordinals = first
        .ordinals
        .zip(second.ordinals)
        .map(|((first, _), (_, last))| (first, last));
    first.tokens += second.tokens;
    first
}

/// Appends a chunk's text and spans to those of the chunk before it, without what it repeats of that one.
///
/// A chunk's text is that of its spans, joined by line ends; so it stays.
fn append(text: &mut String, spans: &mut Vec<Span>, next: &str, next_spans: Vec<Span>) {
    let Some(end) = spans.last().map(|span| (span.page, span.end)) else {
        push_line(text, next);
        spans.extend(next_spans);
        return;
    };
    let shown: Vec<Bounds> = spans.iter().flat_map(|span| span.boxes.clone()).collect();
    let mut rest = next;
    for mut span in next_spans {
        let length = usize::try_from(span.end.saturating_sub(span.start)).unwrap_or(0);
        let (piece, after) = split_at_character(rest, length);
        rest = after.strip_prefix('\n').unwrap_or(after);
        if (span.page, span.end) <= end {
            continue;
        }
        let mut piece = piece;
        if (span.page, span.start) < end {
            let repeated = usize::try_from(end.1 - span.start).unwrap_or(0);
            let kept = split_at_character(piece, repeated).1;
            let trimmed = kept.trim_start();
            let blank = kept[..kept.len() - trimmed.len()].chars().count();
            span.start = end.1 + u32::try_from(blank).unwrap_or(0);
            span.boxes.retain(|bounds| !shown.contains(bounds));
            piece = trimmed;
        }
        push_line(text, piece);
        spans.push(span);
    }
}

fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}

fn split_at_character(text: &str, characters: usize) -> (&str, &str) {
    let at = text
        .char_indices()
        .nth(characters)
        .map_or(text.len(), |(at, _)| at);
    text.split_at(at)
}

/// How many of the passages, best first, are within a budget of tokens; the first always is.
pub(super) fn within(tokens: &[usize], tokens_max: usize) -> usize {
    let sums = tokens.iter().scan(0_usize, |sum, tokens| {
        *sum = sum.saturating_add(*tokens);
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= tokens_max)
        .count()
        .max(tokens.len().min(1))
}

#[cfg(test)]
mod tests {
    use lectern_shared::ids::DocumentId;
    use sqlx::types::Json;

    use super::*;

    /// Of a document whose only page is `PAGE`.
    const PAGE: &str =
        "Tea is grown in Assam. It is picked by hand. Coffee is another matter. Äpfel auch.";

    fn part(document: u128, ordinal: i32, range: std::ops::Range<usize>, score: f64) -> Part {
        let text: String = PAGE.chars().skip(range.start).take(range.len()).collect();
        let start = u32::try_from(range.start).unwrap();
        let end = u32::try_from(range.end).unwrap();
        let span = Span {
            page: 1,
            start,
            end,
            boxes: vec![Bounds([0.0, start as f32, 1.0, end as f32])],
        };
        let passage = Passage {
            chunk: i64::from(ordinal) + 100,
            document: DocumentId(uuid::Uuid::from_u128(document)),
            document_name: "tea.txt".to_owned(),
            document_title: None,
            version: 1,
            ordinal,
            page_first: 1,
            page_last: 1,
            spans: Json(vec![span]),
            heading: Some("Drinks › Leaves".to_owned()),
            place: None,
            text,
            tokens: 10,
            score,
            similarity: score / 2.0,
            words_score: 0.0,
        };
        Part {
            passage,
            ordinals: Some((ordinal, ordinal)),
            tokens: 10,
        }
    }

    fn join(ranked: Vec<Part>, passages_max: usize, tokens_max: usize) -> Vec<Part> {
        Joining { tokens_max }.join(ranked, passages_max)
    }

    fn texts(parts: &[Part]) -> Vec<&str> {
        parts
            .iter()
            .map(|part| part.passage.text.as_str())
            .collect()
    }

    /// That each span is where its text stands.
    fn assert_spans_are_true(part: &Part) {
        let mut stand = Vec::new();
        for span in &part.passage.spans.0 {
            let (start, end) = (span.start as usize, span.end as usize);
            stand.push(
                PAGE.chars()
                    .skip(start)
                    .take(end - start)
                    .collect::<String>(),
            );
        }
        assert_eq!(part.passage.text, stand.join("\n"));
    }

    #[test]
    fn passages_that_touch_become_one_in_the_order_of_the_document_with_the_better_score() {
        let joined = join(
            vec![part(1, 1, 23..44, 0.9), part(1, 0, 0..22, 0.5)],
            5,
            100,
        );
        assert_eq!(
            texts(&joined),
            ["Tea is grown in Assam.\nIt is picked by hand."]
        );
        let whole = &joined[0];
        assert_spans_are_true(whole);
        assert_eq!((whole.passage.score, whole.passage.chunk), (0.9, 101));
        assert_eq!(whole.passage.spans.len(), 2);
        assert_eq!((whole.ordinals, whole.tokens), (Some((0, 1)), 20));
    }

    #[test]
    fn what_a_passage_repeats_of_the_one_before_stands_there_once() {
        // "It is picked by hand." is in both.
        let joined = join(
            vec![part(1, 0, 0..44, 0.9), part(1, 1, 23..70, 0.5)],
            5,
            100,
        );
        assert_eq!(
            texts(&joined),
            ["Tea is grown in Assam. It is picked by hand.\nCoffee is another matter."]
        );
        assert_spans_are_true(&joined[0]);

        // And one that repeats nothing new adds nothing.
        let joined = join(
            vec![part(1, 0, 0..44, 0.9), part(1, 1, 23..44, 0.5)],
            5,
            100,
        );
        assert_eq!(
            texts(&joined),
            ["Tea is grown in Assam. It is picked by hand."]
        );
        assert_spans_are_true(&joined[0]);
    }

    #[test]
    fn passages_that_do_not_touch_stay_apart() {
        let ranked = vec![
            part(1, 0, 0..22, 0.9),
            part(1, 2, 45..70, 0.8),
            part(2, 1, 23..44, 0.7),
        ];
        assert_eq!(join(ranked, 5, 100).len(), 3);
        let mut newer = part(1, 1, 23..44, 0.5);
        newer.passage.version = 2;
        assert_eq!(join(vec![part(1, 0, 0..22, 0.9), newer], 5, 100).len(), 2);
        let unknown = Part {
            ordinals: None,
            ..part(1, 1, 23..44, 0.5)
        };
        assert_eq!(join(vec![part(1, 0, 0..22, 0.9), unknown], 5, 100).len(), 2);
    }

    #[test]
    fn what_is_not_half_as_good_as_its_neighbour_stays_apart() {
        let worse = |score| vec![part(1, 0, 0..22, 0.9), part(1, 1, 23..44, score)];
        assert_eq!(join(worse(0.44), 5, 100).len(), 2);
        assert_eq!(join(worse(0.45), 5, 100).len(), 1);
    }

    #[test]
    fn a_passage_between_two_others_joins_all_three_at_the_place_of_the_best() {
        let ranked = vec![
            part(2, 7, 0..22, 0.95),
            part(1, 2, 45..70, 0.9),
            part(1, 0, 0..22, 0.8),
            part(1, 1, 23..44, 0.7),
        ];
        let joined = join(ranked, 5, 100);
        assert_eq!(
            texts(&joined),
            [
                "Tea is grown in Assam.",
                "Tea is grown in Assam.\nIt is picked by hand.\nCoffee is another matter."
            ]
        );
        assert_eq!(joined[1].passage.score, 0.9);
        assert_spans_are_true(&joined[1]);
    }

    #[test]
    fn no_passage_grows_beyond_its_limit_and_no_more_come_than_are_wanted() {
        let ranked = || {
            vec![
                part(1, 0, 0..22, 0.9),
                part(1, 1, 23..44, 0.8),
                part(1, 2, 45..70, 0.7),
                part(1, 3, 71..82, 0.6),
            ]
        };
        assert_eq!(join(ranked(), 5, 20).len(), 2);
        assert_eq!(join(ranked(), 5, 10).len(), 4);
        assert_eq!(join(ranked(), 3, 10).len(), 3);
        assert_eq!(join(ranked(), 1, 100).len(), 1);
        let joined = join(ranked(), 1, 100);
        assert!(joined[0].passage.text.ends_with("Äpfel auch."));
        assert_spans_are_true(&joined[0]);
    }

    #[test]
    fn passages_of_different_sections_or_records_stay_apart() {
        let of = |heading: &str, place: &str, ordinal: i32| {
            let start = usize::try_from(ordinal).unwrap() * 10;
            let mut part = part(1, ordinal, start..start + 10, 0.9);
            part.passage.heading = Some(heading.to_owned());
            part.passage.place = Some(place.to_owned());
            part
        };
        let same = vec![of("Tea", "record 7", 0), of("Tea", "record 7", 1)];
        assert_eq!(join(same, 5, 100).len(), 1);
        let section = vec![of("Tea", "record 7", 0), of("Milk", "record 7", 1)];
        assert_eq!(join(section, 5, 100).len(), 2);
        let record = vec![of("Tea", "record 7", 0), of("Tea", "record 8", 1)];
        assert_eq!(join(record, 5, 100).len(), 2);
    }
}
