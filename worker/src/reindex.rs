//! `lectern-worker reindex`: switches to another embedding model while the workers answer with the old one.
//!
//! Every passage is embedded anew beside its old vector; then one transaction makes the new ones those that searches
//! read, and the new model the active one. Workers of the old model notice within a second and end: started again with
//! the new settings, they go on. See `shared/src/store/reindex.rs`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use lectern_shared::store::{
    self,
    models::{self, ModelId},
    reindex::{self, Begun, Builder, Missing, Switch},
};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    config::ReindexCommand,
    ingest::HEADINGS_SEPARATOR as SEPARATOR,
    models::{Embedded, EmbedderHandle, TokenSigns},
};

/// How often progress is logged.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How long changes of the table may wait for a moment without readers.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a builder waits for the others' last batches, or for such a moment, before it looks again.
const PAUSE: Duration = Duration::from_millis(200);

/// Titles of a heading's path that are tried to find what was embedded: 2 to this power.
const TITLES_MAX: usize = 8;

/// Does what the command says: tell, give up, forget, or build and switch.
///
/// # Errors
/// When the database or the model can't be reached, another build runs, or somebody gave this one up.
pub async fn run(command: ReindexCommand, stop: CancellationToken) -> Result<()> {
    let pool = store::connect(&command.store)?;
    anyhow::ensure!(
        store::is_migrated(&pool).await,
        "the database can't be reached, or its schema is not up to date: run lectern-api migrate"
    );
    if command.status {
        return tell(&pool).await;
    }
    if command.abort {
        say(if reindex::abort(&pool, PATIENCE).await? {
            "given up; searches go by the active model as before"
        } else {
            "there is no build"
        });
        return Ok(());
    }
    if command.forget {
        let forgotten = reindex::forget(&pool, PATIENCE).await?;
        anyhow::ensure!(
            forgotten,
            "a build runs, or the table is busy: nothing was dropped"
        );
        say("the vectors of the model before are gone");
        return Ok(());
    }
    build(&pool, &command, &stop).await
}

#[expect(clippy::print_stdout, reason = "what this command is for")]
fn say(line: &str) {
    println!("{line}");
}

async fn tell(pool: &PgPool) -> Result<()> {
    let active = models::current(pool).await?;
    let active = active.map_or("none".to_owned(), |model| model.to_string());
    say(&format!("active: {active}"));
    match reindex::progress(pool).await? {
        Some(build) => say(&format!(
            "building: {}, {} of {} passages since {}",
            build.model, build.done, build.total, build.since
        )),
        None => say("building: none"),
    }
    Ok(())
}

async fn build(pool: &PgPool, command: &ReindexCommand, stop: &CancellationToken) -> Result<()> {
    let inbox = command.embedding.embedding_inbox_max;
    let embedder = EmbedderHandle::spawn(command.embedding.model(), inbox)
        .await
        .context("the embedding model can't be loaded")?;
    let identity = embedder.identity();
    let model = match reindex::begin(pool, identity).await? {
        Begun::Building(model) => model,
        Begun::Active => {
            info!(model = %identity, "the model is the active one");
            return Ok(());
        }
        Begun::Empty => {
            info!(model = %identity, "nothing is indexed yet: start a worker with the model");
            return Ok(());
        }
    };
    info!(model = %identity, "building vectors beside those of the active model");
    match build_and_switch(pool, command, &embedder, model, stop).await {
        Ok(true) => {}
        Ok(false) => {
            info!("stopped; run again to go on");
            return Ok(());
        }
        Err(_) if models::is_active(pool, model).await? => {
            info!(model = %identity, "another process has switched");
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    info!(model = %identity, "switched: workers with the old model end, start them with this one");
    if !command.keep_old && !reindex::forget(pool, PATIENCE).await? {
        warn!("the old vectors are still there: drop them with `lectern-worker reindex --forget`");
    }
    Ok(())
}

/// False: told to stop before the end.
async fn build_and_switch(
    pool: &PgPool,
    command: &ReindexCommand,
    embedder: &EmbedderHandle,
    model: ModelId,
    stop: &CancellationToken,
) -> Result<bool> {
    let mut indexed = false;
    loop {
        let with_tokens = command.rerank.keeps_token_vectors(&command.embedding);
        embed_missing(pool, embedder, model, with_tokens, stop).await?;
        if stop.is_cancelled() {
            return Ok(false);
        }
        if !indexed {
            reindex::build_index(pool, command.index_memory_mib).await?;
            indexed = true;
            continue;
        }
        match reindex::switch(pool, model).await? {
            Switch::Done => return Ok(true),
            Switch::Incomplete => {}
            Switch::Busy => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Until there is nothing left that this process or another one could embed, or it is told to stop. `with_tokens`: the
/// vectors of tokens are wanted, too.
async fn embed_missing(
    pool: &PgPool,
    embedder: &EmbedderHandle,
    model: ModelId,
    with_tokens: bool,
    stop: &CancellationToken,
) -> Result<()> {
    let mut builder = Builder::join(pool, model).await?;
    let (mut from, mut told) = (0, Instant::now());
    while !stop.is_cancelled() {
        let batch = builder.take(from).await?;
        let Some(last) = batch.last() else {
            // Others may have what is left, or what came meanwhile may stand before.
            match reindex::progress(pool).await? {
                Some(build) if build.done < build.total => {
                    from = 0;
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Some(_) => return Ok(()),
                None => bail!("this build was aborted or is over"),
            }
        };
        from = last.id + 1;
        let ids: Vec<i64> = batch.iter().map(|missing| missing.id).collect();
        let texts = batch.iter().map(embedded).collect();
        // What compares tokens is to be as good after the switch as before.
        let embedded = if with_tokens {
            embedder.embed_passages_tokens(texts).await?
        } else {
            let vectors = embedder.embed_passages(texts).await?;
            let bare = |vector| Embedded {
                vector,
                tokens: None,
            };
            vectors.into_iter().map(bare).collect()
        };
        let (vectors, token_vectors): (Vec<_>, Vec<_>) = embedded
            .into_iter()
            .map(|passage| (passage.vector, passage.tokens.map(TokenSigns::into_bytes)))
            .unzip();
        builder.store(&ids, &vectors, &token_vectors).await?;
        if told.elapsed() > TELL_EVERY
            && let Some(build) = reindex::progress(pool).await?
        {
            told = Instant::now();
            info!(done = build.done, total = build.total, "building vectors");
        }
    }
    Ok(())
}

/// The text that the chunk's vector is of: its own, perhaps after some of the titles that it stands under.
///
/// Which of them is not written down, but the hash of the whole is: see `Chunker::chunks`.
fn embedded(chunk: &Missing) -> String {
    let Some(heading) = &chunk.heading else {
        return chunk.text.clone();
    };
    let whole = || format!("{heading}\n{}", chunk.text);
    let Some(hash) = chunk.embedded_sha256.as_deref() else {
        return whole();
    };
    let titles: Vec<&str> = heading.split(SEPARATOR).collect();
    let titles = &titles[titles.len().saturating_sub(TITLES_MAX)..];
    // All titles first, none last.
    let subsets = (0..1_u32 << titles.len()).rev();
    let candidates = subsets.map(|subset| {
        let chosen = titles.iter().enumerate();
        let chosen: Vec<&str> = chosen
            .filter(|(at, _)| subset & (1 << at) != 0)
            .map(|(_, title)| *title)
            .collect();
        match chosen.as_slice() {
            [] => chunk.text.clone(),
            chosen => format!("{}\n{}", chosen.join(SEPARATOR), chunk.text),
        }
    });
    std::iter::once(whole())
        .chain(candidates)
        .find(|text| Sha256::digest(text.as_bytes())[..] == *hash)
        .unwrap_or_else(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(heading: &str, embedded: &str) -> Missing {
        Missing {
            id: 1,
            text: "It must not run dry.".to_owned(),
            heading: Some(heading.to_owned()),
            embedded_sha256: Some(Sha256::digest(embedded.as_bytes()).to_vec()),
        }
    }

    #[test]
    fn what_was_embedded_is_found_by_its_hash_whatever_titles_were_put_before_it() {
        let path = ["3 Pump", "3.2 Motor", "3.2.1 Care"].join(SEPARATOR);
        for context in [
            path.clone(),
            ["3 Pump", "3.2.1 Care"].join(SEPARATOR),
            "3.2 Motor".to_owned(),
        ] {
            let text = format!("{context}\nIt must not run dry.");
            assert_eq!(embedded(&missing(&path, &text)), text);
        }
        let bare = "It must not run dry.";
        assert_eq!(embedded(&missing(&path, bare)), bare);
        let other = embedded(&missing(&path, "something else"));
        assert_eq!(other, format!("{path}\nIt must not run dry."));
    }
}
