//! The API's description: it tells of every route and of nothing else, and anybody may read it.

use std::collections::BTreeSet;

use lectern_api::testing;
use serde_json::Value;

use super::Api;

async fn document() -> Value {
    let api = Api::start(&[]).await;
    let url = format!("http://{}/api/v1/openapi.json", api.address);
    let response = reqwest::get(url).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(response.headers().contains_key("etag"));
    response.json().await.unwrap()
}

/// Each operation with its method and path, as the table writes them.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().clone();
        let known = methods.into_iter().filter(|(_, it)| it.is_object());
        known
            .map(|(method, _)| (method, path.clone()))
            .collect::<Vec<_>>()
    };
    let named = paths.flat_map(of);
    named
        .map(|(method, path)| {
            let name = format!("{} {path}", method.to_ascii_uppercase());
            (name, &document["paths"][path][method])
        })
        .collect()
}

#[tokio::test]
async fn every_route_has_an_operation_and_every_operation_a_route() {
    let document = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let table: BTreeSet<_> = testing::routes()
        .into_iter()
        .filter(|route| route.path != "/mcp")
        .map(|route| format!("{} {}", route.method, route.path.replace("{*", "{")))
        .collect();
    let missing: Vec<_> = table.difference(&described).collect();
    let extra: Vec<_> = described.difference(&table).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "routes without a `utoipa::path` in `reference/mod.rs`: {missing:?}; operations without a route: {extra:?}"
    );
}

#[tokio::test]
async fn every_operation_names_its_scopes_and_shows_what_it_takes_and_gives() {
    let document = document().await;
    let routes = testing::routes();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} twice");
        assert!(operation["summary"].is_string(), "{name}");
        let route = routes
            .iter()
            .find(|route| name == format!("{} {}", route.method, route.path.replace("{*", "{")));
        let scopes: Vec<String> = route
            .unwrap()
            .scopes
            .iter()
            .map(ToString::to_string)
            .collect();
        let alternatives = operation["security"].as_array().unwrap();
        let named: Vec<&str> = alternatives
            .iter()
            .filter_map(|one| one["key"][0].as_str())
            .collect();
        assert_eq!(named, scopes, "{name}");
        assert_eq!(alternatives.is_empty(), route.unwrap().open, "{name}");
        let request = &operation["requestBody"];
        let responses = operation["responses"].as_object().unwrap();
        let good = responses
            .iter()
            .filter(|(status, _)| status.starts_with('2'));
        for body in good.map(|(_, response)| response).chain([request]) {
            for (kind, content) in body["content"].as_object().into_iter().flatten() {
                assert!(
                    content.get("example").is_some(),
                    "no example of {kind}: add `{id}` to examples.json"
                );
            }
        }
    }
}

#[tokio::test]
async fn whatever_the_description_refers_to_is_in_it() {
    let document = document().await;
    let mut rest = vec![&document];
    while let Some(value) = rest.pop() {
        if let Some(reference) = value["$ref"].as_str() {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        rest.extend(
            value
                .as_object()
                .into_iter()
                .flat_map(|object| object.values()),
        );
        rest.extend(value.as_array().into_iter().flatten());
    }
    let codes = document["components"]["examples"].as_object().unwrap();
    for (name, example) in codes {
        let of_openai = name.starts_with("openai_");
        let code = &example["value"]["code"];
        assert!(of_openai || code == name.as_str(), "{name}");
    }
}
