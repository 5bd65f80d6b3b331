//! Makes lines of a page's characters: where words, cells and lines end, which PDFium's marks alone don't say well.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::directions::{is_right_to_left, reading_order};
use super::place::Bounds;

/// Gaps as shares of the font size. Blanks are a quarter of it in most fonts, a sixth where a line is set tight.
const WORD_GAP_MIN: f32 = 0.15;
/// Beyond what letters of the same line are apart: headings are set wide, and are words nevertheless.
const WORD_GAP_BEYOND: f32 = 0.11;
/// Chinese and Japanese know no blanks, but lines that are set to one width have gaps.
const IDEOGRAPH_GAP_MIN: f32 = 0.4;
/// Wider than the blanks of a line set to full width: another cell, or another column.
const CELL_GAP_MIN: f32 = 1.2;

/// Sizes that differ by more than this share belong to a text and its superscript.
const SIZE_CHANGE_MAX: f32 = 0.15;

/// Of a line's characters, for a bold line: one that starts with a bold word is a line of text.
const BOLD_SHARE_MIN: f64 = 0.9;

/// How far back the letter is looked for that a mark belongs to.
const MARK_WITHIN: usize = 12;

/// A visible character, its box upright.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Glyph {
    pub(super) letter: char,
    pub(super) bounds: Bounds,
    pub(super) size: f32,
    pub(super) is_bold: bool,
    pub(super) before: Before,
}

/// What PDFium has seen between a character and the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    Space,
    LineEnd,
    /// A hyphen that is only there because the line ends.
    Hyphen,
}

/// A line, or a cell of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) bounds: Bounds,
    /// Mean font size in points.
    pub(super) size: f32,
    /// Whether (nearly) all of it is.
    pub(super) is_bold: bool,
    /// Ended with a hyphen, which `text` lacks.
    pub(super) is_hyphenated: bool,
    /// Visible characters.
    pub(super) characters: u32,
}

/// In the order of the characters.
pub(super) fn lines(glyphs: &[Glyph], ends_with_hyphen: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut run = Run::default();
    for glyph in glyphs {
        match run.joint_to(glyph) {
            Joint::End { is_hyphenated } => {
                lines.extend(std::mem::take(&mut run).finish(is_hyphenated));
                run.add(*glyph, Joint::Glued);
            }
            joint => run.add(*glyph, joint),
        }
    }
    lines.extend(run.finish(ends_with_hyphen));
    lines
}

/// How a character follows the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Joint {
    Glued,
    Space,
    /// A gap that nobody has called a blank, as a share of the size.
    Gap(f32),
    End {
        is_hyphenated: bool,
    },
}

/// A line under way.
#[derive(Default)]
struct Run {
    glyphs: Vec<(Glyph, Joint)>,
    has_right_to_left: bool,
    /// Of all characters.
    bottom: Option<f32>,
}

impl Run {
    fn add(&mut self, glyph: Glyph, joint: Joint) {
        self.has_right_to_left |= is_right_to_left(glyph.letter);
        let bottom = glyph.bounds.bottom;
        self.bottom = Some(self.bottom.map_or(bottom, |lowest| lowest.min(bottom)));
        let at = match joint {
            Joint::Glued | Joint::Gap(_) if is_combining_mark(glyph.letter) => {
                self.place_of_mark(&glyph)
            }
            _ => self.place_of_letter(&glyph),
        };
        self.glyphs.insert(at, (glyph, joint));
    }

    /// Before a mark that stands above this letter and not above the one before: of a line that runs to the left,
    /// PDFium finds the mark first.
    fn place_of_letter(&self, letter: &Glyph) -> usize {
        let end = self.glyphs.len();
        match &self.glyphs[..] {
            [.., (before, _), (mark, _)]
                if is_combining_mark(mark.letter)
                    && is_right_to_left(letter.letter)
                    && stands_at(mark, letter)
                    && !stands_at(mark, before) =>
            {
                end - 1
            }
            _ => end,
        }
    }

    /// Behind the letter that it stands above or below: where a file draws marks after the word, PDFium leaves them there.
    fn place_of_mark(&self, mark: &Glyph) -> usize {
        let is_above = |(glyph, _): &(Glyph, Joint)| {
            !is_combining_mark(glyph.letter) && stands_at(mark, glyph)
        };
        let end = self.glyphs.len();
        let is_behind = |(last, _): &(Glyph, Joint)| {
            mark.bounds.right > last.bounds.left || is_right_to_left(mark.letter)
        };
        if self.glyphs.last().is_none_or(is_behind) {
            return end;
        }
        let start = end.saturating_sub(MARK_WITHIN);
        match self.glyphs[start..].iter().rposition(is_above) {
            Some(at) => {
                let behind = self.glyphs[start + at + 1..].iter();
                let marks = behind.take_while(|(glyph, _)| is_combining_mark(glyph.letter));
                start + at + 1 + marks.count()
            }
            None => end,
        }
    }

    fn joint_to(&self, glyph: &Glyph) -> Joint {
        let Some((last, _)) = self.glyphs.last() else {
            return Joint::Glued;
        };
        let end = Joint::End {
            is_hyphenated: glyph.before == Before::Hyphen,
        };
        let size = last.size.max(glyph.size).max(1.0);
        let gap = last.bounds.gap_to(glyph.bounds) / size;
        let shares_row = last.bounds.shares_row_with(glyph.bounds);
        let is_mark = is_combining_mark(glyph.letter);
        // In a line of two directions, neighbours in the text are far apart on the page.
        let is_mixed = self.has_right_to_left || is_right_to_left(glyph.letter);
        let is_cell = shares_row && gap > CELL_GAP_MIN && !is_mixed;
        match glyph.before {
            Before::Hyphen => end,
            Before::LineEnd if shares_row && self.continues(last, glyph, gap) => Joint::Glued,
            Before::LineEnd => end,
            _ if is_cell => end,
            _ if is_mixed && !is_mark && self.is_above(glyph) => end,
            Before::Space if is_mark && !last.letter.is_ascii() => Joint::Glued,
            Before::Space
                if is_ideographic(last.letter)
                    && is_ideographic(glyph.letter)
                    && gap < IDEOGRAPH_GAP_MIN =>
            {
                Joint::Glued
            }
            Before::Space => Joint::Space,
            Before::Nothing if is_mixed && changes_direction(last.letter, glyph.letter) => {
                Joint::Space
            }
            Before::Nothing if self.is_note_number(glyph) => Joint::Space,
            Before::Nothing if shares_row && !is_mixed => Joint::Gap(gap),
            Before::Nothing => Joint::Glued,
        }
    }

    /// PDFium ends a line wherever the next character stands higher or lower: at marks, superscripts and back again.
    fn continues(&self, last: &Glyph, glyph: &Glyph, gap: f32) -> bool {
        if gap.abs() > WORD_GAP_MIN && !is_combining_mark(glyph.letter) {
            return false;
        }
        let differs = is_smaller(last, glyph) || is_smaller(glyph, last);
        // 10 and its exponent, a year and its note: one number to the eye only if they were of one size.
        let are_numbers = last.letter.is_numeric() && glyph.letter.is_numeric();
        !(differs && are_numbers || self.is_note_number(glyph))
    }

    /// Whether the line so far is the small number of a note, and `glyph` begins the note.
    fn is_note_number(&self, glyph: &Glyph) -> bool {
        glyph.letter.is_alphabetic()
            && self
                .glyphs
                .iter()
                .all(|(number, _)| number.letter.is_numeric() && is_smaller(number, glyph))
    }

    fn finish(mut self, is_hyphenated: bool) -> Option<Line> {
        self.order();
        let word_gap = self.word_gap();
        let mut text = String::new();
        let mut bounds: Option<Bounds> = None;
        let (mut sizes, mut bold) = (0.0, 0_u32);
        for (glyph, joint) in &self.glyphs {
            let is_word_end = match joint {
                Joint::Space => true,
                Joint::Gap(gap) => {
                    *gap > word_gap
                        && glyph.letter.is_alphanumeric()
                        && !is_ideographic(glyph.letter)
                        && text.ends_with(|c: char| {
                            (c.is_alphanumeric() || ",.;:)".contains(c)) && !is_ideographic(c)
                        })
                }
                Joint::Glued | Joint::End { .. } => false,
            };
            if is_word_end && !text.is_empty() {
                text.push(' ');
            }
            push_letter(&mut text, glyph.letter);
            sizes += glyph.size;
            bold += u32::from(glyph.is_bold);
            bounds = Some(bounds.map_or(glyph.bounds, |line| line.union(glyph.bounds)));
        }
        let characters = u32::try_from(self.glyphs.len()).unwrap_or(u32::MAX);
        Some(Line {
            text,
            bounds: bounds?,
            size: sizes / characters.max(1) as f32,
            is_bold: f64::from(bold) >= f64::from(characters) * BOLD_SHARE_MIN,
            is_hyphenated,
            characters,
        })
    }

    /// Puts a line of two directions into the order in which it is read.
    fn order(&mut self) {
        let glyphs = self.glyphs.iter().map(|(glyph, _)| *glyph);
        let Some(placed) = self
            .has_right_to_left
            .then(|| reading_order(glyphs))
            .flatten()
        else {
            return;
        };
        let mut before = None;
        let ordered = placed.into_iter().map(|one| {
            let letter = one.glyph.letter;
            let is_turn = before.is_some_and(|before| changes_direction(before, letter));
            before = Some(letter);
            let joint = if one.after_blank || is_turn {
                Joint::Space
            } else {
                Joint::Glued
            };
            (one.glyph, joint)
        });
        self.glyphs = ordered.collect();
    }

    /// Whether the character stands in a row of its own: where a line has two directions, PDFium doesn't always say that
    /// it ends.
    fn is_above(&self, glyph: &Glyph) -> bool {
        self.bottom.is_some_and(|bottom| bottom > glyph.bounds.top)
    }

    /// The gap from which on it is a blank, by what is usual in the line.
    fn word_gap(&self) -> f32 {
        let mut gaps: Vec<f32> = self
            .glyphs
            .iter()
            .filter_map(|(_, joint)| match joint {
                Joint::Gap(gap) => Some(*gap),
                _ => None,
            })
            .collect();
        if gaps.is_empty() {
            return WORD_GAP_MIN;
        }
        let middle = gaps.len() / 2;
        let (_, median, _) = gaps.select_nth_unstable_by(middle, f32::total_cmp);
        WORD_GAP_MIN.max(*median + WORD_GAP_BEYOND)
    }
}

/// By the box: the size is only asked for where PDFium sees a word begin.
fn is_smaller(one: &Glyph, other: &Glyph) -> bool {
    one.bounds.height() < (1.0 - SIZE_CHANGE_MAX) * other.bounds.height()
}

fn stands_at(mark: &Glyph, letter: &Glyph) -> bool {
    let middle = (mark.bounds.left + mark.bounds.right) / 2.0;
    (letter.bounds.left..letter.bounds.right).contains(&middle)
}

/// Presentation forms (ligatures, the shapes of Arabic letters, radicals used as characters) are looks, not letters:
/// nobody searches for "ﬁnance" with a ligature.
fn push_letter(text: &mut String, letter: char) {
    let is_form = matches!(letter, '\u{fb00}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{2e80}'..='\u{2fdf}' | '\u{f900}'..='\u{faff}');
    if is_form {
        text.extend(letter.nfkc().filter(|c| !c.is_whitespace()));
    } else {
        text.push(letter);
    }
}

/// A Latin word within Arabic or Hebrew is a word of its own, whether or not a blank is drawn beside it.
fn changes_direction(left: char, right: char) -> bool {
    let is_word = |c: char| c.is_alphabetic();
    is_word(left) && is_word(right) && is_right_to_left(left) != is_right_to_left(right)
}

fn is_ideographic(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
}
