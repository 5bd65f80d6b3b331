//! `lectern keys`: who may do what.

use serde_json::{Value, json};

use crate::{
    Session,
    config::{CreateKey, KeyKind, Keys},
    error::Result,
    output::table,
};

pub(crate) async fn run(session: &Session, command: Keys) -> Result<()> {
    match command {
        Keys::Create(wanted) => create(session, wanted).await,
        Keys::List => list(session).await,
        Keys::Revoke { id } => revoke(session, &id).await,
    }
}

async fn create(session: &Session, wanted: CreateKey) -> Result<()> {
    let body = request(wanted);
    let made: Value = session.client.post(&["keys"], &body).await?;
    if session.out.json {
        return session.out.value(&made);
    }
    session
        .out
        .note("The key is shown now and never again; keep it well:");
    session.out.line(made["key"].as_str().unwrap_or_default())
}

fn request(wanted: CreateKey) -> Value {
    let kind = match wanted.kind {
        KeyKind::Secret => "secret",
        KeyKind::Widget => "widget",
    };
    let collections = (!wanted.collections.is_empty()).then_some(wanted.collections);
    json!({
        "name": wanted.name, "kind": kind, "scopes": wanted.scopes, "collections": collections,
        "expires_at": wanted.expires_at, "origins": wanted.origins,
        "requests_per_minute": wanted.requests_per_minute, "asks_per_minute": wanted.asks_per_minute,
        "uploads_per_minute": wanted.uploads_per_minute, "streams_max": wanted.streams_max,
    })
}

async fn list(session: &Session) -> Result<()> {
    let found: Value = session.client.get(&["keys"], &[]).await?;
    if session.out.json {
        return session.out.value(&found);
    }
    let keys = found["keys"].as_array().cloned().unwrap_or_default();
    let titles = [
        "ID",
        "NAME",
        "BEGINS",
        "KIND",
        "SCOPES",
        "COLLECTIONS",
        "STATE",
    ];
    let rows: Vec<_> = keys.iter().map(row).collect();
    session.out.line(&table(&titles, &rows))
}

fn row(key: &Value) -> Vec<String> {
    let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
    let names = |name: &str, none: &str| match key[name].as_array() {
        Some(names) => names
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(","),
        None => none.to_owned(),
    };
    let state = match (key["revoked_at"].as_str(), key["expires_at"].as_str()) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) => format!("until {at}"),
        (None, None) => "valid".to_owned(),
    };
    vec![
        text("id"),
        text("name"),
        text("prefix"),
        text("kind"),
        names("scopes", ""),
        names("collections", "all"),
        state,
    ]
}

async fn revoke(session: &Session, id: &str) -> Result<()> {
    session.client.delete(&["keys", id]).await?;
    if session.out.json {
        return session.out.value(&json!({"revoked": id}));
    }
    session.out.line(&format!("revoked: {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_collections_is_for_all_of_them() {
        let wanted = CreateKey {
            name: "ci".into(),
            kind: KeyKind::Secret,
            scopes: vec!["read".into()],
            collections: Vec::new(),
            expires_at: None,
            origins: Vec::new(),
            requests_per_minute: None,
            asks_per_minute: Some(60),
            uploads_per_minute: None,
            streams_max: None,
        };
        let body = request(wanted);
        assert_eq!(body["collections"], Value::Null);
        assert_eq!(body["kind"], "secret");
        assert_eq!(body["expires_at"], Value::Null);
        assert_eq!(
            (&body["asks_per_minute"], &body["streams_max"]),
            (&json!(60), &Value::Null)
        );
    }
}
