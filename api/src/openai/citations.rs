//! Citations as OpenAI annotates them: where `[1]` stands in the text, and what it leads to.

use axum::http::{HeaderMap, header};
use lectern_shared::{
    events::payload::Source,
    store::{documents, reach::Reach},
};
use serde_json::{Value, json};

use crate::{error::Result, state::AppState};

/// Where this server is, as its clients see it: as it is set, else as they have called it.
pub(super) fn base(state: &AppState, headers: &HeaderMap) -> String {
    let set = state.settings.public_url.trim_end_matches('/');
    if !set.is_empty() {
        return set.to_owned();
    }
    let host = headers.get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    format!("http://{host}")
}

/// The annotations of a text: one for each time that it cites a source.
pub(super) async fn annotations(
    state: &AppState,
    reach: &Reach,
    base: &str,
    text: &str,
    sources: &[Source],
) -> Result<Vec<Value>> {
    let mut annotations = Vec::new();
    for (start, end, number) in marks(text) {
        let Some(source) = sources.iter().find(|source| source.number == number) else {
            continue;
        };
        let document = documents::find(&state.pool, reach, source.document).await?;
        let page = source.page_first;
        // What people said of where it is goes before our own copy.
        let url = document
            .and_then(|document| document.source_url)
            .unwrap_or_else(|| {
                let id = source.document;
                format!("{base}/api/v1/documents/{id}/file#page={page}")
            });
        annotations.push(json!({"type": "url_citation", "url_citation": {
            "start_index": start, "end_index": end, "title": title(source), "url": url,
            // OpenAI's have no more than that; clients pass over what they don't know.
            "quote": source.text, "document": source.document, "page": page,
        }}));
    }
    Ok(annotations)
}

fn title(source: &Source) -> String {
    let name = source.document_title.as_ref();
    let name = name.unwrap_or(&source.document_name);
    match &source.place {
        Some(place) => format!("{name}, {place}"),
        None => format!("{name}, page {}", source.page_first),
    }
}

/// Where citations stand, in characters, and of what: `[1]`, and each number of `[1, 2]`.
fn marks(text: &str) -> Vec<(usize, usize, i16)> {
    let mut marks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (place, c) in text.chars().enumerate() {
        match (c, &mut open) {
            ('[', _) => open = Some((place, String::new())),
            (']', Some((start, inside))) => {
                let numbers: Option<Vec<i16>> = inside
                    .split(',')
                    .map(|number| number.trim().parse().ok())
                    .collect();
                for number in numbers.unwrap_or_default() {
                    marks.push((*start, place + 1, number));
                }
                open = None;
            }
            (_, Some((_, inside))) => inside.push(c),
            _ => {}
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_by_characters_and_other_brackets_are_none() {
        assert_eq!(
            marks("47 € abroad. [1] See [appendix] and [2, 3][x"),
            [(13, 16, 1), (36, 42, 2), (36, 42, 3)]
        );
    }
}
