//! The tenant's budget of tokens: when it is used up, the generator's server isn't asked.
//!
//! FAQs and cached answers go on, since they take no tokens; other questions are answered with quotes, and the answer
//! says why. What is counted is what was taken: answers under way when the budget runs out still come to their end.

use lectern_shared::{
    events::payload::Usage,
    ids::TenantId,
    metrics,
    store::quotas::{self, Exceeded, Quota},
};

use super::generate::Generator;
use crate::{context::Context, error::JobError};

/// The code that clients see.
pub(super) const NOTICE: &str = "budget_exhausted";

/// What is used up, if anything is; never for a generator that takes no tokens.
pub(super) async fn spent(
    context: &Context,
    tenant: TenantId,
) -> Result<Option<Exceeded>, JobError> {
    if matches!(context.generator, Generator::Extractive) {
        return Ok(None);
    }
    let quotas = &context.limits.quotas;
    Ok(quotas::used_up(&context.pool, tenant, &[Quota::Tokens], quotas).await?)
}

/// What readers are told before the quotes, in the question's language.
pub(super) fn notice(spent: &Exceeded, language: Option<&str>) -> String {
    let period: &'static str = if spent.period == "day" {
        "day"
    } else {
        "month"
    };
    ::metrics::counter!(metrics::QUOTA_EXCEEDED, "quota" => "tokens", "period" => period)
        .increment(1);
    let until = spent.resets_at.format("%Y-%m-%d %H:%M UTC");
    match language {
        Some("es") => format!(
            "El presupuesto de respuestas generadas está agotado hasta {until}. Esto dicen los documentos:\n\n"
        ),
        Some("de") => format!(
            "Das Budget für erzeugte Antworten ist bis {until} aufgebraucht. Das sagen die Dokumente:\n\n"
        ),
        _ => format!(
            "The budget for generated answers is used up until {until}. This is what the documents say:\n\n"
        ),
    }
}

/// What counts of an answer.
pub(super) fn tokens(generator: &Generator, usage: &Usage) -> i64 {
    match generator {
        // Counts words, which cost nothing.
        Generator::Extractive => 0,
        Generator::OpenAi(_) => i64::from(usage.prompt_tokens) + i64::from(usage.answer_tokens),
    }
}
