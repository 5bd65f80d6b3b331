//! The list of documents: filtered, in an order of choice, page by page.
//!
//! A page goes on after the last document of the one before, by its place in the order: what comes in or goes
//! meanwhile neither doubles nor hides anything else.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::{Result, documents::Document, reach::Reach};
use crate::ids::{CollectionId, DocumentId};

/// What the list is in order of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    CreatedAt,
    UpdatedAt,
    Name,
    Bytes,
    Pages,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub key: Key,
    pub descending: bool,
}

/// Which documents; `None` is any.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub collection: Option<CollectionId>,
    pub state: Option<String>,
    /// A part of the name, whatever its case.
    pub name: Option<String>,
    /// A JSON object that the metadata contain.
    pub metadata: Option<Value>,
    pub media_type: Option<String>,
    /// Of the newest version's file.
    pub sha256: Option<Vec<u8>>,
}

/// A document's place in an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub id: DocumentId,
    /// None in order of creation, which ids are in.
    pub value: Option<PositionValue>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionValue {
    Number(i64),
    Time(DateTime<Utc>),
    Text(String),
}

impl Order {
    /// Where that document stands.
    #[must_use]
    pub fn position(self, document: &Document) -> Position {
        let value = match self.key {
            Key::CreatedAt => None,
            Key::UpdatedAt => Some(PositionValue::Time(document.updated_at)),
            Key::Name => Some(PositionValue::Text(document.name.clone())),
            Key::Bytes => Some(PositionValue::Number(document.bytes)),
            // Unread ones come before those with one page.
            Key::Pages => Some(PositionValue::Number(
                document.pages.unwrap_or_default().into(),
            )),
        };
        Position {
            id: document.id,
            value,
        }
    }

    /// Whether that can be a position in this order.
    #[must_use]
    pub fn has(self, position: &Position) -> bool {
        matches!(
            (self.key, &position.value),
            (Key::CreatedAt, None)
                | (Key::UpdatedAt, Some(PositionValue::Time(_)))
                | (Key::Name, Some(PositionValue::Text(_)))
                | (Key::Bytes | Key::Pages, Some(PositionValue::Number(_)))
        )
    }

    /// What is compared before the id.
    fn expression(self) -> Option<&'static str> {
        match self.key {
            Key::CreatedAt => None,
            Key::UpdatedAt => Some("document.updated_at"),
            Key::Name => Some("document.name"),
            Key::Bytes => Some("newest.bytes"),
            Key::Pages => Some("coalesce(document.pages, 0)::bigint"),
        }
    }
}

/// A page of the documents within reach.
///
/// # Errors
/// When the database fails.
pub async fn list(
    pool: &PgPool,
    reach: &Reach,
    filter: &Filter,
    order: Order,
    after: Option<&Position>,
    limit: u32,
) -> Result<Vec<Document>> {
    // Put together, so that each order can use its index: one statement for all of them could use none.
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(
        "select document.id, collection.name as collection, document.name, title, source_url, metadata, media_type,
             bytes, sha256, state, version, wanted, pages, chunks, notes, language, failure, document.created_at,
             updated_at
         from documents document
         join versions newest on newest.document_id = document.id and newest.number = document.wanted
         join collections collection on collection.id = document.collection_id
         where document.tenant_id = ",
    );
    query.push_bind(reach.tenant.0);
    if let Some(collections) = reach.collections() {
        query
            .push(" and document.collection_id = any(")
            .push_bind(collections)
            .push(")");
    }
    if let Some(collection) = filter.collection {
        query
            .push(" and document.collection_id = ")
            .push_bind(collection.0);
    }
    if let Some(state) = &filter.state {
        query.push(" and document.state = ").push_bind(state);
    }
    if let Some(name) = &filter.name {
        query
            .push(" and position(lower(")
            .push_bind(name)
            .push(") in lower(document.name)) > 0");
    }
    if let Some(metadata) = &filter.metadata {
        query.push(" and document.metadata @> ").push_bind(metadata);
    }
    if let Some(media_type) = &filter.media_type {
        query
            .push(" and newest.media_type = ")
            .push_bind(media_type);
    }
    if let Some(sha256) = &filter.sha256 {
        // The tenant, for the index.
        query
            .push(" and newest.tenant_id = ")
            .push_bind(reach.tenant.0)
            .push(" and newest.sha256 = ")
            .push_bind(sha256);
    }
    let (comparison, direction) = if order.descending {
        (" < ", " desc")
    } else {
        (" > ", "")
    };
    if let Some(after) = after {
        match (order.expression(), &after.value) {
            (Some(expression), Some(value)) => {
                query
                    .push(" and (")
                    .push(expression)
                    .push(", document.id)")
                    .push(comparison)
                    .push("(");
                match value {
                    PositionValue::Number(number) => query.push_bind(number),
                    PositionValue::Time(time) => query.push_bind(time),
                    PositionValue::Text(text) => query.push_bind(text),
                };
                query.push(", ").push_bind(after.id.0).push(")");
            }
            _ => {
                query
                    .push(" and document.id")
                    .push(comparison)
                    .push_bind(after.id.0);
            }
        }
    }
    query.push(" order by ");
    if let Some(expression) = order.expression() {
        query.push(expression).push(direction).push(", ");
    }
    query
        .push("document.id")
        .push(direction)
        .push(" limit ")
        .push_bind(i64::from(limit));
    Ok(query.build_query_as::<Document>().fetch_all(pool).await?)
}
