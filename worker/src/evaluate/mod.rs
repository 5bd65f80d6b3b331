//! The command that says how well questions find their passages, part by part of the search.
//!
//! It goes the way of a question that is asked, from its text to its passages, without the queue.

mod golden;

mod report;

mod scores;

mod set;

use std::{io::Write, path::Path};

use anyhow::{Context as _, Result, bail};
use lectern_shared::{
    ids::{CollectionId, DEFAULT_TENANT},
    store::{collections, reach::Reach},
};
use tokio_util::sync::CancellationToken;

use self::{
    report::Measured,
    scores::{Scores, Times},
    set::Question,
};
use crate::{
    answer::{Ask, Parts, retrieve},
    config::{EvaluateCommand, Variant},
    context::Context,
};

/// Passages that are asked for: several may be of one page, and pages are what is counted.
const PASSAGES: u32 = 60;

/// Questions that are asked before it counts: the first ones find nothing in any cache.
const WARM_UP: usize = 5;

/// Measures, and prints a table; with `--json` the same as a file.
///
/// # Errors
/// When the set can't be read, the collection doesn't exist, or a search fails.
pub async fn run(command: EvaluateCommand, stop: CancellationToken) -> Result<()> {
    let context = Context::connect(command.settings.clone(), &stop).await?;
    let collection = collections::by_name(
        &context.pool,
        &Reach::all(DEFAULT_TENANT),
        &command.collection,
    )
    .await?
    .with_context(|| format!("there is no collection {:?}", command.collection))?;
    let mut questions = match &command.set {
        Some(path) => {
            let file = std::fs::File::open(path)
                .with_context(|| format!("{} can't be read", path.display()))?;
            set::read(std::io::BufReader::new(file))?
        }
        None => golden::read(&context.pool, collection).await?,
    };
    if let Some(path) = &command.export {
        return export(path, &questions);
    }
    if let Some(limit) = command.limit {
        questions.truncate(limit);
    }
    if questions.is_empty() {
        bail!(
            "there are no questions: give a file with --set, or have readers rate answers of this collection"
        );
    }

    let mut rows = Vec::new();
    for variant in &command.variants {
        let (scores, times) = measure(&context, collection, *variant, &questions).await?;
        rows.push(Measured::new(
            &command.collection,
            *variant,
            &context.model_name,
            &scores,
            &times,
        ));
    }
    if let Some(path) = &command.json {
        let json = serde_json::to_vec_pretty(&rows)?;
        std::fs::write(path, json)
            .with_context(|| format!("{} can't be written", path.display()))?;
    }
    std::io::stdout().write_all(report::table(&rows).as_bytes())?;
    Ok(())
}

/// Writes a set, for people to go through.
fn export(path: &Path, questions: &[Question]) -> Result<()> {
    let mut text = String::new();
    for question in questions {
        text.push_str(&serde_json::to_string(question)?);
        text.push('\n');
    }
    std::fs::write(path, text).with_context(|| format!("{} can't be written", path.display()))
}

async fn measure(
    context: &Context,
    collection: CollectionId,
    variant: Variant,
    questions: &[Question],
) -> Result<(Scores, Times)> {
    let mut scores = Scores::default();
    let mut times = Times::default();
    let warm_up = questions
        .iter()
        .take(WARM_UP)
        .map(|question| (question, false));
    let counted = questions.iter().map(|question| (question, true));
    for (question, counts) in warm_up.chain(counted) {
        let ask = Ask {
            tenant: DEFAULT_TENANT,
            collection,
            text: &question.question,
            filter: question.filter.as_ref(),
            passages_max: PASSAGES,
            parts: parts(variant),
        };
        let found = match retrieve(context, &ask, None).await {
            Ok(found) => found,
            Err(error) => bail!("a search failed: {error}"),
        };
        if counts {
            scores.add(question, &found.passages);
            times.add(&found);
        }
    }
    Ok((scores, times))
}

fn parts(variant: Variant) -> Parts {
    Parts {
        words: variant != Variant::Vectors,
        vectors: variant != Variant::Words,
        rerank: variant == Variant::Reranked,
    }
}
