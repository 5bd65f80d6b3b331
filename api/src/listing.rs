//! The list of documents: filters, orders, and pages that go on where the last one ended.

use axum::{Json, extract::State};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use lectern_shared::store::listing::{self, Filter, Key, Order, Position};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::Caller,
    collections,
    documents::{self, DocumentView},
    error::{ApiError, Result},
    extract::Query,
    fields,
    state::AppState,
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    #[param(pattern = r"^[\p{L}\p{N}._-]{1,64}$")]
    collection: Option<String>,
    #[param(pattern = "^(queued|processing|ready|failed|cancelled)$")]
    state: Option<String>,
    /// A part of the name, whatever its case.
    #[param(pattern = r"^[^\x00]*$")]
    name: Option<String>,
    /// A JSON object that the metadata contain.
    metadata: Option<String>,
    #[param(pattern = r"^[^\x00]*$")]
    media_type: Option<String>,
    /// Of the newest file, in hexadecimal digits.
    #[param(pattern = "^[0-9a-fA-F]{64}$")]
    sha256: Option<String>,
    /// `created_at`, `updated_at`, `name`, `bytes` or `pages`; with `-` before it, from the greatest down.
    #[param(pattern = "^-?(created_at|updated_at|name|bytes|pages)$")]
    sort: Option<String>,
    /// The `next` of the page before.
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DocumentList)]
pub(crate) struct List {
    documents: Vec<DocumentView>,
    /// Pass as `cursor`, with everything else as it was, to get the next page; absent on the last.
    next: Option<String>,
}

const LIST_MAX: u32 = 200;

const STATES: [&str; 5] = ["queued", "processing", "ready", "failed", "cancelled"];

/// `GET /api/v1/documents`
#[utoipa::path(
    get, path = "/api/v1/documents", tag = "Documents", operation_id = "listDocuments",
    summary = "List documents",
    description = "Pages go on where the last one ended, whatever is uploaded or deleted meanwhile.",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of documents", body = List),
    ),
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<List>> {
    let limit = query.limit.unwrap_or(50);
    if limit == 0 || limit > LIST_MAX {
        return Err(ApiError::Invalid(format!(
            "The parameter `limit` goes from 1 to {LIST_MAX}."
        )));
    }
    let order = order(query.sort.as_deref())?;
    let after = match &query.cursor {
        Some(cursor) => Some(position(cursor, order)?),
        None => None,
    };
    let collection = match &query.collection {
        Some(name) => Some(collections::resolve(&state, &caller.reach, Some(name)).await?),
        None => None,
    };
    if let Some(state) = &query.state
        && !STATES.contains(&state.as_str())
    {
        return Err(ApiError::Invalid(format!(
            "The parameter `state` is one of {}.",
            STATES.join(", ")
        )));
    }
    let metadata = query
        .metadata
        .map(|raw| fields::metadata_from(&raw, "metadata"))
        .transpose()?;
    let has_nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
    if has_nul(&query.name) || has_nul(&query.media_type) {
        return Err(ApiError::Invalid(
            "A parameter has a NUL character in it. Take it out.".into(),
        ));
    }
    let sha256 = query.sha256.as_deref().map(digest).transpose()?;
    let filter = Filter {
        collection,
        state: query.state,
        name: query.name,
        metadata,
        media_type: query.media_type,
        sha256,
    };
    // One more than wanted tells whether there is a next page.
    let mut found = listing::list(
        &state.pool,
        &caller.reach,
        &filter,
        order,
        after.as_ref(),
        limit + 1,
    )
    .await?;
    let has_next = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found
        .last()
        .filter(|_| has_next)
        .map(|document| cursor(&order.position(document), order));
    Ok(Json(List {
        documents: documents::views(&state, &caller, found).await?,
        next,
    }))
}

fn digest(raw: &str) -> Result<Vec<u8>> {
    let digits = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    };
    let refused = || {
        ApiError::Invalid("The parameter `sha256` has 64 hexadecimal digits: see sha256sum.".into())
    };
    if raw.len() != 64 || !raw.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(refused());
    }
    let bytes: Option<Vec<u8>> = raw.as_bytes().chunks(2).map(digits).collect();
    bytes.ok_or_else(refused)
}

/// Newest first, unless something else is wanted.
fn order(sort: Option<&str>) -> Result<Order> {
    let sort = sort.unwrap_or("-created_at");
    let name = sort.strip_prefix('-').unwrap_or(sort);
    let key = match name {
        "created_at" => Key::CreatedAt,
        "updated_at" => Key::UpdatedAt,
        "name" => Key::Name,
        "bytes" => Key::Bytes,
        "pages" => Key::Pages,
        _ => {
            return Err(ApiError::Invalid(
                "The parameter `sort` is one of created_at, updated_at, name, bytes, pages, with `-` before it for \
                 the other direction."
                    .into(),
            ));
        }
    };
    Ok(Order {
        key,
        descending: sort.starts_with('-'),
    })
}

fn cursor(position: &Position, order: Order) -> String {
    // It has ids, numbers, times and names in it: nothing that JSON can't say.
    let json = serde_json::to_vec(&(order, position)).unwrap_or_default();
    BASE64_URL_SAFE_NO_PAD.encode(json)
}

fn position(cursor: &str, order: Order) -> Result<Position> {
    BASE64_URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|json| serde_json::from_slice::<(Order, Position)>(&json).ok())
        .filter(|(made_in, position)| *made_in == order && order.has(position))
        .map(|(_, position)| position)
        .ok_or_else(|| {
            ApiError::Invalid(
                "The parameter `cursor` is not from a list in this order. Pass the `next` of the page before, or \
                 begin without it."
                    .into(),
            )
        })
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use lectern_shared::{ids::DocumentId, store::listing::PositionValue};

    use super::*;

    #[test]
    fn a_cursor_reads_back_in_its_own_order_alone() {
        let (by_name, by_change) = (
            order(Some("name")).unwrap(),
            order(Some("-updated_at")).unwrap(),
        );
        for (order, value) in [
            (by_name, PositionValue::Text("2026-01-01T00:00:00Z".into())),
            (by_change, PositionValue::Time(Utc::now())),
        ] {
            let there = Position {
                id: DocumentId::fresh(),
                value: Some(value),
            };
            let cursor = cursor(&there, order);
            assert_eq!(position(&cursor, order).unwrap(), there);
            assert!(position(&cursor, super::order(None).unwrap()).is_err());
            assert!(position(&cursor[1..], order).is_err());
        }
    }
}
