//! The API's own description (`OpenAPI` 3.1): made of what handlers and types say of themselves, and of the table of
//! routes, which knows who may do what.
//!
//! `examples.json` has a request and a response of each operation, taken from a running Lectern.

mod problems;
pub(crate) mod shapes;

use std::sync::LazyLock;

use axum::{
    body::Bytes,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use lectern_shared::{
    events::payload::{
        AnswerDone, Empty, IngestDone, Progress, Sources as SourcesFound, Status, Token,
    },
    failure::FailureReport,
};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::{
    auth::Need, collections, conversations, documents, error::Problem, faqs, feedback, health,
    idempotency, imports, jobs, keys, listing, openai, operations, pages, questions, routes,
    search, streams, table::Route, tenants, unanswered, upload, usage, webhooks,
};

const ABOUT: &str = "Lectern answers questions from a team's own documents, with sources.\n\n\
Refusals are problem details (RFC 9457): `code` stays the same for ever, `detail` says what to do next; below `/v1` they \
have the shape that OpenAI's clients read. Every response has an `X-Request-Id`, which the log has, too; those to \
requests that are counted have `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`, and refusals that pass by \
themselves have `Retry-After`.\n\n\
JSON that is read has an `ETag`: whoever sends it as `If-None-Match` gets `304` while nothing has changed. Cursors are \
those of the page before, with everything else as it was.\n\n\
Texts have no NUL characters. Limits are those that a server comes with; each has a name in its settings.";

const KEYS: &str = "An API key. Each operation names the scopes of which the key must have one; none: any key will do. \
`lectern-dev` opens everything in development mode.";

/// A protocol that describes itself to its clients.
const MCP: &str = "/mcp";

#[derive(OpenApi)]
#[openapi(
    info(title = "Lectern", description = ABOUT, license(name = "Apache-2.0", identifier = "Apache-2.0")),
    servers((url = "/", description = "This server")),
    paths(
        listing::list,
        upload::upload,
        jobs::retry_documents,
        documents::show,
        documents::change,
        documents::delete,
        streams::document,
        documents::file,
        pages::show,
        upload::replace,
        documents::cancel,
        documents::retry,
        documents::reingest,
        imports::create,
        imports::show,
        imports::cancel,
        questions::ask,
        questions::show,
        questions::cancel,
        streams::question,
        feedback::show,
        feedback::rate,
        conversations::list,
        conversations::create,
        conversations::show,
        conversations::delete,
        search::search,
        feedback::list,
        unanswered::list,
        unanswered::dismiss,
        unanswered::to_faq,
        collections::list,
        collections::create,
        collections::show,
        collections::change,
        faqs::list,
        faqs::create,
        faqs::show,
        faqs::replace,
        faqs::delete,
        jobs::dead,
        jobs::dismiss,
        jobs::retry,
        webhooks::list,
        webhooks::create,
        webhooks::delete,
        webhooks::deliveries,
        keys::me,
        usage::show,
        keys::list,
        keys::create,
        keys::revoke,
        tenants::list,
        tenants::create,
        tenants::change,
        tenants::show_quotas,
        tenants::replace_quotas,
        openai::chat::complete,
        openai::embeddings::create,
        openai::models::list,
        openai::models::show,
        operations::show,
        health::report,
        health::live,
        health::ready,
        health::metrics,
        serve,
    ),
    components(schemas(
        Problem, shapes::OpenAiError, FailureReport,
        Status, Progress, SourcesFound, Token, Empty, AnswerDone, IngestDone,
    )),
)]
struct Declared;

static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| serde_json::to_vec(&document()).unwrap_or_default().into());

/// `GET /api/v1/openapi.json`
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "Operations", operation_id = "getOpenApi",
    summary = "This description", description = "",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
)]
pub(crate) async fn serve() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], DOCUMENT.clone()).into_response()
}

/// What is declared, completed by what the table of routes and the examples say.
pub(crate) fn document() -> Value {
    let mut document = serde_json::to_value(Declared::openapi()).unwrap_or_default();
    let examples: Value = serde_json::from_str(include_str!("examples.json")).unwrap_or_default();
    let described = routes::table()
        .into_iter()
        .filter(|route| route.path != MCP);
    for route in described {
        let method = route.method.as_str().to_ascii_lowercase();
        let operation = &mut document["paths"][spelled(route.path)][method];
        // A test says so; a server must not fail for it.
        if operation.is_object() {
            complete(operation, &route, &examples);
        }
    }
    document["components"]["examples"] = problems::examples();
    document["components"]["securitySchemes"]["key"] =
        json!({"type": "http", "scheme": "bearer", "description": KEYS});
    document
}

/// A path of the table as `OpenAPI` spells it.
pub(crate) fn spelled(path: &str) -> String {
    path.replace("{*", "{")
}

fn complete(operation: &mut Value, route: &Route, examples: &Value) {
    if route.method == "PUT" && operation["operationId"] == "rateAnswer" {
        // One handler does both.
        operation["operationId"] = json!("changeRating");
    }
    let id = operation["operationId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if operation["description"] == "" {
        operation
            .as_object_mut()
            .map(|operation| operation.remove("description"));
    }
    if OPTIONAL_BODIES.contains(&id.as_str()) {
        operation["requestBody"]["required"] = json!(false);
    }
    if id == "listDocuments" {
        say_metadata_are_json(operation);
    }
    operation["security"] = security(route.need);
    if route.need.is_for_widgets() {
        let said = operation["description"].as_str().unwrap_or_default();
        let said = format!(
            "{said}\n\nKeys of widgets may do this, too, for what they have asked themselves."
        );
        operation["description"] = json!(said.trim());
    }
    if idempotency::is_taken(&route.method, route.path) {
        parameter(
            operation,
            json!({
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "The same request with the same key is done once, and answered alike each time",
                "schema": {"type": "string", "pattern": "^[!#-~]{1,255}$"},
            }),
        );
    }
    problems::refuse(operation, route);
    if route.method == "GET"
        && !operation["responses"]["200"]["content"]["application/json"].is_null()
    {
        operation["responses"]["304"] =
            json!({"description": "It is as the client has it (`If-None-Match`)"});
        operation["responses"]["200"]["headers"]["ETag"] =
            json!({"schema": {"type": "string"}, "description": "Changes with the response"});
    }
    exemplify(operation, &examples[&id]);
}

/// What may be asked for with no body at all.
const OPTIONAL_BODIES: [&str; 3] = ["beginConversation", "retryDocument", "retryFailedDocuments"];

/// The parameter is an object in text, which its type doesn't tell.
fn say_metadata_are_json(operation: &mut Value) {
    let parameters = operation["parameters"].as_array_mut().into_iter().flatten();
    for parameter in parameters.filter(|parameter| parameter["name"] == "metadata") {
        if let Some(parameter) = parameter.as_object_mut() {
            parameter.remove("schema");
        }
        parameter["content"] = json!({"application/json": {"schema": {"type": "object"}}});
    }
}

/// Any of the scopes opens it.
fn security(need: Need) -> Value {
    match need {
        Need::Nothing => json!([]),
        Need::Key => json!([{"key": []}]),
        Need::Scope(scopes) | Need::Visit(scopes) => {
            scopes.iter().map(|scope| json!({"key": [scope]})).collect()
        }
    }
}

fn parameter(operation: &mut Value, parameter: Value) {
    if operation.get("parameters").is_none() {
        operation["parameters"] = json!([]);
    }
    if let Some(parameters) = operation["parameters"].as_array_mut() {
        parameters.push(parameter);
    }
}

/// Puts examples where there is a body.
fn exemplify(operation: &mut Value, examples: &Value) {
    let contents = |body: &mut Value, example: &Value| {
        let types = body["content"].as_object_mut().map(Map::iter_mut);
        for (kind, content) in types.into_iter().flatten() {
            // Of several kinds, each has its own.
            let own = example.get(kind).unwrap_or(example);
            if !own.is_null() {
                content["example"] = own.clone();
            }
        }
    };
    if operation["requestBody"].is_object() {
        contents(&mut operation["requestBody"], &examples["request"]);
    }
    let responses = operation["responses"].as_object_mut().map(Map::iter_mut);
    for (status, response) in responses.into_iter().flatten() {
        if response["content"].is_object() {
            contents(response, &examples[status]);
        }
    }
    let parameters = operation.get_mut("parameters");
    for parameter in parameters
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let name = parameter["name"].as_str().unwrap_or_default();
        let example = &examples["parameters"][name];
        if !example.is_null() {
            parameter["example"] = example.clone();
        }
    }
}
