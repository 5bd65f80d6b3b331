//! The one table from a job's kind to what handles it.

use lectern_shared::{jobs::Kind, store::jobs::Claimed};

use crate::{
    answer, context::Context, embed, error::JobError, import, index, ingest, lexical, purge,
    report::Report, webhook,
};

/// Does the job. Handlers can be called from a test without a queue, may be run twice, and may be dropped at any
/// `.await`.
pub(crate) async fn handle(
    context: &Context,
    job: &Claimed,
    report: &mut Report,
) -> Result<(), JobError> {
    match job.kind {
        Kind::Ingest => ingest::ingest(context, job, report).await,
        Kind::Answer => answer::answer(context, job, report).await,
        Kind::Embed => embed::embed(context, job, report).await,
        Kind::Search => answer::search(context, job, report).await,
        Kind::Index => index::build(context).await,
        Kind::Purge => purge::purge(context, job).await,
        Kind::Import => import::import(context, job, report).await,
        Kind::Faq => answer::faq::embed(context, job).await,
        Kind::Webhook => webhook::deliver(context, job).await,
        Kind::Lexicon => lexical::upkeep::keep(context, job).await,
    }
}
