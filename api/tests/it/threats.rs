//! What deploy/THREATS.md names and no other file tests: hostile requests that must end as ordinary ones.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use lectern_shared::{ids::DEFAULT_TENANT, keys::DEVELOPMENT_KEY};
use reqwest::Response;
use serde_json::{Value, json};

use super::{Api, keys::PAGE, problem};

/// What would do something if it were read as a language.
const LANGUAGES: [&str; 6] = [
    "'); drop table documents; --",
    "$1",
    "\\' or true --",
    "$.** ? (@ > 0)",
    "{\"$ne\": null}",
    "%_\\",
];

async fn get(api: &Api, path: &str, query: &[(&str, &str)]) -> Response {
    let mut url = url::Url::parse(&format!("http://{}{path}", api.address)).unwrap();
    url.query_pairs_mut().extend_pairs(query);
    let request = api.client.get(url).bearer_auth(DEVELOPMENT_KEY);
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_filter_is_data_whatever_stands_in_it() {
    let api = Api::start(&["--search-timeout-ms=100"]).await;
    assert_eq!(api.upload("a.pdf", super::pdf()).await.status(), 202);
    let found = async |query: &[(&str, &str)]| {
        let response = get(&api, "/api/v1/documents", query).await;
        assert_eq!(response.status(), 200, "{query:?}");
        let list: Value = response.json().await.unwrap();
        list["documents"].as_array().unwrap().len()
    };
    for text in LANGUAGES {
        for filter in [
            json!({text: 1}),
            json!({"a": text}),
            json!({"a": {"$or": [{text: true}]}}),
        ] {
            assert_eq!(found(&[("metadata", &filter.to_string())]).await, 0);
            let ask = json!({"question": "Where?", "filter": filter, "background": true});
            let asked = api.request("POST", "/api/v1/questions").json(&ask);
            assert_eq!(asked.send().await.unwrap().status(), 202);
        }
        assert_eq!(found(&[("name", text)]).await, 0, "{text}");
        assert_eq!(found(&[("media_type", text)]).await, 0, "{text}");
        for parameter in ["sort", "state", "cursor"] {
            let refused = get(&api, "/api/v1/documents", &[(parameter, text)]).await;
            problem(refused, 400, "invalid_request").await;
        }
    }
    let deep = format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000));
    let refused = get(&api, "/api/v1/documents", &[("metadata", &deep)]).await;
    assert!(refused.status().is_client_error());
    assert_eq!(found(&[]).await, 1);
}

#[tokio::test]
async fn a_stream_ends_within_seconds_of_the_revocation_of_its_key() {
    let api = Api::start(&["--stream-keys-seconds=1"]).await;
    let wanted = json!({"name": "a", "kind": "secret", "scopes": ["read", "ask"]});
    let made = api.make_key(&wanted).await;
    let key = made["key"].as_str().unwrap();
    let ask = json!({"question": "Where?"});
    let ours = api
        .request_with(key, "POST", "/api/v1/questions")
        .json(&ask);
    let ours = ours.header("accept", "text/event-stream").send().await;
    let model = json!({
        "model": "lectern", "stream": true, "messages": [{"role": "user", "content": "Where?"}]
    });
    let theirs = api.request_with(key, "POST", "/v1/chat/completions");
    let theirs = theirs.json(&model).send().await.unwrap();
    let other = api.request("POST", "/api/v1/questions").json(&ask);
    let other = other.header("accept", "text/event-stream").send().await;
    let mut other = other.unwrap();
    assert!(other.chunk().await.unwrap().is_some());

    let path = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
    let revoked = api.request("DELETE", &path).send().await.unwrap();
    assert_eq!(revoked.status(), 204);
    let began = Instant::now();
    let ended = tokio::time::timeout(Duration::from_secs(20), ours.unwrap().text());
    let ended = ended.await.expect("it goes on").unwrap();
    assert!(
        ended.contains("event: failed") && ended.contains("\"unauthorized\""),
        "{ended}"
    );
    let ended = tokio::time::timeout(Duration::from_secs(20), theirs.text());
    let ended = ended.await.expect("it goes on").unwrap();
    assert!(
        ended.contains("invalid_api_key") || ended.contains("unauthorized"),
        "{ended}"
    );
    assert!(began.elapsed() < Duration::from_secs(20));

    // Another key's goes on: what comes next of it is no end.
    let next = tokio::time::timeout(Duration::from_secs(3), other.chunk()).await;
    let next = next.map(|chunk| chunk.unwrap().expect("it has ended"));
    assert!(next.is_err() || !String::from_utf8_lossy(&next.unwrap()).contains("event: failed"));
}

#[tokio::test]
async fn a_widgets_visitor_can_not_ask_about_metadata() {
    let api = Api::start(&[]).await;
    let wanted = json!({
        "name": "shop", "kind": "widget", "collections": ["default"], "origins": [PAGE]
    });
    let made = api.make_key(&wanted).await;
    let key = made["key"].as_str().unwrap();
    let ask = async |body: Value| {
        let asked = api
            .request_with(key, "POST", "/api/v1/questions")
            .json(&body);
        asked.header("origin", PAGE).send().await.unwrap()
    };
    for filter in [json!({"margin": 40}), json!({})] {
        let refused = ask(json!({"question": "Where?", "filter": filter})).await;
        let refused = problem(refused, 403, "forbidden").await;
        assert!(refused["detail"].as_str().unwrap().contains("`filter`"));
    }
    assert_eq!(api.count("questions").await, 0);
    assert_eq!(ask(json!({"question": "Where?"})).await.status(), 202);
}

#[tokio::test]
async fn nobody_but_the_operator_says_where_the_generator_is() {
    let api = Api::start(&[]).await;
    let url = "http://169.254.169.254/latest";
    for (method, path, body) in [
        (
            "PATCH",
            "/api/v1/collections/default",
            json!({"settings": {"openai_base_url": url}}),
        ),
        (
            "POST",
            "/api/v1/collections",
            json!({"name": "x", "settings": {"generator": url}}),
        ),
        (
            "POST",
            "/api/v1/questions",
            json!({"question": "Where?", "openai_base_url": url}),
        ),
        (
            "POST",
            "/api/v1/search",
            json!({"question": "Where?", "base_url": url}),
        ),
    ] {
        let response = api.request(method, path).json(&body).send().await.unwrap();
        let refused = problem(response, 400, "invalid_request").await;
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("unknown field"), "{path}: {detail}");
    }
}

#[tokio::test]
async fn a_key_that_is_nearly_right_is_told_what_any_other_is() {
    let api = Api::start(&[]).await;
    let right = format!("lectern_{}", "0a".repeat(32));
    // All that there is to compare with is a hash, which nobody chooses who doesn't have the key.
    let hashed = "insert into api_keys (id, tenant_id, name, hash)
                  values (gen_random_uuid(), $1, 'x', sha256(convert_to($2, 'utf8')))";
    let hashed = sqlx::query(hashed).bind(DEFAULT_TENANT.0).bind(&right);
    hashed.execute(api.pool()).await.unwrap();
    assert_eq!(api.status(&right, "GET", "/api/v1/me").await, 200);
    let mut told = BTreeSet::new();
    for wrong in [
        format!("lectern_{}0b", "0a".repeat(31)),
        format!("lectern_1a{}", "0a".repeat(31)),
        format!("lectern_{}", "0A".repeat(32)),
        format!("lectern_{}", "f3".repeat(32)),
        right[..right.len() - 1].to_owned(),
        "nonsense".to_owned(),
    ] {
        let refused = api.request_with(&wrong, "GET", "/api/v1/me").send().await;
        let refused = refused.unwrap();
        assert_eq!(refused.status(), 401, "{wrong}");
        let text = refused.text().await.unwrap();
        assert!(!text.contains(&wrong), "{text}");
        told.insert(text);
    }
    assert_eq!(told.len(), 1, "{told:?}");
}
