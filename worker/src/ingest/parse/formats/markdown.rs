//! Markdown: CommonMark with tables, footnotes and front matter. Passages are placed by the lines of the source.

use pulldown_cmark::{Event, MetadataBlockKind, Options, Parser, Tag, TagEnd};

use super::super::{ParseFailure, ParseLimits, ParsedDocument};
use super::flow::Flow;
use super::parts::Parts;
use super::{html, text, title};

pub(super) fn read(bytes: &[u8], limits: &ParseLimits) -> Result<ParsedDocument, ParseFailure> {
    let source = text::decode(bytes);
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut reader = Reader {
        flow: Flow::new(Parts::new(limits, Some("lines"))),
        lists: Vec::new(),
        raw: None,
        title: None,
    };
    let mut lines = LineCounter {
        source: source.as_bytes(),
        at: 0,
        number: 1,
    };
    for (event, range) in Parser::new_ext(&source, options).into_offset_iter() {
        if begins_block(&event) {
            reader.flow.number = Some(lines.line_of(range.start));
        }
        reader.take(event)?;
    }
    reader.flow.end_row()?;
    reader.flow.parts.finish(reader.title, Vec::new())
}

struct Reader {
    flow: Flow,
    /// The number of the next item of each list that is open; `None` for bullets.
    lists: Vec<Option<u64>>,
    /// Source of HTML or front matter, until it ends.
    raw: Option<String>,
    title: Option<String>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), ParseFailure> {
        let flow = &mut self.flow;
        match event {
            Event::Start(tag) => return self.start(tag),
            Event::End(tag) => return self.end(tag),
            Event::Text(text) => match &mut self.raw {
                Some(raw) => raw.push_str(&text),
                None => flow.push_verbatim(&text),
            },
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                flow.push_verbatim(&text);
            }
            Event::Html(tags) => {
                if let Some(raw) = &mut self.raw {
                    raw.push_str(&tags);
                }
            }
            Event::InlineHtml(tag) if tag.to_ascii_lowercase().starts_with("<br") => {
                flow.line_break();
            }
            Event::SoftBreak | Event::HardBreak => flow.line_break(),
            Event::Rule => flow.end_block()?,
            Event::InlineHtml(_) | Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
        }
        Ok(())
    }

    fn start(&mut self, tag: Tag<'_>) -> Result<(), ParseFailure> {
        match tag {
            Tag::Heading { level, .. } => self.flow.begin_heading(level as u8)?,
            Tag::List(first) => {
                self.flow.end_block()?;
                self.lists.push(first);
            }
            Tag::Item => {
                self.flow.end_block()?;
                match self.lists.last_mut() {
                    Some(Some(number)) => {
                        self.flow.push_verbatim(&format!("{number}. "));
                        *number = number.saturating_add(1);
                    }
                    _ => self.flow.push_verbatim("- "),
                }
            }
            Tag::TableHead | Tag::TableRow => self.flow.begin_row()?,
            Tag::HtmlBlock | Tag::MetadataBlock(_) => self.raw = Some(String::new()),
            Tag::BlockQuote(_)
            | Tag::CodeBlock(_)
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Table(_) => self.flow.end_block()?,
            // The first paragraph of an item goes on behind its number; others begin after an end.
            Tag::Paragraph | Tag::DefinitionList | Tag::TableCell => {}
            Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript
            | Tag::Link { .. }
            | Tag::Image { .. } => {}
        }
        Ok(())
    }

    fn end(&mut self, tag: TagEnd) -> Result<(), ParseFailure> {
        match tag {
            TagEnd::List(_) => {
                self.flow.end_block()?;
                self.lists.pop();
            }
            TagEnd::TableCell => self.flow.end_cell(),
            TagEnd::TableHead | TagEnd::TableRow => self.flow.end_row()?,
            TagEnd::HtmlBlock => {
                let raw = self.raw.take().unwrap_or_default();
                self.flow.push_verbatim(&html::plain(&raw));
                self.flow.end_block()?;
            }
            TagEnd::MetadataBlock(kind) => {
                let raw = self.raw.take().unwrap_or_default();
                if kind == MetadataBlockKind::YamlStyle {
                    self.title = yaml_title(&raw);
                }
            }
            TagEnd::Heading(_)
            | TagEnd::Paragraph
            | TagEnd::Item
            | TagEnd::BlockQuote(_)
            | TagEnd::CodeBlock
            | TagEnd::FootnoteDefinition
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::Table => self.flow.end_block()?,
            TagEnd::DefinitionList
            | TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::Link
            | TagEnd::Image => {}
        }
        Ok(())
    }
}

fn begins_block(event: &Event<'_>) -> bool {
    use Tag::{CodeBlock, Heading, HtmlBlock, Item, Paragraph, TableHead, TableRow};
    matches!(
        event,
        Event::Start(
            Paragraph | Heading { .. } | Item | CodeBlock(_) | HtmlBlock | TableHead | TableRow
        )
    )
}

/// `title: …` of the front matter; more of YAML isn't needed.
fn yaml_title(yaml: &str) -> Option<String> {
    let value = yaml.lines().find_map(|line| line.strip_prefix("title:"))?;
    title(value.trim().trim_matches(['"', '\'']))
}

/// Numbers of lines for offsets that go up, mostly.
struct LineCounter<'a> {
    source: &'a [u8],
    at: usize,
    number: u32,
}

impl LineCounter<'_> {
    fn line_of(&mut self, offset: usize) -> u32 {
        // Behind what was counted: a nested block that begins with its parent.
        if let Some(between) = self.source.get(self.at..offset) {
            let lines = between.iter().filter(|&&byte| byte == b'\n').count();
            self.number = self
                .number
                .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
            self.at = offset;
        }
        self.number
    }
}
