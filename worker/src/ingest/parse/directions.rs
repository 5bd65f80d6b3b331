//! Lines of Hebrew, Arabic and the like that have words or numbers of the other direction in them.
//!
//! A page says where each character stands, not in which order it is read. PDFium guesses the order well while a line
//! runs in one direction, and tears codes, addresses and numbers with signs apart where it doesn't: `KX-4711` becomes
//! `-4711KX`. So such lines are read anew by where their characters stand: from right to left, and what runs the other
//! way from left to right, after the rules of the Unicode Bidirectional Algorithm (UAX #9) that put them there. Its
//! inverse isn't unique: a number beside a Latin word is taken for a part of it.

use unicode_normalization::char::is_combining_mark;

use super::lines::Glyph;

/// A blank, as a share of the font size; Hebrew and Arabic fonts have wider ones.
const BLANK_MIN: f32 = 0.15;

/// A letter with its marks, and whether there is a blank before it.
#[derive(Debug)]
struct Cluster {
    glyphs: Vec<Glyph>,
    after_blank: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToLeft,
    ToRight,
    /// Digits, of whatever script, are written from left to right.
    Number,
    /// What takes its direction from around it.
    Neutral,
}

/// A character of a line, and whether there is a blank before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Placed {
    pub(super) glyph: Glyph,
    pub(super) after_blank: bool,
}

/// A line's characters as they are read; `None` where there is nothing to mend: a line of one direction, or one that
/// runs to the right all in all.
pub(super) fn reading_order(glyphs: impl Iterator<Item = Glyph>) -> Option<Vec<Placed>> {
    let mut clusters = clusters(glyphs);
    clusters.sort_by(|one, other| other.middle().total_cmp(&one.middle()));
    for at in 1..clusters.len() {
        clusters[at].after_blank = clusters[at - 1].is_apart_from(&clusters[at]);
    }
    if !runs_to_left(&clusters) {
        return None;
    }
    for stretch in clusters.split_mut(|cluster| cluster.direction() == Direction::ToLeft) {
        turn_runs(stretch);
    }
    let mut placed: Vec<Placed> = clusters.iter().flat_map(Cluster::placed).collect();
    turn_brackets(&mut placed);
    Some(placed)
}

/// Whether a line has something that runs to the right, and yet no fewer words that run to the left: an address has many
/// letters, but is one word.
fn runs_to_left(clusters: &[Cluster]) -> bool {
    let has = |wanted| clusters.iter().any(|cluster| cluster.direction() == wanted);
    let words = clusters.chunk_by(|_, next| !next.after_blank);
    let directions = words.filter_map(|word| {
        let mut directions = word.iter().map(Cluster::direction);
        directions.find(|direction| matches!(direction, Direction::ToLeft | Direction::ToRight))
    });
    let balance: i32 = directions
        .map(|direction| {
            if direction == Direction::ToLeft {
                1
            } else {
                -1
            }
        })
        .sum();
    balance >= 0 && has(Direction::ToLeft) && (has(Direction::ToRight) || has(Direction::Number))
}

fn clusters(glyphs: impl Iterator<Item = Glyph>) -> Vec<Cluster> {
    let mut clusters: Vec<Cluster> = Vec::new();
    for glyph in glyphs {
        match clusters.last_mut() {
            Some(letter) if is_combining_mark(glyph.letter) => letter.glyphs.push(glyph),
            _ => clusters.push(Cluster {
                glyphs: vec![glyph],
                after_blank: false,
            }),
        }
    }
    clusters
}

/// Turns what runs to the right of a stretch, from right to left, in which nothing runs to the left: all from the first
/// word or number to the last, if there is a word; else each number by itself.
fn turn_runs(stretch: &mut [Cluster]) {
    let runs = |cluster: &Cluster| cluster.direction() != Direction::Neutral;
    if stretch
        .iter()
        .any(|cluster| cluster.direction() == Direction::ToRight)
    {
        let (first, last) = (
            stretch.iter().position(runs),
            stretch.iter().rposition(runs),
        );
        if let Some((first, last)) = first.zip(last) {
            turn(&mut stretch[first..=last]);
        }
        return;
    }
    let mut start = 0;
    while start < stretch.len() {
        let end = end_of_number(stretch, start);
        turn(&mut stretch[start..end]);
        start = end;
    }
}

/// Where the number that begins at `start` ends: digits, and single signs between them as in 3.5, 16:30 and 03-1234567.
/// The next place for what is none.
fn end_of_number(stretch: &[Cluster], start: usize) -> usize {
    let is_digit = |cluster: &Cluster| cluster.direction() == Direction::Number;
    let is_sign = |cluster: &Cluster| "+-,./:\u{2013}".contains(cluster.letter());
    let mut end = start + 1;
    if !is_digit(&stretch[start]) {
        return end;
    }
    loop {
        match &stretch[end..] {
            [digit, ..] if is_digit(digit) && !digit.after_blank => end += 1,
            [sign, digit, ..]
                if is_sign(sign) && is_digit(digit) && !sign.after_blank && !digit.after_blank =>
            {
                end += 2;
            }
            _ => return end,
        }
    }
}

/// From right to left into from left to right; the blanks stay where they are on the page.
fn turn(run: &mut [Cluster]) {
    let blanks: Vec<bool> = run.iter().map(|cluster| cluster.after_blank).collect();
    run.reverse();
    let (first, within) = blanks.split_at(1);
    let blanks = first.iter().chain(within.iter().rev());
    for (cluster, &blank) in run.iter_mut().zip(blanks) {
        cluster.after_blank = blank;
    }
}

/// PDFium mirrors some of the brackets of such lines and leaves others: each kind opens, then closes.
fn turn_brackets(placed: &mut [Placed]) {
    for pair in [['(', ')'], ['[', ']'], ['{', '}'], ['\u{ab}', '\u{bb}']] {
        let count = placed
            .iter()
            .filter(|one| pair.contains(&one.glyph.letter))
            .count();
        if count % 2 == 1 {
            continue;
        }
        let brackets = placed
            .iter_mut()
            .filter(|one| pair.contains(&one.glyph.letter));
        for (bracket, letter) in brackets.zip(pair.into_iter().cycle()) {
            bracket.glyph.letter = letter;
        }
    }
}

impl Cluster {
    fn letter(&self) -> char {
        self.glyphs[0].letter
    }

    fn middle(&self) -> f32 {
        let bounds = self.glyphs[0].bounds;
        (bounds.left + bounds.right) / 2.0
    }

    fn is_apart_from(&self, other: &Self) -> bool {
        let (one, other) = (self.glyphs[0], other.glyphs[0]);
        let size = one.size.max(other.size).max(1.0);
        one.bounds.gap_to(other.bounds) > BLANK_MIN * size
    }

    fn direction(&self) -> Direction {
        match self.letter() {
            c if c.is_numeric() => Direction::Number,
            c if is_right_to_left(c) => Direction::ToLeft,
            c if c.is_alphabetic() => Direction::ToRight,
            _ => Direction::Neutral,
        }
    }

    fn placed(&self) -> impl Iterator<Item = Placed> {
        self.glyphs
            .iter()
            .enumerate()
            .map(|(place, &glyph)| Placed {
                glyph,
                after_blank: self.after_blank && place == 0,
            })
    }
}

pub(super) fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::super::lines::Before;
    use super::super::place::Bounds;
    use super::*;

    /// What is read of characters that stand on the page like this, from left to right, a blank where there is one.
    fn read(page: &str) -> Option<String> {
        let glyphs = page
            .chars()
            .zip(0_u16..)
            .filter(|(letter, _)| *letter != ' ');
        let glyphs = glyphs.map(|(letter, place)| Glyph {
            letter,
            bounds: Bounds {
                left: f32::from(place) * 10.0,
                bottom: 0.0,
                right: f32::from(place) * 10.0 + 9.5,
                top: 10.0,
            },
            size: 10.0,
            is_bold: false,
            before: Before::Nothing,
        });
        let placed = reading_order(glyphs)?;
        let mut text = String::new();
        for one in placed {
            if one.after_blank {
                text.push(' ');
            }
            text.push(one.glyph.letter);
        }
        Some(text)
    }

    /// As a page shows a Hebrew word.
    fn shown(word: &str) -> String {
        word.chars().rev().collect()
    }

    #[test]
    fn codes_numbers_and_addresses_in_hebrew_stay_whole() {
        let (valve, model, of) = (shown("השסתום"), shown("דגם"), shown("של"));
        assert_eq!(
            read(&format!("{of} (KX-4711 {model}) {valve}")).unwrap(),
            "השסתום (דגם KX-4711) של"
        );
        assert_eq!(
            read(&format!("16:30-{of} {valve} 2.5")).unwrap(),
            "2.5 השסתום של-16:30"
        );
        assert_eq!(
            read(&format!("{valve} https://example.org/pump {model}")).unwrap(),
            "דגם https://example.org/pump השסתום"
        );
        assert_eq!(
            read(&format!("{valve} 03-1234567 {model}")).unwrap(),
            "דגם 03-1234567 השסתום"
        );
    }

    #[test]
    fn a_number_beside_a_latin_word_belongs_to_it_and_two_numbers_are_two() {
        let (valve, model) = (shown("השסתום"), shown("דגם"));
        assert_eq!(
            read(&format!("{valve} Windows 10 {model}")).unwrap(),
            "דגם Windows 10 השסתום"
        );
        assert_eq!(
            read(&format!("{valve} 12 34 {model}")).unwrap(),
            "דגם 34 12 השסתום"
        );
    }

    #[test]
    fn brackets_open_and_close_however_they_were_turned() {
        let (valve, model) = (shown("השסתום"), shown("דגם"));
        for page in [
            format!(")7{model}( {valve}"),
            format!("(7{model}) {valve}"),
            format!("(7{model}( {valve}"),
        ] {
            assert_eq!(read(&page).unwrap(), "השסתום (דגם7)");
        }
    }

    #[test]
    fn lines_of_one_direction_are_left_alone() {
        assert_eq!(read(&shown("השסתום של")), None);
        assert_eq!(
            read(&format!("the word {} means a valve", shown("שסתום"))),
            None
        );
        assert_eq!(read(""), None);
    }
}
