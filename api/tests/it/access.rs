//! Who may do what: every route of the table, asked with every kind of key that must not get through.
//!
//! A route without a case here fails the test, so that a new one can't be forgotten.

use std::collections::BTreeMap;

use lectern_api::testing::{self, RouteRow};
use lectern_shared::{
    ids::{CollectionId, DEFAULT_TENANT, TenantId},
    keys::{Key, Kind, Scope},
    store::keys::{self, NewKey, OwnLimits},
};
use reqwest::{Response, multipart};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::{Api, mcp::BOTH, pdf};

/// The word that all texts of the first tenant have, and no answer to anybody else.
const MARK: &str = "zanzibar";

/// How a route is asked, and what those get who may do this, but not to these things.
struct Case {
    uri: String,
    body: Body,
    stranger: Stranger,
}

#[derive(Clone)]
enum Body {
    Nothing,
    Json(Value),
    /// A call of a tool.
    Call(Value),
    File(Vec<u8>),
}

enum Stranger {
    /// 404
    Missing,
    /// 200 and exactly this.
    Gets(Value),
    /// Something of its own.
    Own,
    /// 200, with a result that is an error of this text.
    Told(&'static str),
    /// 503: it is about nobody's things, and there is no worker in these tests.
    NoWorker,
}

/// The things of the first tenant, all in the collection `ours`.
struct Things(BTreeMap<&'static str, String>);

const UNANSWERED: &str =
    "insert into unanswered (id, tenant_id, collection_id, question, question_sha256)
     select gen_random_uuid(), tenant_id, id, 'zanzibar', gen_random_uuid()::text::bytea
     from collections where name = 'ours'
     returning id";
const DEAD_JOB: &str = "insert into jobs (id, tenant_id, kind, queue, subject, state, max_attempts)
     select gen_random_uuid(), tenant_id, 'faq', 'question', id, 'dead', 4 from faqs
     returning id";

impl Things {
    async fn make(api: &Api) -> Self {
        let mut ids = BTreeMap::new();
        let post = async |path: &str, body: Value| -> String {
            let made = api.request("POST", path).json(&body).send().await.unwrap();
            assert!(made.status().is_success(), "{path}");
            let made: Value = made.json().await.unwrap();
            made["id"].as_str().unwrap_or_default().to_owned()
        };
        post("/api/v1/collections", json!({"name": "ours"})).await;
        post("/api/v1/collections", json!({"name": "elsewhere"})).await;
        for (thing, content) in [("document", b"zanzibar".as_slice()), ("failed", b"pemba")] {
            let part =
                multipart::Part::bytes(content.to_vec()).file_name(format!("{thing}-{MARK}.txt"));
            let form = multipart::Form::new().part("file", part);
            let made = api.request("POST", "/api/v1/documents?collection=ours");
            let made: Value = made
                .multipart(form)
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            ids.insert(thing, made["id"].as_str().unwrap().to_owned());
        }
        let asked = json!({"question": "Where is Zanzibar? (zanzibar)", "collection": "ours", "background": true});
        ids.insert("question", post("/api/v1/questions", asked.clone()).await);
        let conversation = post("/api/v1/conversations", json!({"collection": "ours"})).await;
        let mut turn = asked;
        turn["conversation_id"] = json!(conversation);
        turn["collection"] = Value::Null;
        post("/api/v1/questions", turn).await;
        ids.insert("conversation", conversation);
        let faq = json!({"question": "zanzibar?", "answer": "zanzibar"});
        ids.insert("faq", post("/api/v1/collections/ours/faqs", faq).await);
        let hook = json!({"url": "https://zanzibar.example/hook"});
        ids.insert("webhook", post("/api/v1/webhooks", hook).await);
        let key = json!({"name": MARK, "kind": "secret", "scopes": ["read"]});
        ids.insert("key", post("/api/v1/keys", key).await);
        let zip = [b"PK\x05\x06".to_vec(), vec![0; 18]].concat();
        let part = multipart::Part::bytes(zip).file_name("zanzibar.zip");
        let made = api.request("POST", "/api/v1/imports?collection=ours");
        let made = made
            .multipart(multipart::Form::new().part("file", part))
            .send();
        let made: Value = made.await.unwrap().json().await.unwrap();
        ids.insert("import", made["id"].as_str().unwrap().to_owned());
        // What workers would do.
        for statement in [
            "update documents set state = 'ready', version = 1 where name like 'document%'",
            "update documents set state = 'failed', failure = 'internal' where name like 'failed%'",
            "update questions set state = 'answered' where conversation_id is null",
            "insert into answers (question_id, tenant_id, text, generator, usage, timings)
             select id, tenant_id, 'zanzibar', 'extractive', '{}', '{}' from questions where conversation_id is null",
        ] {
            sqlx::query(statement).execute(api.pool()).await.unwrap();
        }
        for (thing, statement) in [
            ("unanswered", UNANSWERED),
            ("dismissed", UNANSWERED),
            ("job", DEAD_JOB),
            ("dismissed job", DEAD_JOB),
            (
                "collection",
                "select id from collections where name = 'ours'",
            ),
            (
                "elsewhere",
                "select id from collections where name = 'elsewhere'",
            ),
        ] {
            let id: uuid::Uuid = sqlx::query_scalar(statement)
                .fetch_one(api.pool())
                .await
                .unwrap();
            ids.insert(thing, id.to_string());
        }
        let rating = json!({"rating": "up", "comment": MARK});
        let path = format!("/api/v1/questions/{}/feedback", ids["question"]);
        post(&path, rating).await;
        Self(ids)
    }

    fn collection(&self, thing: &str) -> CollectionId {
        self.0[thing].parse().unwrap()
    }

    /// How that route is asked.
    fn case(&self, route: &RouteRow, tenant: TenantId) -> Case {
        use Body::{Call, File, Json, Nothing};
        use Stranger::{Gets, Missing, NoWorker, Own, Told};
        let thing = match route.path {
            path if path.contains("/documents/") => "document",
            path if path.contains("/imports/") => "import",
            path if path.contains("/questions/") => "question",
            path if path.contains("/conversations/") => "conversation",
            path if path.contains("/faqs/") => "faq",
            path if path.contains("/webhooks/") => "webhook",
            path if path.contains("/keys/") => "key",
            "/api/v1/unanswered/{id}/faq" => "unanswered",
            "/api/v1/unanswered/{id}" => "dismissed",
            "/api/v1/jobs/{id}/retry" => "job",
            "/api/v1/jobs/{id}" => "dismissed job",
            _ => "",
        };
        let id = match route.path {
            "/api/v1/tenants/{id}" | "/api/v1/tenants/{id}/quotas" => tenant.to_string(),
            _ => self.0.get(thing).cloned().unwrap_or_default(),
        };
        let uri = route.path.replace("{id}", &id).replace("{name}", "ours");
        let uri = uri.replace("{*id}", "lectern/ours");
        let question = || Json(json!({"question": "Where?", "collection": "ours"}));
        let faq = || Json(json!({"question": "Where?", "answer": "There."}));
        let zip = [b"PK\x05\x06".to_vec(), vec![0; 18]].concat();
        let list = |field: &str| Gets(json!({field: []}));
        let (query, body, stranger) = match (route.method.as_str(), route.path) {
            ("GET", "/api/v1/documents" | "/api/v1/conversations") => ("", Nothing, Own),
            ("POST", "/api/v1/documents") => ("?collection=ours", File(pdf()), Missing),
            ("POST", "/api/v1/documents/retry") => {
                ("", Nothing, Gets(json!({"retried": 0, "more": false})))
            }
            ("POST", "/api/v1/imports") => ("?collection=ours", File(zip), Missing),
            ("PUT", "/api/v1/documents/{id}/file") => ("", File(b"other".to_vec()), Missing),
            ("PATCH", "/api/v1/documents/{id}") => ("", Json(json!({"title": "Theirs"})), Missing),
            ("POST", "/api/v1/questions" | "/api/v1/search") => ("", question(), Missing),
            ("POST", "/api/v1/conversations") => ("", Json(json!({"collection": "ours"})), Missing),
            ("POST" | "PUT", "/api/v1/questions/{id}/feedback") => {
                ("", Json(json!({"rating": "down"})), Missing)
            }
            ("GET", "/api/v1/feedback") => ("", Nothing, list("feedback")),
            ("GET", "/api/v1/unanswered") => ("", Nothing, list("unanswered")),
            ("POST", "/api/v1/unanswered/{id}/faq") => {
                ("", Json(json!({"answer": "There."})), Missing)
            }
            (
                "GET",
                "/api/v1/collections"
                | "/api/v1/me"
                | "/api/v1/usage"
                | "/api/v1/operations"
                | "/api/v1/keys"
                | "/v1/models",
            ) => ("", Nothing, Own),
            ("GET", "/v1/models/{*id}") => ("", Nothing, Missing),
            ("POST", "/v1/chat/completions") => {
                let messages = json!([{"role": "user", "content": "Where?"}]);
                let body = json!({"model": "lectern/ours", "messages": messages, "stream": true});
                ("", Json(body), Missing)
            }
            ("POST", "/v1/embeddings") => {
                let body = json!({"model": "lectern-embedding", "input": "Where?"});
                ("", Json(body), NoWorker)
            }
            ("POST", "/mcp") => {
                let arguments = json!({"document": self.0["document"]});
                let call = json!({"name": "read_document", "arguments": arguments});
                ("", Call(call), Told("no such document"))
            }
            ("POST", "/api/v1/collections") => ("", Json(json!({"name": "theirs"})), Own),
            ("PATCH", "/api/v1/collections/{name}") => ("", Json(json!({"settings": {}})), Missing),
            ("POST", "/api/v1/collections/{name}/faqs") => ("", faq(), Missing),
            ("PUT", "/api/v1/collections/{name}/faqs/{id}") => ("", faq(), Missing),
            ("GET", "/api/v1/jobs/dead") => ("", Nothing, Gets(json!({"jobs": [], "next": null}))),
            ("GET", "/api/v1/webhooks") => ("", Nothing, list("webhooks")),
            ("POST", "/api/v1/webhooks") => ("", Json(json!({"url": "https://example.org/"})), Own),
            ("POST", "/api/v1/keys") => (
                "",
                Json(json!({"name": "theirs", "kind": "secret", "scopes": ["read"]})),
                Own,
            ),
            ("GET", "/api/v1/tenants") => ("", Nothing, Own),
            ("POST", "/api/v1/tenants") => ("", Json(json!({"name": "theirs"})), Own),
            ("PATCH", "/api/v1/tenants/{id}") => ("", Json(json!({"suspended": false})), Own),
            ("GET", "/api/v1/tenants/{id}/quotas") => ("", Nothing, Own),
            ("PUT", "/api/v1/tenants/{id}/quotas") => ("", Json(json!({"quotas": []})), Own),
            (
                "GET",
                "/metrics"
                | "/api/v1/openapi.json"
                | "/api/v1/health"
                | "/api/v1/health/live"
                | "/api/v1/health/ready",
            ) => ("", Nothing, Own),
            // All else is about one thing, and needs no body.
            (
                "GET" | "DELETE",
                "/api/v1/documents/{id}"
                | "/api/v1/questions/{id}"
                | "/api/v1/conversations/{id}"
                | "/api/v1/collections/{name}/faqs/{id}"
                | "/api/v1/unanswered/{id}"
                | "/api/v1/jobs/{id}"
                | "/api/v1/webhooks/{id}"
                | "/api/v1/keys/{id}",
            )
            | (
                "GET",
                "/api/v1/documents/{id}/events"
                | "/api/v1/documents/{id}/file"
                | "/api/v1/documents/{id}/pages"
                | "/api/v1/imports/{id}"
                | "/api/v1/questions/{id}/events"
                | "/api/v1/questions/{id}/feedback"
                | "/api/v1/collections/{name}"
                | "/api/v1/collections/{name}/faqs"
                | "/api/v1/webhooks/{id}/deliveries",
            )
            | (
                "POST",
                "/api/v1/documents/{id}/cancel"
                | "/api/v1/documents/{id}/retry"
                | "/api/v1/documents/{id}/reingest"
                | "/api/v1/imports/{id}/cancel"
                | "/api/v1/jobs/{id}/retry",
            ) => ("", Nothing, Missing),
            (method, path) => panic!("{method} {path} has no case: add what strangers get"),
        };
        let uri = uri + query;
        Case {
            uri,
            body,
            stranger,
        }
    }

    /// What changes when somebody gets through who must not.
    async fn snapshot(&self, api: &Api) -> Vec<String> {
        let mut found = Vec::new();
        for rows in [
            "* from documents",
            "* from versions",
            "* from collections",
            "* from questions",
            "* from answers",
            "* from conversations",
            "* from faqs",
            "* from unanswered",
            "* from feedback",
            "* from imports",
            "* from webhooks",
            "* from jobs",
            "id, revoked_at, scopes from api_keys",
        ] {
            let statement = format!(
                "select coalesce(string_agg(row::text, e'\\n' order by row::text), '')
                 from (select {rows} where tenant_id = $1) row"
            );
            let rows = sqlx::query_scalar(AssertSqlSafe(statement)).bind(DEFAULT_TENANT.0);
            found.push(rows.fetch_one(api.pool()).await.unwrap());
        }
        found
    }
}

/// What a request is sent with.
#[derive(Clone, Default)]
struct Credentials {
    key: Option<String>,
    origin: Option<&'static str>,
}

impl Credentials {
    fn key(key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            origin: None,
        }
    }

    fn from(key: &str, origin: &'static str) -> Self {
        Self {
            key: Some(key.to_owned()),
            origin: Some(origin),
        }
    }
}

impl Api {
    async fn ask_route(&self, route: &RouteRow, case: &Case, with: &Credentials) -> Response {
        let url = format!("http://{}{}", self.address, case.uri);
        let mut request = self.client.request(route.method.parse().unwrap(), url);
        if let Some(key) = &with.key {
            request = request.bearer_auth(key);
        }
        if let Some(origin) = with.origin {
            request = request.header("origin", origin);
        }
        request = match case.body.clone() {
            Body::Nothing => request,
            Body::Json(body) => request.json(&body),
            Body::Call(params) => request.header("accept", BOTH).json(
                &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}),
            ),
            Body::File(bytes) => {
                let part = multipart::Part::bytes(bytes).file_name("file");
                request.multipart(multipart::Form::new().part("file", part))
            }
        };
        request.send().await.unwrap()
    }
}

/// A refusal with that status and code; its detail.
async fn refused(response: Response, status: u16, code: &str, told: &str) -> String {
    assert_eq!(response.status(), status, "{told}");
    let problem: Value = response.json().await.unwrap();
    // The doors of OpenAI's clients have other words for two of them.
    let (said, detail) = match problem.get("error") {
        Some(error) => (&error["code"], &error["message"]),
        None => (&problem["code"], &problem["detail"]),
    };
    let said = match said.as_str().unwrap() {
        "invalid_api_key" => "unauthorized",
        "model_not_found" => "not_found",
        said => said,
    };
    assert_eq!(said, code, "{told}: {problem}");
    detail.as_str().unwrap().to_owned()
}

async fn strange(response: Response, case: &Case, things: &Things, told: &str) {
    let status = response.status();
    match &case.stranger {
        Stranger::Missing => {
            refused(response, 404, "not_found", told).await;
        }
        Stranger::Gets(expected) => {
            assert!(status.is_success(), "{told}: {status}");
            let found: Value = response.json().await.unwrap();
            assert_eq!(&found, expected, "{told}");
        }
        Stranger::Told(why) => {
            assert!(status.is_success(), "{told}: {status}");
            let answer: Value = response.json().await.unwrap();
            let result = &answer["result"];
            let text = result["content"][0]["text"].as_str().unwrap_or_default();
            assert!(
                result["isError"] == true && text.contains(why),
                "{told}: {answer}"
            );
        }
        Stranger::NoWorker => {
            refused(response, 503, "no_worker", told).await;
        }
        Stranger::Own => {
            assert!(status.is_success(), "{told}: {status}");
            let text = response.text().await.unwrap().to_lowercase();
            assert!(!text.contains(MARK), "{told}: {text}");
            for (thing, id) in &things.0 {
                assert!(
                    !text.contains(id) || *thing == "elsewhere",
                    "{told}: {thing} in {text}"
                );
            }
        }
    }
}

async fn special(api: &Api, kind: Kind, collection: CollectionId) -> Key {
    let secret = [Scope::Read, Scope::Ask, Scope::Write];
    let (scopes, origins) = match kind {
        Kind::Secret => (&secret[..], vec![]),
        Kind::Widget => (&secret[1..2], vec!["https://shop.example".to_owned()]),
    };
    let new = NewKey {
        tenant: DEFAULT_TENANT,
        name: "special",
        kind,
        scopes,
        collections: Some(&[collection]),
        origins: &origins,
        expires_at: None,
        limits: OwnLimits::default(),
    };
    let key = Key::fresh(kind);
    keys::create(api.pool(), &new, &key, 100)
        .await
        .unwrap()
        .unwrap();
    key
}

/// What holds of the table, whatever it says: reading changes nothing, and what concerns the tenant takes more.
fn needs_at_least(route: &RouteRow) -> Result<(), &'static str> {
    let of = |noun: &str| route.path.starts_with(&format!("/api/v1/{noun}"));
    let is_health = of("health") || route.path == "/metrics";
    if route.open != (is_health || of("openapi.json")) {
        return Err("health and the description of the API alone are open");
    }
    // What is posted there is a tool's name: each looks at the scopes itself.
    let is_mcp = route.path == "/mcp";
    if route.method != "GET" && route.scopes.contains(&Scope::Read) && !is_mcp {
        return Err("`read` changes something");
    }
    if of("tenants") && route.scopes != [Scope::Operator] {
        return Err("tenants are the operator's");
    }
    if (of("keys") || of("webhooks") || of("jobs") || of("operations"))
        && route.scopes != [Scope::Admin]
    {
        return Err("that is the administrator's");
    }
    if route.for_widgets && !(of("questions") || of("conversations")) {
        return Err("widgets ask, and nothing else");
    }
    if route.scopes.is_empty() && !route.open && !of("me") && !of("usage") {
        return Err("it needs no scope");
    }
    Ok(())
}

async fn change(api: &Api, statement: &'static str, name: &str) {
    let changed = sqlx::query(statement).bind(name).execute(api.pool());
    assert_eq!(changed.await.unwrap().rows_affected(), 1);
}

#[tokio::test]
async fn every_route_refuses_whoever_has_no_business_there() {
    let api = Api::start(&["--search-timeout-ms=100"]).await;
    let things = Things::make(&api).await;
    let all = [Scope::Read, Scope::Ask, Scope::Write, Scope::Admin];

    let (other, stranger) = testing::other_tenant(api.pool(), "other").await.unwrap();
    let mut single = BTreeMap::new();
    for scope in Scope::ALL {
        let key = testing::key(api.pool(), DEFAULT_TENANT, &[scope]).await;
        single.insert(scope, Credentials::key(&key.unwrap()));
    }
    let limited = special(&api, Kind::Secret, things.collection("elsewhere")).await;
    let widget = special(&api, Kind::Widget, things.collection("collection")).await;
    let mut dead = Vec::new();
    for (name, statement) in [
        (
            "revoked",
            "update api_keys set revoked_at = now() where prefix = $1",
        ),
        (
            "expired",
            "update api_keys set expires_at = now() where prefix = $1",
        ),
    ] {
        let key = testing::key(api.pool(), DEFAULT_TENANT, &all)
            .await
            .unwrap();
        change(&api, statement, Key::parse(&key).unwrap().prefix()).await;
        dead.push((name, Credentials::key(&key)));
    }
    let (_, suspended) = testing::other_tenant(api.pool(), "suspended")
        .await
        .unwrap();
    change(
        &api,
        "update tenants set suspended_at = now() where name = $1",
        "suspended",
    )
    .await;
    let suspended = Credentials::key(&suspended);
    let nobody = [
        ("no key", Credentials::default()),
        (
            "a made-up key",
            Credentials::key(Key::fresh(Kind::Secret).reveal()),
        ),
        ("half a key", Credentials::key("lectern_sk_abcdefgh")),
        ("no key at all", Credentials::key("öäü")),
    ];

    let mut routes = testing::routes();
    assert!(routes.len() > 50, "{}", routes.len());
    for route in &routes {
        assert_eq!(
            needs_at_least(route),
            Ok(()),
            "{} {}",
            route.method,
            route.path
        );
    }
    let before = things.snapshot(&api).await;
    let mut asked = 0;
    for route in routes.iter().filter(|route| !route.open) {
        let case = things.case(route, other);
        let told = |who: &str| format!("{} {} with {who}", route.method, case.uri);
        for (who, with) in nobody.iter().chain(&dead) {
            let response = api.ask_route(route, &case, with).await;
            refused(response, 401, "unauthorized", &told(who)).await;
        }
        let response = api.ask_route(route, &case, &suspended).await;
        refused(
            response,
            403,
            "tenant_suspended",
            &told("a suspended tenant's key"),
        )
        .await;
        asked += nobody.len() + dead.len() + 1;

        for (scope, with) in &single {
            if route.scopes.is_empty() || route.scopes.contains(scope) {
                continue;
            }
            let who = format!("only {scope}");
            let response = api.ask_route(route, &case, with).await;
            let detail = refused(response, 403, "forbidden", &told(&who)).await;
            let missing = format!("`{}`", route.scopes[0]);
            assert!(detail.contains(&missing), "{}: {detail}", told(&who));
            asked += 1;
        }
        for (who, key, scopes) in [
            ("another tenant's key", stranger.as_str(), &all[..]),
            ("another collection's key", limited.reveal(), &all[..3]),
        ] {
            let response = api.ask_route(route, &case, &Credentials::key(key)).await;
            let may =
                route.scopes.is_empty() || route.scopes.iter().any(|scope| scopes.contains(scope));
            if may {
                strange(response, &case, &things, &told(who)).await;
            } else {
                refused(response, 403, "forbidden", &told(who)).await;
            }
            asked += 1;
        }
        let wrong = [
            Credentials::from(widget.reveal(), "https://evil.example"),
            Credentials::from(widget.reveal(), "null"),
            Credentials::key(widget.reveal()),
        ];
        for with in &wrong {
            let response = api.ask_route(route, &case, with).await;
            refused(
                response,
                403,
                "forbidden",
                &told("a widget's key elsewhere"),
            )
            .await;
        }
        asked += wrong.len();
    }
    assert_eq!(
        things.snapshot(&api).await,
        before,
        "somebody has got through"
    );

    // From its own pages a widget asks, and sees nothing that it hasn't asked.
    let at_home = Credentials::from(widget.reveal(), "https://shop.example");
    for route in routes.iter().filter(|route| !route.open) {
        let case = things.case(route, other);
        let told = format!("{} {} with a widget's key", route.method, case.uri);
        let response = api.ask_route(route, &case, &at_home).await;
        match (route.for_widgets, route.path.contains("{id}")) {
            (false, _) => drop(refused(response, 403, "forbidden", &told).await),
            (true, true) => drop(refused(response, 404, "not_found", &told).await),
            (true, false) => assert!(
                response.status().is_success(),
                "{told}: {}",
                response.status()
            ),
        }
        asked += 1;
    }

    // The cases are true: who may gets through to each of these things. What deletes comes last.
    routes.sort_by_key(|route| route.method == "DELETE");
    let development = Credentials::key("lectern-dev");
    for route in &routes {
        let case = things.case(route, other);
        let response = api.ask_route(route, &case, &development).await;
        let status = response.status().as_u16();
        let is_metrics = route.path == "/metrics";
        let through = !matches!(status, 401 | 403) && (status != 404 || is_metrics);
        assert!(through, "{} {}: {status}", route.method, case.uri);
        asked += 1;
    }
    #[expect(
        clippy::print_stdout,
        reason = "how large the table is, for who wants to know"
    )]
    {
        println!("{} routes, {asked} requests", routes.len());
    }
    assert!(asked > 15 * routes.len(), "{asked}");
}
