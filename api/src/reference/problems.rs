//! Which operations are refused for what: by what they are, and by what they do.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    auth::Need,
    error::{self, Refusal},
    idempotency, openai,
    table::Route,
};

/// Of all that is shed when there is too much to do.
const OF_ALL: &[&str] = &["internal", "overloaded", "took_too_long"];
const OF_KEYS: &[&str] = &[
    "invalid_request",
    "unauthorized",
    "forbidden",
    "tenant_suspended",
    "rate_limited",
    "limit_unavailable",
    "store_unavailable",
];
const OF_BODIES: &[&str] = &["too_large", "unsupported_encoding", "upload_too_slow"];
const OF_UPLOADS: &[&str] = &[
    "not_found",
    "empty_file",
    "unsupported_type",
    "quota_exceeded",
    "queue_full",
];
const OF_IDEMPOTENCY: &[&str] = &["idempotency_busy", "idempotency_mismatch"];

/// By what an operation does.
fn own(id: &str) -> &'static [&'static str] {
    match id {
        "ask" => &[
            "not_found",
            "conflict",
            "conversation_full",
            "queue_full",
            "quota_exceeded",
            "too_many_streams",
            "events_unavailable",
        ],
        "search" => &[
            "not_found",
            "queue_full",
            "quota_exceeded",
            "no_worker",
            "events_unavailable",
            "generator_unavailable",
        ],
        "createChatCompletion" | "createEmbeddings" => &[
            "model_not_found",
            "queue_full",
            "quota_exceeded",
            "no_worker",
            "too_many_streams",
            "events_unavailable",
            "generator_unavailable",
        ],
        "getModel" => &["model_not_found"],
        "watchDocument" | "watchQuestion" => &["too_many_streams", "events_unavailable"],
        "getFile" => &["file_missing"],
        "changeDocument" => &["changed_meanwhile"],
        "retryDocument" => &["conflict", "queue_full", "events_unavailable"],
        "reingestDocument" => &["queue_full"],
        "retryFailedDocuments" => &["not_found", "events_unavailable"],
        "retryDeadLetter" => &["nothing_to_retry", "events_unavailable"],
        "createFaq" | "replaceFaq" | "answerUnanswered" => &["conflict", "queue_full"],
        "createKey" => &["conflict", "not_found"],
        "cancelDocument" | "cancelImport" | "createCollection" | "createTenant"
        | "changeTenant" | "createWebhook" | "rateAnswer" | "changeRating" => &["conflict"],
        // Collections and tenants that are named beside the address.
        "beginConversation" | "listDocuments" | "listFeedback" | "listUnanswered" | "listKeys" => {
            &["not_found"]
        }
        _ => &[],
    }
}

/// Adds the refusals to the responses of an operation.
pub(super) fn refuse(operation: &mut Value, route: &Route) {
    if route.is_exempt() {
        return;
    }
    let id = operation["operationId"].as_str().unwrap_or_default();
    let mut codes = [OF_ALL, own(id)].concat();
    if route.need != Need::Nothing {
        codes.extend(OF_KEYS);
    }
    if route.path.contains('{') && !route.is_openai {
        codes.push("not_found");
    }
    if operation["requestBody"].is_object() {
        codes.extend(OF_BODIES);
    }
    if route.is_upload() {
        codes.extend(OF_UPLOADS);
    }
    if idempotency::is_taken(&route.method, route.path) {
        codes.extend(OF_IDEMPOTENCY);
    }
    for (status, refusals) in by_status(&codes) {
        operation["responses"][status.to_string()] = if route.is_openai {
            response("application/json", "OpenAiError", "openai_", &refusals)
        } else {
            response("application/problem+json", "Problem", "", &refusals)
        };
    }
}

/// The refusals with these codes, each once.
fn by_status(codes: &[&str]) -> BTreeMap<u16, Vec<Refusal>> {
    let mut found = BTreeMap::<u16, Vec<Refusal>>::new();
    for (status, refusal) in error::kinds() {
        let same = found.entry(status.as_u16()).or_default();
        if codes.contains(&refusal.code) && same.iter().all(|known| known.code != refusal.code) {
            same.push(refusal);
        }
    }
    found.retain(|_, refusals| !refusals.is_empty());
    found
}

fn response(kind: &str, schema: &str, prefix: &str, refusals: &[Refusal]) -> Value {
    let titles: Vec<_> = refusals
        .iter()
        .map(|refusal| format!("`{}`: {}", refusal.code, refusal.title))
        .collect();
    let example = |refusal: &Refusal| {
        let reference = format!("#/components/examples/{prefix}{}", refusal.code);
        (refusal.code.to_owned(), json!({"$ref": reference}))
    };
    let examples: serde_json::Map<_, _> = refusals.iter().map(example).collect();
    let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
    json!({
        "description": titles.join("; "),
        "content": {kind: {"schema": schema, "examples": examples}},
    })
}

/// One of each kind, in our shape and in OpenAI's.
pub(super) fn examples() -> Value {
    let mut examples = json!({});
    for (status, refusal) in error::kinds() {
        let status = status.as_u16();
        let openai = openai::refusal(&refusal, status);
        let Refusal {
            code,
            title,
            detail,
            ..
        } = refusal;
        let ours = json!({"status": status, "code": code, "title": title, "detail": detail});
        examples[format!("openai_{code}")] = json!({"summary": title, "value": openai});
        examples[code] = json!({"summary": title, "value": ours});
    }
    examples
}
