//! `/mcp` at the door: who may call which tool, what is not theirs, and how far a document is read at a time. What
//! needs a worker is asked by the official client, see `api/tests/clients`.

use lectern_api::testing;
use lectern_shared::{
    ids::DEFAULT_TENANT,
    keys::{DEVELOPMENT_KEY, Scope},
};
use reqwest::{RequestBuilder, multipart};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Api, problem};

/// What clients of the protocol accept.
pub(crate) const BOTH: &str = "application/json, text/event-stream";

impl Api {
    pub(crate) fn mcp(&self, key: &str, method: &str, params: &Value) -> RequestBuilder {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.request_with(key, "POST", "/mcp")
            .header("accept", BOTH)
            .header("mcp-protocol-version", "2025-06-18")
            .json(&message)
    }

    /// The message that answers.
    async fn message(&self, key: &str, method: &str, params: &Value) -> Value {
        let response = self.mcp(key, method, params).send().await.unwrap();
        assert_eq!(response.status(), 200, "{method}");
        response.json().await.unwrap()
    }

    /// What a tool gives.
    async fn tool(&self, key: &str, name: &str, arguments: Value) -> Value {
        let call = json!({"name": name, "arguments": arguments});
        let message = self.message(key, "tools/call", &call).await;
        let result = &message["result"];
        assert_ne!(result["isError"], true, "{name}: {message}");
        result["structuredContent"].clone()
    }

    /// What an assistant is told of why a tool gives nothing.
    async fn tool_error(&self, key: &str, name: &str, arguments: Value) -> String {
        let call = json!({"name": name, "arguments": arguments});
        let message = self.message(key, "tools/call", &call).await;
        let result = &message["result"];
        assert_eq!(result["isError"], true, "{name}: {message}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// A document with these pages, as a worker leaves it.
    async fn document(&self, name: &str, pages: &[&str]) -> Uuid {
        let part = multipart::Part::bytes(name.as_bytes().to_vec()).file_name(name.to_owned());
        let form = multipart::Form::new().part("file", part);
        let made = self.request("POST", "/api/v1/documents").multipart(form);
        let made: Value = made.send().await.unwrap().json().await.unwrap();
        let id: Uuid = made["id"].as_str().unwrap().parse().unwrap();
        let ready = "update documents set state = 'ready', version = 1, pages = $2 where id = $1";
        let count = i32::try_from(pages.len()).unwrap();
        let ready = sqlx::query(ready).bind(id).bind(count);
        ready.execute(self.pool()).await.unwrap();
        for (number, text) in (1_i32..).zip(pages) {
            let page = "insert into pages (tenant_id, document_id, version, number, text)
                        select tenant_id, id, 1, $2, $3 from documents where id = $1";
            let page = sqlx::query(page).bind(id).bind(number).bind(*text);
            page.execute(self.pool()).await.unwrap();
        }
        id
    }
}

fn numbers(pages: &Value) -> Vec<i64> {
    let pages = pages["pages"].as_array().unwrap();
    pages
        .iter()
        .map(|page| page["number"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_document_is_read_from_page_to_page_within_the_limits() {
    let api = Api::start(&["--text-pages-max=3", "--text-chars-max=10"]).await;
    let long = "ä".repeat(12);
    let id = api
        .document("a.txt", &["four", "", "four", "fours", &long, "end"])
        .await;
    let read = async |first: i32, last: Option<i32>| {
        let wanted = json!({"document": id, "page_first": first, "page_last": last});
        let told = api.tool(DEVELOPMENT_KEY, "read_document", wanted).await;
        // The route gives the same.
        let last = last.map_or_else(String::new, |last| format!("&last={last}"));
        let path = format!("/api/v1/documents/{id}/pages?first={first}{last}");
        let same = api.request("GET", &path).send().await.unwrap();
        let same: Value = same.json().await.unwrap();
        assert_eq!(same, told);
        told
    };
    let (mut next, mut told) = (1, Vec::new());
    loop {
        let pages = read(next, None).await;
        assert_eq!(pages["pages_total"], 6);
        told.push(numbers(&pages));
        match pages["next_page"].as_i64() {
            Some(page) => next = i32::try_from(page).unwrap(),
            None => break,
        }
    }
    // Three at a time, ten characters at a time, and what has more by itself is cut.
    assert_eq!(told, [vec![1, 2, 3], vec![4], vec![5], vec![6]]);
    let cut = read(5, Some(5)).await;
    assert_eq!(cut["pages"][0]["text"], "ä".repeat(10));
    assert_eq!(
        (&cut["pages"][0]["cut"], cut.get("next_page")),
        (&json!(true), Some(&Value::Null))
    );
    assert_eq!(numbers(&read(2, Some(3)).await), [2, 3]);

    for (first, last) in [
        (7, None),
        (0, None),
        (-1, None),
        (3, Some(2)),
        (i32::MAX, None),
    ] {
        let wanted = json!({"document": id, "page_first": first, "page_last": last});
        let told = api
            .tool_error(DEVELOPMENT_KEY, "read_document", wanted)
            .await;
        assert!(told.contains("the pages 1 to 6"), "{first}: {told}");
    }
    let path = format!("/api/v1/documents/{id}/pages");
    let refused = api.request("GET", &format!("{path}?first=7")).send().await;
    problem(refused.unwrap(), 400, "invalid_request").await;
    sqlx::query("update documents set version = 0")
        .execute(api.pool())
        .await
        .unwrap();
    let told = api.tool_error(DEVELOPMENT_KEY, "read_document", json!({"document": id}));
    assert!(told.await.contains("not read yet"));
    let refused = api.request("GET", &path).send().await.unwrap();
    problem(refused, 409, "conflict").await;
}

#[tokio::test]
async fn documents_are_resources_that_are_listed_page_by_page() {
    let api = Api::start(&["--text-pages-max=2"]).await;
    let id = api.document("a.txt", &["one", "two", "three"]).await;
    for number in 0..50 {
        api.document(&format!("{number}.txt"), &["x"]).await;
    }
    let list = async |params: Value| {
        let message = api
            .message(DEVELOPMENT_KEY, "resources/list", &params)
            .await;
        message["result"].clone()
    };
    let first = list(json!({})).await;
    assert_eq!(first["resources"].as_array().unwrap().len(), 50);
    let second = list(json!({"cursor": first["nextCursor"]})).await;
    let uri = format!("lectern://documents/{id}");
    assert_eq!(second["resources"][0]["uri"], uri);
    assert_eq!(second["resources"].as_array().unwrap().len(), 1);
    assert_eq!(second.get("nextCursor"), None);

    let read = async |uri: &str| {
        let wanted = json!({"uri": uri});
        api.message(DEVELOPMENT_KEY, "resources/read", &wanted)
            .await
    };
    let contents = read(&uri).await["result"]["contents"].clone();
    let texts: Vec<_> = contents.as_array().unwrap().iter().collect();
    assert_eq!(
        (&texts[0]["text"], &texts[1]["text"]),
        (&json!("one"), &json!("two"))
    );
    let on = format!("{uri}/pages/3");
    assert!(texts[2]["text"].as_str().unwrap().contains(&on));
    let page = read(&on).await;
    assert_eq!(page["result"]["contents"][0]["text"], "three");
    let beyond = read(&format!("{uri}/pages/4")).await;
    let told = beyond["error"]["message"].as_str().unwrap();
    assert!(told.contains("the pages 1 to 3"), "{beyond}");
    for nothing in [
        "lectern://documents/x",
        "file:///etc/passwd",
        "lectern://keys",
    ] {
        let refused = read(nothing).await;
        assert!(refused["error"]["code"].is_i64(), "{nothing}: {refused}");
    }
}

#[tokio::test]
async fn nothing_of_another_tenant_or_collection_is_reached_by_a_tool_or_resource() {
    let api = Api::start(&["--search-timeout-ms=100"]).await;
    let id = api.document("zanzibar.txt", &["zanzibar"]).await;
    let (_, other) = testing::other_tenant(api.pool(), "other").await.unwrap();
    let made = api
        .request("POST", "/api/v1/collections")
        .json(&json!({"name": "elsewhere"}));
    assert_eq!(made.send().await.unwrap().status(), 201);
    let wanted = json!({
        "name": "x", "kind": "secret", "scopes": ["read", "ask"], "collections": ["elsewhere"]
    });
    let limited = api.make_key(&wanted).await["key"].clone();
    for key in [other.as_str(), limited.as_str().unwrap()] {
        let told = api.tool_error(key, "read_document", json!({"document": id}));
        assert!(told.await.contains("no such document"));
        let list = api.tool(key, "list_documents", json!({})).await;
        assert_eq!(list, json!({"documents": [], "next": null}));
        let list = api.message(key, "resources/list", &json!({})).await;
        assert_eq!(list["result"]["resources"], json!([]));
        for uri in [
            format!("lectern://documents/{id}"),
            format!("lectern://documents/{id}/pages/1"),
        ] {
            let wanted = json!({"uri": uri});
            let read = api.message(key, "resources/read", &wanted).await;
            let told = read["error"]["message"].as_str().unwrap();
            assert!(told.contains("not yours"), "{read}");
        }
    }
    let named = json!({"question": "Where?", "collection": "default"});
    for tool in ["search", "ask"] {
        let key = limited.as_str().unwrap();
        let told = api.tool_error(key, tool, named.clone()).await;
        assert!(told.contains("no such collection"), "{tool}: {told}");
    }
    assert_eq!(api.count("questions").await, 0);
    // Whose it is reads it.
    let pages = api.tool(DEVELOPMENT_KEY, "read_document", json!({"document": id}));
    assert_eq!(pages.await["pages"][0]["text"], "zanzibar");
}

#[tokio::test]
async fn each_tool_needs_the_scope_of_its_route_and_bad_arguments_say_what_to_do() {
    let api = Api::start(&["--search-timeout-ms=100"]).await;
    let id = api.document("a.txt", &["x"]).await;
    let question = json!({"question": "Where?"});
    let key = async |scope| {
        testing::key(api.pool(), DEFAULT_TENANT, &[scope])
            .await
            .unwrap()
    };
    let (reader, asker) = (key(Scope::Read).await, key(Scope::Ask).await);
    for (key, tool, arguments, scope) in [
        (&reader, "search", question.clone(), "`ask`"),
        (&reader, "ask", question.clone(), "`ask`"),
        (&asker, "list_documents", json!({}), "`read`"),
        (&asker, "read_document", json!({"document": id}), "`read`"),
    ] {
        let told = api.tool_error(key, tool, arguments).await;
        assert!(told.contains(scope), "{tool}: {told}");
    }
    for method in ["resources/list", "resources/read"] {
        let params = json!({"uri": format!("lectern://documents/{id}")});
        let refused = api.message(&asker, method, &params).await;
        assert_eq!(refused["error"]["data"]["code"], "forbidden", "{refused}");
    }
    let told = api.tool_error(&asker, "search", question).await;
    assert!(told.contains("Check that a worker runs"), "{told}");
    for (tool, arguments, hint) in [
        ("search", json!({"question": " "}), "question is empty"),
        ("ask", json!({"question": "x", "passages": 0}), "from 1 to"),
        (
            "ask",
            json!({"question": "x", "collection": "no"}),
            "no such collection",
        ),
        ("list_documents", json!({"limit": 1000}), "from 1 to 200"),
        (
            "list_documents",
            json!({"state": "odd"}),
            "queued, processing",
        ),
        (
            "read_document",
            json!({"document": "../x"}),
            "no such document",
        ),
    ] {
        let told = api.tool_error(DEVELOPMENT_KEY, tool, arguments).await;
        assert!(told.contains(hint), "{tool}: {told}");
    }
    let call = json!({"name": "search", "arguments": {"question": "x", "colection": "default"}});
    let message = api.message(DEVELOPMENT_KEY, "tools/call", &call).await;
    assert!(message.to_string().contains("colection"), "{message}");
}

#[tokio::test]
async fn pages_that_the_settings_do_not_name_may_not_come() {
    let page = "https://assistant.example";
    let api = Api::start(&[&format!("--cors-origins={page}")]).await;
    let from = async |origin: &'static str| {
        let ping = api.mcp(DEVELOPMENT_KEY, "ping", &json!({}));
        ping.header("origin", origin).send().await.unwrap()
    };
    assert_eq!(from("https://assistant.example").await.status(), 200);
    for origin in ["https://evil.example", "http://assistant.example", "null"] {
        let refused = problem(from(origin).await, 403, "foreign_origin").await;
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("LECTERN_CORS_ORIGINS"), "{detail}");
    }
    // A stranger is a stranger wherever it comes from; and there is nothing to be listened to.
    let wrong = api.mcp("lectern_sk_abcdefgh", "ping", &json!({}));
    let wrong = wrong.header("origin", page).send().await.unwrap();
    assert_eq!(wrong.headers()["www-authenticate"], "Bearer");
    problem(wrong, 401, "unauthorized").await;
    let listen = api.request("GET", "/mcp").header("accept", BOTH);
    problem(listen.send().await.unwrap(), 405, "method_not_allowed").await;
}

#[tokio::test]
async fn a_tool_that_makes_a_model_run_counts_as_a_question() {
    let arguments = [
        "--rate-limits=true",
        "--limit-key-asks=1/h",
        "--search-timeout-ms=100",
    ];
    let api = Api::start(&arguments).await;
    let question = json!({"question": "Where?"});
    for _ in 0..3 {
        api.tool(DEVELOPMENT_KEY, "list_documents", json!({})).await;
    }
    let first = api
        .tool_error(DEVELOPMENT_KEY, "search", question.clone())
        .await;
    assert!(first.contains("worker"), "{first}");
    for tool in ["search", "ask"] {
        let told = api
            .tool_error(DEVELOPMENT_KEY, tool, question.clone())
            .await;
        assert!(told.contains("`key_asks` is used up"), "{told}");
    }
    api.tool(DEVELOPMENT_KEY, "list_documents", json!({})).await;
}
