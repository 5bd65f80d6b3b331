//! `lectern rm`: documents, with all that was made from them.

use std::io::{self, BufRead, IsTerminal, Write};

use serde_json::json;

use crate::{
    Session,
    config::Remove,
    documents::{self, Document},
    error::{Error, Result},
};

pub(crate) async fn run(session: &Session, wanted: Remove) -> Result<()> {
    let client = &session.client;
    let mut found: Vec<Document> = Vec::new();
    let collection = session.collection(wanted.collection);
    // All are looked up before the first one goes: a name that is wrong deletes nothing.
    for named in &wanted.documents {
        let document = documents::resolve(client, named, collection.as_deref()).await?;
        let document = documents::parse(client, &document)?;
        if !found.iter().any(|other| other.id == document.id) {
            found.push(document);
        }
    }
    if !wanted.yes {
        confirm(&found).await?;
    }
    for document in &found {
        client.delete(&["documents", &document.id]).await?;
        if session.out.json {
            session
                .out
                .value(&json!({"deleted": document.id, "name": document.name}))?;
        } else {
            session.out.line(&format!("deleted: {}", document.name))?;
        }
    }
    Ok(())
}

async fn confirm(found: &[Document]) -> Result<()> {
    if !io::stdin().is_terminal() {
        return Err(Error::Usage(
            "there is no terminal to ask: add --yes to delete".into(),
        ));
    }
    let names: Vec<&str> = found
        .iter()
        .map(|document| document.name.as_str())
        .collect();
    let question = format!("Delete {} for good? [y/N] ", names.join(", "));
    // On a thread of its own, so that Ctrl-C is heard meanwhile.
    let answer = tokio::task::spawn_blocking(move || {
        let mut stderr = io::stderr().lock();
        stderr.write_all(question.as_bytes())?;
        stderr.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok::<_, io::Error>(line)
    });
    let answer = answer.await.map_err(io::Error::other)??;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Error::local("Nothing was deleted", ""))
    }
}
