//! Where chunks end: the cuts that cost least, over the whole document.
//!
//! Filling one chunk after the other leaves crumbs at the ends of sections and headings without their text.
//! Here each cut and each chunk has a price, and the cheapest way through the units is found as line breaks are in
//! Knuth and Plass, "Breaking Paragraphs into Lines" (1981): in time proportional to units × units of a chunk.

use std::ops::Range;

use super::units::{Begins, Unit};

/// What a chunk costs, besides the square of the share that it is short of the wanted size: so chunks are few, and
/// of like sizes where they can't be full.
const CHUNK: f64 = 1.0;

/// A cut within a paragraph, and one within a sentence; between paragraphs it is free.
const WITHIN_PARAGRAPH: f64 = 0.15;
const WITHIN_SENTENCE: f64 = 0.5;

/// A section that begins within a chunk. More than a chunk: only what is short goes together with the next section.
const SECTION_WITHIN: f64 = 1.75;

/// A heading without what it heads. More than any good that could come of it.
const HEADING_LEFT_BEHIND: f64 = 10.0;

/// The units of each chunk. `limit` is the size of a chunk with units of these prefixes, at the most.
pub(super) fn cuts(
    units: &[Unit],
    wanted: usize,
    limit: impl Fn(&Unit) -> usize,
) -> Vec<Range<usize>> {
    // For each number of units: the least that their chunks cost, and where the last of these begins.
    let mut best = vec![(0.0, 0)];
    for end in 1..=units.len() {
        let mut cheapest = (f64::INFINITY, end - 1);
        let (mut tokens, mut most, mut sections) = (0, wanted, 0.0);
        for first in (0..end).rev() {
            tokens += units[first].tokens;
            most = most.min(limit(&units[first]));
            if tokens > most && first + 1 < end {
                break;
            }
            let short = 1.0 - (tokens.min(wanted) as f64 / wanted as f64);
            let cost = best[first].0 + CHUNK + short * short + sections + cut(units, end);
            if cost < cheapest.0 {
                cheapest = (cost, first);
            }
            if units[first].begins == Begins::Part {
                break;
            }
            if begins_section(units, first) {
                sections += SECTION_WITHIN;
            }
        }
        best.push(cheapest);
    }
    let mut found = Vec::new();
    let mut end = units.len();
    while end > 0 {
        let first = best[end].1;
        found.push(first..end);
        end = first;
    }
    found.reverse();
    found
}

/// Of headings that follow each other, the first.
fn begins_section(units: &[Unit], at: usize) -> bool {
    units[at].is_heading
        && !at
            .checked_sub(1)
            .is_some_and(|before| units[before].is_heading)
}

/// The price of a cut before unit `at`.
fn cut(units: &[Unit], at: usize) -> f64 {
    let Some(unit) = units.get(at) else {
        return 0.0;
    };
    let left_behind = if units[at - 1].is_heading {
        HEADING_LEFT_BEHIND
    } else {
        0.0
    };
    left_behind
        + match unit.begins {
            Begins::Part | Begins::Paragraph => 0.0,
            Begins::Sentence => WITHIN_PARAGRAPH,
            Begins::Rest => WITHIN_SENTENCE,
        }
}

/// The units before a chunk that it repeats: of its own section, up to so many tokens, and whole ones.
pub(super) fn overlap(units: &[Unit], chunk: &Range<usize>, tokens_max: usize) -> Range<usize> {
    let mut first = chunk.start;
    let mut tokens = 0;
    while let Some(before) = first.checked_sub(1) {
        tokens += units[before].tokens;
        let goes_on = !units[first].is_heading
            && !units[before].is_heading
            && units[before].heading == units[chunk.start].heading;
        if !goes_on || tokens > tokens_max {
            break;
        }
        first = before;
    }
    first..chunk.end
}
