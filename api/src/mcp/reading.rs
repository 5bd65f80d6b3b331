//! Pages of documents as text, and documents as resources: `lectern://documents/{id}`, and single pages below it.

use lectern_shared::{ids::DocumentId, store::pages};
use rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
};

use super::{
    shapes::{Document, Page, Pages},
    tools,
};
use crate::{
    auth::Caller,
    documents,
    error::{ApiError, Result},
    state::AppState,
};

const DOCUMENTS: &str = "lectern://documents/";

/// Which pages: from the first on to the last, or to the document's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) first: i32,
    pub(super) last: Option<i32>,
}

/// These pages, as many as the server gives at a time.
pub(super) async fn document(
    state: &AppState,
    caller: &Caller,
    id: DocumentId,
    Range { first, last }: Range,
) -> Result<Pages> {
    let document = documents::find(state, caller, id).await?;
    if document.version == 0 {
        return Err(ApiError::Conflict("not read yet"));
    }
    let total = document.pages.unwrap_or_default();
    let last = last.unwrap_or(total).min(total);
    if first < 1 || first > last {
        return Err(ApiError::Invalid(format!(
            "The document has the pages 1 to {total}. Begin with one of these, and end with it or a later one."
        )));
    }
    let settings = &state.settings;
    let until = last.min(first.saturating_add_unsigned(settings.mcp_pages_max.into()) - 1);
    let (reach, chars_max) = (&caller.reach, settings.mcp_chars_max);
    let found = pages::read(&state.pool, reach, id, first..=until, chars_max).await?;
    let read = found.last().map_or(until, |page| page.number);
    let pages = found.into_iter().map(|page| Page {
        number: page.number,
        label: page.label,
        text: page.text,
        cut: page.cut,
    });
    Ok(Pages {
        document: id.to_string(),
        name: document.name,
        title: document.title,
        pages_total: total,
        pages: pages.collect(),
        next_page: (read < last).then_some(read + 1),
    })
}

pub(super) fn resource(document: &Document) -> Resource {
    let title = document.title.as_ref().unwrap_or(&document.name);
    Resource::new(format!("{DOCUMENTS}{}", document.id), document.name.clone())
        .with_title(title.clone())
        .with_mime_type("text/plain")
        .with_description(format!("Of the collection {}", document.collection))
}

pub(super) fn templates() -> Vec<ResourceTemplate> {
    let template = |path: &str, name: &str, description: &str| {
        ResourceTemplate::new(format!("{DOCUMENTS}{path}"), name)
            .with_description(description)
            .with_mime_type("text/plain")
    };
    vec![
        template("{id}", "document", "A document's text, page by page"),
        template(
            "{id}/pages/{page}",
            "page",
            "One page of a document, from 1",
        ),
    ]
}

/// What stands at such an address.
pub(super) async fn read(
    state: &AppState,
    caller: &Caller,
    uri: &str,
) -> std::result::Result<ReadResourceResult, ErrorData> {
    let missing = || {
        let hint =
            "There is nothing at this address, or it is not yours. Look at the list of resources.";
        ErrorData::resource_not_found(hint, None)
    };
    let (id, page) = address(uri).ok_or_else(missing)?;
    let range = Range {
        first: page.unwrap_or(1),
        last: page,
    };
    let found = document(state, caller, id, range).await;
    let found = found.map_err(|error| match error {
        ApiError::NotFound(_) => missing(),
        other => tools::failed(&other),
    })?;
    let at = |page: i32| format!("{DOCUMENTS}{id}/pages/{page}");
    let mut contents = Vec::with_capacity(found.pages.len() + 1);
    for page in found.pages {
        contents.push(ResourceContents::text(page.text, at(page.number)));
    }
    if let Some(next) = found.next_page {
        let text = format!(
            "The document goes on: read {} and those after it.",
            at(next)
        );
        contents.push(ResourceContents::text(text, uri));
    }
    Ok(ReadResourceResult::new(contents))
}

fn address(uri: &str) -> Option<(DocumentId, Option<i32>)> {
    let path = uri.strip_prefix(DOCUMENTS)?;
    let (id, page) = match path.split_once("/pages/") {
        Some((id, page)) => (id, Some(page.parse().ok()?)),
        None => (path, None),
    };
    Some((id.parse().ok()?, page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_a_document_or_of_a_page_and_of_nothing_else() {
        let id = DocumentId::fresh();
        let whole = format!("lectern://documents/{id}");
        assert_eq!(address(&whole), Some((id, None)));
        let page = format!("{whole}/pages/7");
        assert_eq!(address(&page), Some((id, Some(7))));
        for wrong in [
            "lectern://documents/x",
            "lectern://documents/../keys",
            "file:///etc/passwd",
            &format!("{page}x"),
            &format!("{whole}/file"),
        ] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }
}
