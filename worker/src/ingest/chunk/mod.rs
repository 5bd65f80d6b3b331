//! Cutting a document into chunks: whole sentences and rows, up to so many tokens, new ones at headings.
//!
//! Each chunk knows where its text stands on its pages and which titles it stands under. Sizes are those of the
//! model's own tokenizer, so that no part of a chunk is beyond what the model reads.
//!
//! A page is taken apart into `blocks`, these into `units` (with `sentences`, `sizes` and the `outline` of titles);
//! `cuts` says which units are a chunk; `spans` and `places` say where it stands.

mod blocks;
mod cuts;
mod outline;
mod places;
mod sentences;
mod sizes;
mod spans;
mod units;

use std::{borrow::Cow, collections::BTreeMap};

use lectern_shared::store::chunks::Span;

pub(crate) use self::outline::SEPARATOR as HEADINGS_SEPARATOR;
pub(crate) use self::sentences::sentences;
use self::{
    outline::{HeadingIndex, Outline},
    sizes::Sizes,
    spans::Characters,
    units::{Unit, Units},
};
use super::parse::Page;
use crate::models::{EmbedError, TokenCounter};

/// A part of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// The spans' texts, joined by line ends.
    pub text: String,
    /// In order; several on a page where something between them is left out.
    pub spans: Vec<Span>,
    /// The titles that most of the text stands under, outermost first: "3 Methods › 3.2 Data".
    pub heading: Option<String>,
    /// What to call where it stands, if its pages don't say it.
    pub place: Option<String>,
    /// Of the text, without what is put before it.
    pub tokens: usize,
    /// What the model is to read before the text: those of its titles that the text itself doesn't show.
    pub context: Option<String>,
}

impl Chunk {
    #[must_use]
    pub fn page_first(&self) -> u32 {
        self.spans.first().map_or(0, |span| span.page)
    }

    #[must_use]
    pub fn page_last(&self) -> u32 {
        self.spans.last().map_or(0, |span| span.page)
    }

    /// What is embedded for it.
    #[must_use]
    pub fn embedded(&self) -> Cow<'_, str> {
        match &self.context {
            Some(context) => Cow::Owned(format!("{context}\n{}", self.text)),
            None => Cow::Borrowed(&self.text),
        }
    }
}

/// How documents are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSettings {
    /// Tokens of a chunk, at the most; never more than the model reads.
    pub tokens: usize,
    /// Of these, tokens that a chunk repeats of the one before, at the most: whole sentences of its section.
    pub overlap_tokens: usize,
    /// Put the titles before the text that is embedded.
    pub embed_headings: bool,
    /// Join the halves of a sentence that a page's end cuts.
    pub join_pages: bool,
}

/// Cuts documents.
pub struct Chunker {
    sizes: Sizes,
    settings: ChunkSettings,
    /// What the model reads.
    model_tokens: usize,
}

/// A chunk isn't cut smaller than this, whatever the settings say.
const TOKENS_MIN: usize = 16;

impl Chunker {
    #[must_use]
    pub fn new(tokens: TokenCounter, settings: ChunkSettings) -> Self {
        let model_tokens = tokens.text_tokens_max().max(TOKENS_MIN);
        let wanted = settings.tokens.clamp(TOKENS_MIN, model_tokens);
        let room = (wanted / 2).min(wanted - TOKENS_MIN);
        let overlap_tokens = settings.overlap_tokens.min(room);
        let settings = ChunkSettings {
            tokens: wanted - overlap_tokens,
            overlap_tokens,
            ..settings
        };
        Self {
            sizes: Sizes::new(tokens, settings.tokens),
            settings,
            model_tokens,
        }
    }

    /// The chunks of a document, in order; between them they hold every word that isn't furniture, and without
    /// overlap every one once.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn chunks(&self, pages: &[Page]) -> Result<Vec<Chunk>, EmbedError> {
        let (units, outline) = Units::of(pages, &self.sizes, self.settings)?;
        let contexts = self.context_tokens(&units, &outline)?;
        let limit = |unit: &Unit| match unit.heading {
            Some(heading) => self.model_tokens - contexts[&heading] - self.settings.overlap_tokens,
            None => self.model_tokens,
        };
        let mut characters = Characters::default();
        let mut chunks = Vec::new();
        for own in cuts::cuts(&units, self.settings.tokens, limit) {
            let all = cuts::overlap(&units, &own, self.settings.overlap_tokens);
            let mut chunk = assemble(pages, &units[all], &mut characters);
            if let Some(heading) = main_heading(&units[own.clone()]) {
                chunk.heading = some(outline.path(heading));
                // A sentence that fills a chunk leaves no place for titles.
                let fits = chunk.tokens + contexts[&heading] <= self.model_tokens;
                if contexts[&heading] > 0 && fits {
                    let shown: Vec<HeadingIndex> = units[own]
                        .iter()
                        .filter(|unit| unit.is_heading)
                        .filter_map(|unit| unit.heading)
                        .collect();
                    chunk.context = some(outline.path_without(heading, &shown));
                }
            }
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    /// For each heading with text, the tokens of its path, or 0 where it is not put before the text.
    fn context_tokens(
        &self,
        units: &[Unit],
        outline: &Outline,
    ) -> Result<BTreeMap<HeadingIndex, usize>, EmbedError> {
        let mut tokens = BTreeMap::new();
        for heading in units.iter().filter_map(|unit| unit.heading) {
            if tokens.contains_key(&heading) {
                continue;
            }
            let mut count = 0;
            if self.settings.embed_headings {
                count = self.sizes.of(&outline.path(heading))?;
                // Titles must leave the text its place.
                if count > self.model_tokens / 3 {
                    count = 0;
                }
            }
            tokens.insert(heading, count);
        }
        Ok(tokens)
    }
}

/// The heading that most of the text stands under.
fn main_heading(units: &[Unit]) -> Option<HeadingIndex> {
    let mut tokens: BTreeMap<Option<HeadingIndex>, usize> = BTreeMap::new();
    for unit in units {
        // A heading counts only where nothing else does.
        let weight = if unit.is_heading { 0 } else { unit.tokens };
        *tokens.entry(unit.heading).or_default() += weight;
    }
    // Of equals the first.
    let most = tokens.iter().rev().max_by_key(|(_, tokens)| **tokens)?;
    *most.0
}

fn assemble(pages: &[Page], units: &[Unit], characters: &mut Characters) -> Chunk {
    let pieces = spans::joined(pages, units);
    Chunk {
        text: pieces
            .iter()
            .map(|piece| &pages[piece.page].text[piece.range.clone()])
            .collect::<Vec<_>>()
            .join("\n"),
        spans: pieces
            .iter()
            .map(|piece| characters.span(pages, piece))
            .collect(),
        heading: None,
        place: places::place(pages, &pieces),
        tokens: units.iter().map(|unit| unit.tokens).sum(),
        context: None,
    }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// White space of any kind and length as one blank.
pub(crate) fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
