//! Web pages, and the chapters of books: tags one after another, as html5gum finds them.
//!
//! There is no tree, so that nesting costs nothing, however deep. What a tree would be good for, the end of an element
//! that isn't closed, matters only for those that are left out: when nothing remains, less is left out.

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use super::super::{ParseFailure, ParseLimits, ParsedDocument};
use super::flow::Flow;
use super::parts::Parts;
use super::{text, title};

/// Where a page names its encoding (HTML, 13.2.3.2).
const CHARSET_WINDOW: usize = 1024;

pub(super) fn read(bytes: &[u8], limits: &ParseLimits) -> Result<ParsedDocument, ParseFailure> {
    let page = text::decode_labelled(bytes, charset(bytes));
    // Without the element there is no need to look for what is in it.
    let has_main = page.contains("<main") || page.contains("<MAIN");
    let scopes = [Scope::Main, Scope::Body, Scope::All];
    for scope in scopes.into_iter().skip(usize::from(!has_main)) {
        let mut walker = Walker::new(Flow::new(Parts::new(limits, Some("paragraphs"))), scope);
        walker.walk(&page, Syntax::Html)?;
        walker.flow.end_row()?;
        if !walker.flow.parts.is_empty() || scope == Scope::All {
            let name = walker.title.as_deref().and_then(title);
            return walker.flow.parts.finish(name, Vec::new());
        }
    }
    unreachable!("the last scope returns")
}

/// What of a page is read.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Scope {
    /// What the page says is its content.
    Main,
    /// All but menus.
    Body,
    All,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Syntax {
    Html,
    /// `<script/>` is a whole element.
    Xhtml,
}

/// The text of a bit of HTML within another format.
pub(super) fn plain(html: &str) -> String {
    let mut text = String::new();
    for token in Tokenizer::new(html) {
        match token {
            Ok(Token::String(string)) => text.push_str(&String::from_utf8_lossy(&string)),
            Ok(Token::StartTag(tag)) if *tag.name == *b"br" => text.push('\n'),
            _ => {}
        }
    }
    text
}

pub(super) struct Walker {
    pub(super) flow: Flow,
    pub(super) title: Option<String>,
    scope: Scope,
    /// How deep we are in `main`.
    main: u32,
    /// The element that is left out, and how often it is open.
    skipped: Option<(Vec<u8>, u32)>,
    in_title: bool,
    pre: u32,
    /// The number of the next item of each open list; `None` for bullets.
    lists: Vec<Option<u64>>,
}

impl Walker {
    pub(super) fn new(flow: Flow, scope: Scope) -> Self {
        Self {
            flow,
            title: None,
            scope,
            main: 0,
            skipped: None,
            in_title: false,
            pre: 0,
            lists: Vec::new(),
        }
    }

    pub(super) fn walk(&mut self, page: &str, syntax: Syntax) -> Result<(), ParseFailure> {
        let mut emitter = DefaultEmitter::default();
        // Scripts hold things that look like tags, except in XML, where they may not.
        emitter.naively_switch_states(syntax == Syntax::Html);
        for token in Tokenizer::new_with_emitter(page, emitter) {
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) => {
                    let is_whole = tag.self_closing && syntax == Syntax::Xhtml;
                    self.start(&tag)?;
                    if is_whole {
                        self.end(&tag.name)?;
                    }
                }
                Token::EndTag(tag) => self.end(&tag.name)?,
                Token::String(text) => self.text(&String::from_utf8_lossy(&text)),
                Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
            }
        }
        Ok(())
    }

    fn is_in_scope(&self) -> bool {
        self.skipped.is_none() && (self.scope != Scope::Main || self.main > 0)
    }

    fn text(&mut self, text: &str) {
        if self.in_title {
            self.title.get_or_insert_default().push_str(text);
        } else if self.is_in_scope() {
            if self.pre > 0 {
                self.flow.push_verbatim(text);
            } else {
                self.flow.push(text);
            }
        }
    }

    fn start(&mut self, tag: &StartTag<()>) -> Result<(), ParseFailure> {
        let name: &[u8] = &tag.name;
        if let Some((skipped, depth)) = &mut self.skipped {
            *depth += u32::from(skipped == name);
            return Ok(());
        }
        match name {
            b"title" => self.in_title = self.title.is_none(),
            b"main" => {
                self.main += 1;
                self.flow.end_row()?;
            }
            _ if self.is_left_out(name) => self.skipped = Some((name.to_vec(), 1)),
            _ if self.is_in_scope() => self.start_shown(name, tag)?,
            _ => {}
        }
        Ok(())
    }

    fn is_left_out(&self, name: &[u8]) -> bool {
        match name {
            b"script" | b"style" | b"noscript" | b"template" | b"svg" | b"iframe" | b"object"
            | b"canvas" | b"audio" | b"video" | b"select" => true,
            b"nav" => self.scope != Scope::All,
            _ => false,
        }
    }

    fn start_shown(&mut self, name: &[u8], tag: &StartTag<()>) -> Result<(), ParseFailure> {
        let flow = &mut self.flow;
        match name {
            [b'h', digit @ b'1'..=b'6'] => flow.begin_heading(digit - b'0')?,
            b"br" => flow.line_break(),
            b"tr" => flow.begin_row()?,
            b"table" | b"caption" => flow.end_row()?,
            b"td" | b"th" => flow.begin_cell(),
            b"ul" => {
                flow.end_block()?;
                self.lists.push(None);
            }
            b"ol" => {
                flow.end_block()?;
                let first = tag.attributes.get(&b"start"[..]);
                let first = first.and_then(|first| std::str::from_utf8(first).ok()?.parse().ok());
                self.lists.push(Some(first.unwrap_or(1)));
            }
            b"li" => {
                flow.end_block()?;
                match self.lists.last_mut() {
                    Some(Some(number)) => {
                        flow.push_verbatim(&format!("{number}. "));
                        *number = number.saturating_add(1);
                    }
                    _ => flow.push_verbatim("- "),
                }
            }
            b"pre" => {
                flow.end_block()?;
                self.pre += 1;
            }
            b"img" => {
                if let Some(alt) = tag.attributes.get(&b"alt"[..]) {
                    flow.push(" ");
                    flow.push(&String::from_utf8_lossy(alt));
                    flow.push(" ");
                }
            }
            // A paragraph that an item begins with goes on behind its mark.
            b"p" | b"div" if self.lists.last().is_some() && flow.is_item_mark() => {}
            _ if is_block(name) => flow.end_block()?,
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &[u8]) -> Result<(), ParseFailure> {
        if let Some((skipped, depth)) = &mut self.skipped {
            *depth -= u32::from(skipped == name);
            if *depth == 0 {
                self.skipped = None;
            }
            return Ok(());
        }
        match name {
            b"title" => self.in_title = false,
            b"main" => {
                self.flow.end_row()?;
                self.main = self.main.saturating_sub(1);
            }
            _ if !self.is_in_scope() => {}
            b"tr" | b"table" | b"caption" => self.flow.end_row()?,
            b"td" | b"th" => self.flow.end_cell(),
            b"ul" | b"ol" => {
                self.flow.end_block()?;
                self.lists.pop();
            }
            b"pre" => {
                self.flow.end_block()?;
                self.pre = self.pre.saturating_sub(1);
            }
            _ if is_block(name) => self.flow.end_block()?,
            _ => {}
        }
        Ok(())
    }
}

fn is_block(name: &[u8]) -> bool {
    const BLOCKS: [&[u8]; 36] = [
        b"address",
        b"article",
        b"aside",
        b"blockquote",
        b"body",
        b"center",
        b"dd",
        b"details",
        b"dialog",
        b"div",
        b"dl",
        b"dt",
        b"fieldset",
        b"figcaption",
        b"figure",
        b"footer",
        b"form",
        b"h1",
        b"h2",
        b"h3",
        b"h4",
        b"h5",
        b"h6",
        b"header",
        b"hgroup",
        b"hr",
        b"html",
        b"legend",
        b"li",
        b"option",
        b"p",
        b"pre",
        b"section",
        b"summary",
        b"tbody",
        b"thead",
    ];
    BLOCKS.contains(&name)
}

/// The encoding that a page names in its first bytes.
fn charset(bytes: &[u8]) -> Option<&[u8]> {
    let head = &bytes[..bytes.len().min(CHARSET_WINDOW)];
    let at = head
        .windows(8)
        .position(|window| window.eq_ignore_ascii_case(b"charset="))?;
    let value = head[at + 8..].trim_ascii_start();
    let value = value
        .strip_prefix(b"\"")
        .or(value.strip_prefix(b"'"))
        .unwrap_or(value);
    let end = value
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || b"-_:.".contains(byte)));
    Some(&value[..end.unwrap_or(value.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(page: &str) -> String {
        let document = read(page.as_bytes(), &ParseLimits::default()).unwrap();
        document.pages[0].text.clone()
    }

    #[test]
    fn menus_scripts_and_styles_are_left_out() {
        let page = "<title>A &amp; B</title><style>p{}</style><nav><ul><li>Home</ul></nav>\
            <script>if (a<b) document.write('<p>no</p>')</script><p>One <b>bold</b>\n  word.<p>Two.";
        assert_eq!(text(page), "One bold word.\n\nTwo.");
        let document = read(page.as_bytes(), &ParseLimits::default()).unwrap();
        assert_eq!(document.title.as_deref(), Some("A & B"));
    }

    #[test]
    fn what_a_page_calls_its_content_is_all_that_is_read() {
        assert_eq!(
            text("<div>Menu</div><main><p>Content</main><footer>Imprint</footer>"),
            "Content"
        );
        assert_eq!(text("<div>All</div><main> </main>"), "All", "nothing in it");
        assert_eq!(text("<nav><p>never closed"), "never closed");
    }

    #[test]
    fn lists_tables_and_preformatted_text_keep_their_shape() {
        let page = "<ol start=3><li><p>c</p><li>d</ol><ul><li>x</ul>\
            <table><tr><th>Name<th>Price</tr><tr><td>Tea</td><td><p>2</p><p>euros</p></td></tr></table>\
            <pre>a\n  b</pre><img alt='A chart'>";
        assert_eq!(
            text(page),
            "3. c\n\n4. d\n\n- x\n\nName | Price\n\nTea | 2 euros\n\na\n  b\n\nA chart"
        );
    }

    #[test]
    fn a_title_within_a_table_for_looks_is_a_title() {
        let page = "<table><tr><td><h2>Part</h2>Text<td>beside</table>";
        let document = read(page.as_bytes(), &ParseLimits::default()).unwrap();
        assert_eq!(document.pages[0].text, "Part\n\nText | beside");
        assert_eq!(document.pages[0].headings.len(), 1);
    }

    #[test]
    fn the_encoding_a_page_names_is_believed() {
        let mut page = b"<meta charset='windows-1251'><p>".to_vec();
        page.extend_from_slice(b"\xcf\xf0\xe8\xe2\xe5\xf2");
        let document = read(&page, &ParseLimits::default()).unwrap();
        assert_eq!(document.pages[0].text, "Привет");
    }

    #[test]
    fn nesting_costs_nothing() {
        let deep = format!(
            "{}bottom{}",
            "<div><b><ul>".repeat(30_000),
            "</div>".repeat(50)
        );
        assert_eq!(text(&deep), "bottom");
    }
}
