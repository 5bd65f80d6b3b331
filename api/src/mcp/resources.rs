//! Documents as resources: `lectern://documents/{id}`, and single pages below it.

use lectern_shared::ids::DocumentId;
use rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
};

use super::{shapes::Document, tools};
use crate::{
    auth::Caller,
    error::ApiError,
    pages::{self, Range},
    state::AppState,
};

const DOCUMENTS: &str = "lectern://documents/";

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
) -> Result<ReadResourceResult, ErrorData> {
    let missing = || {
        let hint =
            "There is nothing at this address, or it is not yours. Look at the list of resources.";
        ErrorData::resource_not_found(hint, None)
    };
    let (id, page) = address(uri).ok_or_else(missing)?;
    let range = Range {
        first: page,
        last: page,
    };
    let found = pages::read(state, caller, id, range).await;
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
