//! `lectern status`: how the server is and what it is doing, or one document.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    Session,
    config::Status,
    documents::{self, Document, size},
    error::{Error, Result},
};

pub(crate) async fn run(session: &Session, wanted: Status) -> Result<()> {
    match &wanted.document {
        Some(named) => {
            let collection = session.collection(wanted.collection);
            document(session, named, collection.as_deref()).await
        }
        None => server(session).await,
    }
}

async fn server(session: &Session) -> Result<()> {
    let client = &session.client;
    let request = client.request(Method::GET, &["health"]);
    let response = request
        .timeout(client.patience)
        .send()
        .await
        .map_err(|error| client.unreachable(&error))?;
    // A report comes with 503, too, when something is missing.
    let report: Value = client.read(response).await?;
    let ready = report["status"] == "ready";
    let mut documents = json!({});
    if ready {
        for state in ["queued", "processing", "failed"] {
            documents[state] = count(session, state).await?.into();
        }
    }
    if session.out.json {
        session
            .out
            .value(&json!({"url": client.url(), "health": report, "documents": documents}))?;
    } else {
        tell(session, &report, &documents)?;
    }
    if ready {
        Ok(())
    } else {
        Err(Error::Unreachable {
            url: client.url().to_owned(),
            cause: "it is not ready".to_owned(),
        })
    }
}

fn tell(session: &Session, report: &Value, documents: &Value) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or("none").to_owned();
    let part = |part: &Value| match (part["ok"].as_bool(), part["version"].as_str()) {
        (Some(true), Some(version)) => version.to_owned(),
        (Some(true), None) => part["alive"].to_string(),
        _ => "down".to_owned(),
    };
    let mut lines = vec![
        (
            "server",
            format!(
                "{} (Lectern {})",
                session.client.url(),
                text(&report["version"])
            ),
        ),
        ("status", text(&report["status"]).replace('_', " ")),
        ("model", text(&report["model"])),
        ("workers", part(&report["workers"])),
        ("PostgreSQL", part(&report["postgres"])),
        ("Redis", part(&report["redis"])),
    ];
    if let Some(reindex) = report["reindex"].as_object() {
        let told = format!(
            "{}: {}/{} passages",
            text(&reindex["model"]),
            reindex["passages_done"],
            reindex["passages_total"]
        );
        lines.push(("reindex", told));
    }
    if let Some(documents) = documents.as_object() {
        let counted = |state: &str| documents.get(state).map(text).unwrap_or_default();
        if !documents.is_empty() {
            let told = format!(
                "{} waiting, {} being read, {} failed",
                counted("queued"),
                counted("processing"),
                counted("failed")
            );
            lines.push(("documents", told));
        }
    }
    for (name, value) in lines {
        session.out.line(&format!("{name:<11}{value}"))?;
    }
    Ok(())
}

/// How many documents there are in that state; of many only that there are more.
async fn count(session: &Session, state: &str) -> Result<String> {
    let query = [("state", state.to_owned()), ("limit", "200".to_owned())];
    let (found, next) = documents::page(&session.client, &query).await?;
    let more = if next.is_some() { "+" } else { "" };
    Ok(format!("{}{more}", found.len()))
}

async fn document(session: &Session, named: &str, collection: Option<&str>) -> Result<()> {
    let client = &session.client;
    let found = documents::resolve(client, named, collection).await?;
    if session.out.json {
        return session.out.value(&found);
    }
    let document: Document = documents::parse(client, &found)?;
    let mut lines = vec![
        ("name", document.name),
        ("id", document.id),
        ("collection", document.collection),
        ("size", size(document.bytes)),
        ("state", document.state),
        ("version", document.version.to_string()),
    ];
    if let (Some(pages), Some(chunks)) = (document.pages, document.chunks) {
        lines.push(("content", format!("{pages} pages, {chunks} passages")));
    }
    lines.extend(document.work.map(|work| ("work", work.told())));
    lines.extend(document.notes.into_iter().map(|note| ("note", note)));
    lines.extend(document.failure.map(|failure| ("failure", failure.message)));
    for (name, value) in lines {
        session.out.line(&format!("{name:<11}{value}"))?;
    }
    Ok(())
}
