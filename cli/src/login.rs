//! `lectern login`, `logout` and `config`: the address, the key and the collection that are stored.

use std::io::{self, BufRead, IsTerminal};

use serde_json::{Value, json};

use crate::{
    Session,
    client::Client,
    config::Login,
    error::{Error, Result},
    profile::{self, Stored},
};

pub(crate) async fn login(session: &Session, wanted: Login) -> Result<()> {
    let url = match &wanted.address {
        Some(raw) => profile::address(raw)?,
        None => session.profile.url.clone(),
    };
    let key = match &session.common.key {
        Some(key) if !key.trim().is_empty() => key.trim().to_owned(),
        _ => ask_for_key(url.as_str()).await?,
    };
    let client = session.client.with_key(url.clone(), Some(key.clone()));
    check(&client).await?;
    let stored = Stored {
        url: Some(url.to_string()),
        key: Some(key),
        collection: session.collection(None),
    };
    profile::write(&session.profile.file, &stored)?;
    if session.out.json {
        return session
            .out
            .value(&json!({"url": url.as_str(), "file": session.profile.file}));
    }
    let file = session.profile.file.display();
    session
        .out
        .line(&format!("{url} knows the key. Stored in {file}"))
}

/// Whether the server knows the key.
async fn check(client: &Client) -> Result<()> {
    match client.get::<Value>(&["me"], &[]).await {
        // A server that doesn't tell who asks still tells whether it lets them.
        Err(Error::Problem(problem)) if problem.status == 404 => {
            client.get::<Value>(&["collections"], &[]).await.map(drop)
        }
        other => other.map(drop),
    }
}

/// Without showing it; from a pipe as its first line.
async fn ask_for_key(url: &str) -> Result<String> {
    let prompt = format!("Key for {url}: ");
    let read = tokio::task::spawn_blocking(move || {
        if io::stdin().is_terminal() {
            return rpassword::prompt_password(prompt);
        }
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(line)
    });
    let key = read
        .await
        .map_err(io::Error::other)
        .and_then(|read| read)
        .map_err(|error| {
            Error::local(
                format!("the key can't be read: {error}"),
                "Give it with --key.",
            )
        })?;
    let key = key.trim();
    if key.is_empty() {
        return Err(Error::Usage(
            "there is no key: type it, give it with --key, or send it through a pipe".into(),
        ));
    }
    Ok(key.to_owned())
}

pub(crate) fn logout(session: &Session) -> Result<()> {
    let stored = Stored {
        key: None,
        ..session.profile.stored.clone()
    };
    profile::write(&session.profile.file, &stored)?;
    if session.out.json {
        return session.out.value(&json!({"file": session.profile.file}));
    }
    session.out.line("The key is forgotten.")
}

pub(crate) fn show(session: &Session) -> Result<()> {
    let profile = &session.profile;
    let key = profile.key.as_deref().map(masked);
    if session.out.json {
        return session
            .out
            .value(&json!({
                "url": profile.url.as_str(), "key": key, "collection": profile.collection, "file": profile.file
            }));
    }
    let key = key.unwrap_or_else(|| "none: store one with `lectern login`".to_owned());
    let collection = profile.collection.as_deref();
    session.out.line(&format!(
        "url         {}\nkey         {key}\ncollection  {}\nfile        {}",
        profile.url,
        collection.unwrap_or("none: the server's own"),
        profile.file.display()
    ))
}

/// As much of a key as tells it from others.
fn masked(key: &str) -> String {
    let shown: String = key.chars().take(12).collect();
    format!("{shown}…")
}
