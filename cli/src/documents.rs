//! Documents as the API tells of them, and how one is found by what people call it.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    client::Client,
    error::{Error, Result},
};

/// What is needed of a document; the API tells more.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) collection: String,
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) state: String,
    pub(crate) version: i32,
    pub(crate) pages: Option<i32>,
    pub(crate) chunks: Option<i32>,
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    pub(crate) failure: Option<Failure>,
    pub(crate) work: Option<Work>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Failure {
    pub(crate) code: String,
    /// What happened and what to do next.
    pub(crate) message: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Work {
    pub(crate) stage: String,
    pub(crate) done: Option<i64>,
    pub(crate) total: Option<i64>,
    pub(crate) ahead: Option<i64>,
}

impl Work {
    pub(crate) fn told(&self) -> String {
        match (self.done, self.total, self.ahead) {
            (Some(done), Some(total), _) => format!("{} {done}/{total}", self.stage),
            (_, _, Some(ahead)) => format!("{}, {ahead} before it", self.stage),
            _ => self.stage.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Page {
    documents: Vec<Value>,
    next: Option<String>,
}

/// A page of the list, as it came.
pub(crate) async fn page(
    client: &Client,
    query: &[(&str, String)],
) -> Result<(Vec<Value>, Option<String>)> {
    let Page { documents, next } = client.get(&["documents"], query).await?;
    Ok((documents, next))
}

/// The document of that id or, within the collection, of that name.
pub(crate) async fn resolve(
    client: &Client,
    wanted: &str,
    collection: Option<&str>,
) -> Result<Value> {
    if Uuid::parse_str(wanted).is_ok() {
        return client.get(&["documents", wanted], &[]).await;
    }
    let mut query = vec![("name", wanted.to_owned()), ("limit", "200".to_owned())];
    query.extend(collection.map(|name| ("collection", name.to_owned())));
    let mut found = Vec::new();
    loop {
        let (documents, next) = page(client, &query).await?;
        found.extend(
            documents
                .into_iter()
                .filter(|document| document["name"] == wanted),
        );
        let Some(next) = next else { break };
        query.retain(|(name, _)| *name != "cursor");
        query.push(("cursor", next));
    }
    match found.len() {
        0 => Err(Error::Missing(format!("there is no document {wanted:?}"))),
        1 => Ok(found.remove(0)),
        several => Err(Error::Usage(format!(
            "{several} documents are called {wanted:?}: name one by its id, or its collection with --collection"
        ))),
    }
}

pub(crate) fn parse(client: &Client, document: &Value) -> Result<Document> {
    serde_json::from_value(document.clone()).map_err(|error| client.strange(&error))
}

/// Bytes as people read them.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}
