//! The text of a document, page by page, as it was read.

use axum::{Json, extract::State};
use lectern_shared::{ids::DocumentId, store::pages};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::Caller,
    documents,
    error::{ApiError, Result},
    extract::{Path, Query},
    state::AppState,
};

/// Which pages.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    /// Without it the first one.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    pub(crate) first: Option<i32>,
    /// Without it that of the document.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    pub(crate) last: Option<i32>,
}

/// Some pages of a document.
#[derive(Serialize, ToSchema, JsonSchema)]
#[schema(as = DocumentPages)]
pub(crate) struct Pages {
    #[schemars(with = "String")]
    pub(crate) document: DocumentId,
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    /// The version that they are of, which is the one that searches see.
    pub(crate) version: i32,
    pub(crate) pages_total: i32,
    pub(crate) pages: Vec<Page>,
    /// Pages come a limited number at a time; read on here. Null when all that were wanted are there.
    pub(crate) next_page: Option<i32>,
}

#[derive(Serialize, ToSchema, JsonSchema)]
#[schema(as = DocumentPage)]
pub(crate) struct Page {
    /// From 1
    pub(crate) number: i32,
    /// What to call it if not by its number: "Slide 3".
    pub(crate) label: Option<String>,
    /// What the offsets of sources count in.
    pub(crate) text: String,
    /// It has more text than is given at a time.
    pub(crate) cut: bool,
}

/// `GET /api/v1/documents/{id}/pages`
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/pages", tag = "Documents", operation_id = "getPages",
    summary = "Read a document's text",
    description = "Page by page, as it was read out of the file. Formats without pages have parts in their place, with labels.",
    params(("id" = DocumentId, Path, description = "The document"), Range),
    responses(
        (status = 200, description = "As many of the pages as are given at a time", body = Pages),
        (status = 409, description = "It has not been read yet"),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<DocumentId>,
    Query(range): Query<Range>,
) -> Result<Json<Pages>> {
    read(&state, &caller, id, range).await.map(Json)
}

/// These pages, as many as the server gives at a time.
pub(crate) async fn read(
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
    let (first, last) = (first.unwrap_or(1), last.unwrap_or(total).min(total));
    if first < 1 || first > last {
        return Err(ApiError::Invalid(format!(
            "The document has the pages 1 to {total}. Begin with one of these, and end with it or a later one."
        )));
    }
    let settings = &state.settings;
    let until = last.min(first.saturating_add_unsigned(settings.text_pages_max.into()) - 1);
    let (reach, chars_max) = (&caller.reach, settings.text_chars_max);
    let found = pages::read(&state.pool, reach, id, first..=until, chars_max).await?;
    let read = found.last().map_or(until, |page| page.number);
    let pages = found.into_iter().map(|page| Page {
        number: page.number,
        label: page.label,
        text: page.text,
        cut: page.cut,
    });
    Ok(Pages {
        document: id,
        name: document.name,
        title: document.title,
        version: document.version,
        pages_total: total,
        pages: pages.collect(),
        next_page: (read < last).then_some(read + 1),
    })
}
