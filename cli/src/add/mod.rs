//! `lectern add`: files become searchable documents.
//!
//! Nothing is remembered on this side. Each file is hashed first, and the server is asked for that content: what it has
//! is not sent again. So the same command goes on where it was interrupted, from any machine.

mod bars;
mod files;
mod outcome;
mod upload;
mod watch;

use futures::{StreamExt, stream::FuturesUnordered};
use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use self::{
    bars::Bars,
    files::File,
    outcome::{Outcome, Summary},
    upload::Uploaded,
};
use crate::{
    Session,
    config::Add,
    error::{Error, Result},
};

/// Documents that are watched at a time; the server has a limit of open streams.
const WATCHED_MAX: usize = 32;

/// What all uploads have in common.
struct Plan<'a> {
    session: &'a Session,
    collection: String,
    metadata: Option<Value>,
    wanted: &'a Add,
    bars: Bars,
    uploads: Semaphore,
    watched: Semaphore,
}

pub(crate) async fn run(session: &Session, wanted: Add) -> Result<()> {
    let found = files::find(&wanted)?;
    let only = found.files.len() == 1;
    if !only && (wanted.title.is_some() || wanted.source_url.is_some()) {
        return Err(Error::Usage(format!(
            "--title and --source-url are of one file, and there are {}",
            found.files.len()
        )));
    }
    let collection = session.collection(wanted.collection.clone());
    let plan = Plan {
        session,
        collection: collection.unwrap_or_else(|| "default".to_owned()),
        metadata: metadata(&wanted),
        wanted: &wanted,
        bars: Bars::new(&session.out, &found.files),
        uploads: Semaphore::new(wanted.jobs.into()),
        watched: Semaphore::new(WATCHED_MAX),
    };
    tokio::select! {
        ready = ensure_collection(&plan) => ready?,
        () = session.stop.cancelled() => return Err(Error::Interrupted),
    }

    let mut summary = Summary::new(found.files.len());
    let mut under_way: FuturesUnordered<_> = found
        .files
        .iter()
        .map(async |file| (file, one(&plan, file).await))
        .collect();
    loop {
        tokio::select! {
            biased;
            () = session.stop.cancelled() => {
                plan.bars.clear();
                session.out.note(&summary.told());
                session.out.note("The same command goes on from here.");
                return Err(Error::Interrupted);
            }
            next = under_way.next() => {
                let Some((file, outcome)) = next else { break };
                plan.bars.ended(file);
                summary.add(&outcome);
                // A key that isn't valid, or a server that is gone, ends all of them alike.
                if let Outcome::Refused(error) = outcome {
                    if error.ends_all() {
                        plan.bars.clear();
                        session.out.note(&summary.told());
                        return Err(error);
                    }
                    tell(session, file, &Outcome::Refused(error))?;
                } else {
                    tell(session, file, &outcome)?;
                }
            }
        }
    }
    drop(under_way);
    plan.bars.clear();
    if session.out.json {
        session.out.value(&json!({"summary": summary}))?;
    } else {
        session.out.note(&summary.told());
    }
    if summary.failed > 0 {
        return Err(Error::Told);
    }
    Ok(())
}

/// From a file to a document that searches see, or to the reason why not.
async fn one(plan: &Plan<'_>, file: &File) -> Outcome {
    let uploaded = {
        let Ok(_permit) = plan.uploads.acquire().await else {
            return Outcome::Cancelled;
        };
        upload::run(plan, file).await
    };
    let uploaded = match uploaded {
        Ok(uploaded) => uploaded,
        // Of a folder: there are files of all kinds in it. A file that somebody has named is another thing.
        Err(Error::Problem(problem))
            if problem.status == StatusCode::UNSUPPORTED_MEDIA_TYPE && !file.named =>
        {
            return Outcome::Unsupported;
        }
        Err(error) => return Outcome::Refused(error),
    };
    match uploaded {
        Uploaded::Ready { id } => Outcome::There { id },
        Uploaded::Accepted { id } if plan.wanted.no_wait => Outcome::Uploaded { id },
        Uploaded::Accepted { id } => {
            let Ok(_permit) = plan.watched.acquire().await else {
                return Outcome::Cancelled;
            };
            watch::until_over(plan, file, id).await
        }
    }
}

fn tell(session: &Session, file: &File, outcome: &Outcome) -> Result<()> {
    if session.out.json {
        return session.out.value(&outcome.json(file));
    }
    match outcome.told(file) {
        Ok(line) => session.out.line(&line),
        Err(line) => {
            session.out.complain(&line);
            Ok(())
        }
    }
}

/// Refuses a collection that there is not, before the first byte is sent.
async fn ensure_collection(plan: &Plan<'_>) -> Result<()> {
    let client = &plan.session.client;
    let found = client
        .get::<Value>(&["collections", &plan.collection], &[])
        .await;
    match found {
        Err(Error::Problem(problem)) if problem.status == 404 && plan.wanted.create => {
            let body = json!({"name": plan.collection});
            client
                .post::<Value>(&["collections"], &body)
                .await
                .map(drop)
        }
        Err(Error::Problem(problem)) if problem.status == 404 => Err(Error::Missing(format!(
            "there is no collection {:?}; --create makes it",
            plan.collection
        ))),
        other => other.map(drop),
    }
}

fn metadata(wanted: &Add) -> Option<Value> {
    let mut object = match &wanted.metadata {
        Some(Value::Object(object)) => object.clone(),
        _ => Map::new(),
    };
    for (name, value) in &wanted.entries {
        object.insert(name.clone(), Value::String(value.clone()));
    }
    (!object.is_empty()).then_some(Value::Object(object))
}
