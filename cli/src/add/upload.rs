//! One file to the server: hashed, looked for, and sent if it isn't there.

use std::{
    io::Read,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::TryStreamExt;
use reqwest::{
    Body, Method,
    multipart::{Form, Part},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio_util::io::ReaderStream;

use super::{Plan, files::File};
use crate::{
    documents::{self, Document},
    error::{Error, Result},
};

/// What the server has.
pub(super) enum Uploaded {
    /// A document that searches see.
    Ready { id: String },
    /// One that is being read, or waits for it.
    Accepted { id: String },
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
    state: String,
}

pub(super) async fn run(plan: &Plan<'_>, file: &File) -> Result<Uploaded> {
    plan.bars.hashing(file);
    let sha256 = sha256(file.path.clone())
        .await
        .map_err(|error| unreadable(file, &error))?;
    let client = &plan.session.client;
    let mut tried = 0;
    loop {
        let sent = match there(plan, &sha256).await {
            Ok(Some(uploaded)) => return Ok(uploaded),
            Ok(None) => send(plan, file).await,
            Err(error) => Err(error),
        };
        let error = match sent {
            Ok(uploaded) => return Ok(uploaded),
            Err(error) => error,
        };
        let Some(wait) = client.wait_before_retry(&error, tried) else {
            return Err(error);
        };
        tried += 1;
        plan.bars.waiting(file, &error, wait);
        tokio::time::sleep(wait).await;
    }
}

/// The document with this content, if the server need not read it again.
async fn there(plan: &Plan<'_>, sha256: &str) -> Result<Option<Uploaded>> {
    let query = [
        ("collection", plan.collection.clone()),
        ("sha256", sha256.to_owned()),
    ];
    let client = &plan.session.client;
    let (found, _) = documents::page(client, &query).await?;
    for document in &found {
        let Document { id, state, .. } = documents::parse(client, document)?;
        match state.as_str() {
            "ready" => return Ok(Some(Uploaded::Ready { id })),
            "queued" | "processing" => return Ok(Some(Uploaded::Accepted { id })),
            // Uploading it again is what has it read again.
            _ => {}
        }
    }
    Ok(None)
}

async fn send(plan: &Plan<'_>, file: &File) -> Result<Uploaded> {
    let client = &plan.session.client;
    let wanted = plan.wanted;
    let mut form = Form::new()
        .text("collection", plan.collection.clone())
        .text("name", file.name.clone());
    let facts = [
        ("title", wanted.title.clone()),
        ("source_url", wanted.source_url.clone()),
        ("metadata", plan.metadata.as_ref().map(ToString::to_string)),
        ("password", wanted.password.clone()),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            form = form.text(name, value);
        }
    }
    let opened = tokio::fs::File::open(&file.path)
        .await
        .map_err(|error| unreadable(file, &error))?;
    let bar = plan.bars.uploading(file);
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let bytes = ReaderStream::with_capacity(opened, 64 << 10).inspect_ok(move |piece| {
        let length = piece.len() as u64;
        counted.fetch_add(length, Ordering::Relaxed);
        bar.inc(length);
    });
    let part =
        Part::stream_with_length(Body::wrap_stream(bytes), file.bytes).file_name(file.name.clone());
    let request = client
        .request(Method::POST, &["documents"])
        .multipart(form.part("file", part));
    let answered = async { client.accept(request.send().await).await };
    let response = tokio::select! {
        response = answered => response?,
        () = silence(plan, &sent) => {
            return Err(Error::Unreachable {
                url: client.url().to_owned(),
                cause: format!("nothing moved for {} s", client.patience.as_secs()),
            });
        }
    };
    let Accepted { id, state } = client.read(response).await?;
    Ok(match state.as_str() {
        "ready" => Uploaded::Ready { id },
        _ => Uploaded::Accepted { id },
    })
}

/// Ends when nothing was sent for as long as the server may be silent.
async fn silence(plan: &Plan<'_>, sent: &AtomicU64) {
    let mut before = 0;
    loop {
        tokio::time::sleep(plan.session.client.patience).await;
        let now = sent.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

fn unreadable(file: &File, error: &std::io::Error) -> Error {
    Error::local(
        format!("{} can't be read: {error}", file.path.display()),
        "Check its permissions.",
    )
}

async fn sha256(path: PathBuf) -> std::io::Result<String> {
    let hashed = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::open(path)?;
        let mut digest = Sha256::new();
        let mut piece = vec![0; 64 << 10];
        loop {
            let length = file.read(&mut piece)?;
            if length == 0 {
                let hash = digest.finalize();
                return Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect());
            }
            digest.update(&piece[..length]);
        }
    });
    hashed.await.map_err(std::io::Error::other)?
}
