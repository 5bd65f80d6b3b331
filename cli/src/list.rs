//! `lectern list`: documents, page by page.

use serde_json::{Value, json};

use crate::{
    Session,
    config::List,
    documents::{self, Document, size},
    error::Result,
    output::table,
};

pub(crate) async fn run(session: &Session, wanted: List) -> Result<()> {
    let fields = [
        ("collection", session.collection(wanted.collection)),
        ("state", wanted.state),
        ("name", wanted.name),
        ("metadata", wanted.metadata.map(|object| object.to_string())),
        ("media_type", wanted.media_type),
        ("sort", wanted.sort),
        ("limit", wanted.limit.map(|limit| limit.to_string())),
    ];
    let query: Vec<(&str, String)> = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let mut cursor = wanted.cursor;
    let mut found = Vec::new();
    loop {
        let mut query = query.clone();
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let (documents, next) = documents::page(&session.client, &query).await?;
        found.extend(documents);
        cursor = next;
        if cursor.is_none() || !wanted.all {
            break;
        }
    }
    if session.out.json {
        return session
            .out
            .value(&json!({"documents": found, "next": cursor}));
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|document| row(session, document))
        .collect::<Result<_>>()?;
    if rows.is_empty() {
        session.out.note("There are none.");
    } else {
        let titles = ["ID", "STATE", "PAGES", "SIZE", "COLLECTION", "NAME"];
        session.out.line(&table(&titles, &rows))?;
    }
    if let Some(cursor) = cursor {
        session
            .out
            .note(&format!("There are more: --all, or --cursor {cursor}"));
    }
    Ok(())
}

fn row(session: &Session, document: &Value) -> Result<Vec<String>> {
    let document: Document = documents::parse(&session.client, document)?;
    let state = match &document.work {
        Some(work) => work.told(),
        None => document.state,
    };
    let pages = document.pages.map(|pages| pages.to_string());
    Ok(vec![
        document.id,
        state,
        pages.unwrap_or_default(),
        size(document.bytes),
        document.collection,
        document.name,
    ])
}
