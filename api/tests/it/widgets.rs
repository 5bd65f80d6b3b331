//! Widgets' keys: the pages that may use them, and visitors who see nothing of each other.

use lectern_shared::{
    ids::DEFAULT_TENANT,
    keys::{Key, Kind},
};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;

use super::{
    Api,
    keys::{PAGE, body},
    problem,
};

const ALICE: &str = "alice-0123456789abcdefghij";
const BOB: &str = "bob-0123456789abcdefghijkl";

impl Api {
    async fn widget(&self) -> String {
        let wanted = json!({
            "name": "shop", "kind": "widget", "collections": ["default"], "origins": ["https://Shop.example/"]
        });
        self.make_key(&wanted).await["key"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// A page's request, by one of its visitors.
fn visit(api: &Api, key: &str, visitor: Option<&str>, method: &str, path: &str) -> RequestBuilder {
    let request = api.request_with(key, method, path).header("origin", PAGE);
    match visitor {
        Some(visitor) => request.header("lectern-visitor", visitor),
        None => request,
    }
}

#[tokio::test]
async fn a_visitor_of_a_page_sees_what_it_has_asked_and_nothing_of_other_visitors() {
    let api = Api::start(&[]).await;
    let (key, other) = (api.widget().await, api.widget().await);
    let ask = json!({"question": "Where is it?", "background": true});
    let asked = visit(&api, &key, Some(ALICE), "POST", "/api/v1/questions").json(&ask);
    let question = body(asked).await["id"].as_str().unwrap().to_owned();
    let begun = visit(&api, &key, Some(ALICE), "POST", "/api/v1/conversations");
    let conversation = body(begun).await["id"].as_str().unwrap().to_owned();
    let mut turn = ask.clone();
    turn["conversation_id"] = json!(conversation);
    let in_it = |visitor: &'static str| {
        visit(&api, &key, Some(visitor), "POST", "/api/v1/questions")
            .json(&turn)
            .send()
    };
    assert_eq!(in_it(ALICE).await.unwrap().status(), 202);
    problem(in_it(BOB).await.unwrap(), 404, "not_found").await;

    let paths = [
        format!("/api/v1/questions/{question}"),
        format!("/api/v1/questions/{question}/events"),
        format!("/api/v1/conversations/{conversation}"),
    ];
    for path in &paths {
        let see = |key: &str, visitor| visit(&api, key, visitor, "GET", path).send();
        assert_eq!(
            see(&key, Some(ALICE)).await.unwrap().status(),
            200,
            "{path}"
        );
        for (key, visitor) in [(&key, Some(BOB)), (&key, None), (&other, Some(ALICE))] {
            problem(see(key, visitor).await.unwrap(), 404, "not_found").await;
        }
    }
    for path in [&paths[0], &paths[2]] {
        let gone = visit(&api, &key, Some(BOB), "DELETE", path).send().await;
        problem(gone.unwrap(), 404, "not_found").await;
    }
    // Who looks after the tenant sees all of it.
    let list = body(api.request("GET", "/api/v1/conversations")).await;
    assert_eq!(list["conversations"].as_array().unwrap().len(), 1);

    // Without a secret of its own a visitor has the ids alone.
    let one = body(visit(&api, &key, None, "POST", "/api/v1/questions").json(&ask)).await;
    let path = format!("/api/v1/questions/{}", one["id"].as_str().unwrap());
    let seen = visit(&api, &key, None, "GET", &path).send().await;
    assert_eq!(seen.unwrap().status(), 200);
    let guessable = visit(&api, &key, Some("me"), "GET", &path).send().await;
    problem(guessable.unwrap(), 400, "invalid_request").await;
}

/// What a browser asks before it sends a key along.
async fn preflight(api: &Api, path: &str, origin: &str) -> Response {
    let url = format!("http://{}{path}", api.address);
    api.client
        .request(Method::OPTIONS, url)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type,lectern-visitor",
        )
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn browsers_let_a_page_ask_that_a_widgets_key_names_and_no_other_page() {
    let api = Api::start(&[]).await;
    let allowed = |response: &Response| {
        let origin = response.headers().get("access-control-allow-origin");
        origin.map(|origin| origin.to_str().unwrap().to_owned())
    };
    let questions = "/api/v1/questions";
    assert_eq!(
        allowed(&preflight(&api, questions, PAGE).await),
        None,
        "no such key yet"
    );
    let key = api.widget().await;
    let answer = preflight(&api, questions, PAGE).await;
    assert!(answer.status().is_success());
    assert_eq!(allowed(&answer).as_deref(), Some(PAGE));
    let told = |name: &str| answer.headers()[name].to_str().unwrap().to_lowercase();
    for header in [
        "authorization",
        "content-type",
        "last-event-id",
        "lectern-visitor",
    ] {
        assert!(told("access-control-allow-headers").contains(header));
    }
    assert!(told("access-control-allow-methods").contains("post"));
    assert!(told("vary").contains("origin"));
    assert!(
        !answer
            .headers()
            .contains_key("access-control-allow-credentials")
    );
    for origin in [
        "https://evil.example",
        "http://shop.example",
        "https://a.shop.example",
        "null",
    ] {
        assert_eq!(
            allowed(&preflight(&api, questions, origin).await),
            None,
            "{origin}"
        );
    }
    let nothing_to_do_here = preflight(&api, "/api/v1/documents", PAGE).await;
    assert_eq!(allowed(&nothing_to_do_here), None);

    // The page can read refusals, too.
    let missing = format!("/api/v1/questions/{DEFAULT_TENANT}");
    for (key, status) in [
        (key.as_str(), 404),
        (Key::fresh(Kind::Widget).reveal(), 401),
    ] {
        let answer = visit(&api, key, None, "GET", &missing)
            .send()
            .await
            .unwrap();
        assert_eq!(
            (answer.status().as_u16(), allowed(&answer).as_deref()),
            (status, Some(PAGE))
        );
    }
    // A page of the same host reads without an origin, and the browser vouches for it.
    let asked = visit(&api, &key, None, "POST", questions).json(&json!({"question": "Who?"}));
    let path = format!(
        "/api/v1/questions/{}",
        body(asked).await["id"].as_str().unwrap()
    );
    for (host, site, status) in [
        ("shop.example", "same-origin", 200),
        ("shop.example", "cross-site", 403),
        ("evil.example", "same-origin", 403),
    ] {
        let read = api.request_with(&key, "GET", &path).header("host", host);
        let read = read.header("sec-fetch-site", site).send().await.unwrap();
        assert_eq!(read.status(), status, "{host} {site}");
    }

    let list = body(api.request("GET", "/api/v1/keys")).await;
    let path = format!("/api/v1/keys/{}", list["keys"][0]["id"].as_str().unwrap());
    assert_eq!(
        api.request("DELETE", &path).send().await.unwrap().status(),
        204
    );
    assert_eq!(
        allowed(&preflight(&api, questions, PAGE).await),
        None,
        "it is revoked"
    );
}
