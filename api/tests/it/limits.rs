//! Limits of requests: what is left, who is refused, and who isn't.

use std::time::{Duration, Instant};

use futures::future::join_all;
use lectern_api::testing;
use lectern_shared::{
    ids::{ApiKeyId, DEFAULT_TENANT},
    keys::{Key, Scope},
    store::keys,
    testing::Place,
};
use reqwest::Response;
use serde_json::Value;

use super::{Api, keys::PAGE, pdf, problem};

const LIST: &str = "/api/v1/collections";

impl Api {
    /// With limits, these and no others.
    async fn start_limited(limits: &[&str]) -> Self {
        let names = ["key", "widget", "tenant", "address"];
        let classes = ["requests", "asks", "uploads"];
        let mut arguments = vec!["--rate-limits=true".to_owned()];
        for name in names {
            for class in classes
                .iter()
                .filter(|class| (name, **class) != ("widget", "uploads"))
            {
                arguments.push(format!("--limit-{name}-{class}=off"));
            }
        }
        arguments.extend(limits.iter().map(ToString::to_string));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Self::start(&arguments).await
    }

    async fn list_from(&self, address: &str) -> Response {
        let request = self.request("GET", LIST);
        let request = request.header("x-forwarded-for", address);
        request.send().await.unwrap()
    }

    /// Another key of the same tenant.
    async fn another_key(&self) -> (ApiKeyId, String) {
        let key = testing::key(self.pool(), DEFAULT_TENANT, &[Scope::Read, Scope::Ask]);
        let key = key.await.unwrap();
        let found = keys::find(self.pool(), &Key::parse(&key).unwrap()).await;
        (found.unwrap().unwrap().key, key)
    }
}

fn number(response: &Response, header: &str) -> u64 {
    let value = response.headers().get(header);
    value
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or_else(|| panic!("{header} in {:?}", response.headers()))
}

#[tokio::test]
async fn a_key_is_told_what_is_left_and_then_when_to_come_back() {
    let api = Api::start_limited(&["--limit-key-requests=3/h"]).await;
    for remaining in [2, 1, 0] {
        let response = api.request("GET", LIST).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(number(&response, "ratelimit-limit"), 3);
        assert_eq!(number(&response, "ratelimit-remaining"), remaining);
        // All of it is given back when what was taken is: 20 minutes for each.
        let reset = number(&response, "ratelimit-reset");
        let taken = 3 - remaining;
        assert!(
            (1190 * taken..=1200 * taken).contains(&reset),
            "{reset} for {taken}"
        );
    }
    let refused = api.request("GET", LIST).send().await.unwrap();
    let wait = number(&refused, "retry-after");
    assert!((1190..=1200).contains(&wait), "{wait}");
    assert_eq!(number(&refused, "ratelimit-remaining"), 0);
    let refused = problem(refused, 429, "rate_limited").await;
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("`key_requests`")
    );
    // Of another class, of another key, and of nobody.
    assert_eq!(api.upload("a.pdf", pdf()).await.status(), 202);
    let (_, key) = api.another_key().await;
    let other = api.request_with(&key, "GET", LIST).send().await.unwrap();
    assert_eq!(other.status(), 200);
    for path in ["/api/v1/health/live", "/api/v1/health/ready", "/metrics"] {
        let free = api.client.get(format!("http://{}{path}", api.address));
        assert_eq!(free.send().await.unwrap().status(), 200, "{path}");
    }
    let metrics = api.request("GET", "/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        metrics.contains("lectern_rate_limited_total{limit=\"key_requests\"} "),
        "{metrics}"
    );
}

#[tokio::test]
async fn what_was_taken_is_given_back_bit_by_bit() {
    let api = Api::start_limited(&["--limit-key-requests=2/2s"]).await;
    let status = async || api.request("GET", LIST).send().await.unwrap().status();
    let began = Instant::now();
    let mut taken = 0;
    // So many at once, and then one each second.
    while taken < 4 {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "nothing is given back"
        );
        taken += u64::from(status().await == 200);
    }
    assert!(
        began.elapsed() >= Duration::from_millis(1900),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn of_requests_at_one_moment_exactly_as_many_as_allowed_come_through_at_all_replicas() {
    let api = Api::start_limited(&["--limit-key-requests=10/h"]).await;
    let other = ["--rate-limits=true", "--limit-key-requests=10/h"];
    let other = testing::start(testing::settings(&other), &api.place)
        .await
        .unwrap();
    // A database that is too busy to say whose key it is has counted nothing: such a request is made again.
    let ask = async |address: std::net::SocketAddr| {
        let began = Instant::now();
        loop {
            let request = api.client.get(format!("http://{address}{LIST}"));
            let request = request.bearer_auth(keys::DEVELOPMENT_KEY);
            let status = request.send().await.unwrap().status().as_u16();
            if status != 503 {
                return status;
            }
            assert!(began.elapsed().as_secs() < 60, "the database stays busy");
        }
    };
    let addresses = [api.address, other.address];
    let statuses = join_all((0..40).map(|number| ask(addresses[number % 2]))).await;
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(429)), (10, 30));
    other.stop.cancel();
}

#[tokio::test]
async fn a_request_that_one_limit_refuses_takes_nothing_from_the_others() {
    let api = Api::start_limited(&[
        "--limit-key-requests=6/h",
        "--limit-address-requests=4/h",
        "--trusted-proxies=127.0.0.1",
    ])
    .await;
    for wanted in [200, 200, 200, 200, 429, 429, 429] {
        assert_eq!(api.list_from("203.0.113.7").await.status(), wanted);
    }
    let elsewhere = api.list_from("203.0.113.8").await;
    assert_eq!(elsewhere.status(), 200);
    // Of the key's six, five are taken; and it is the limit that is nearest to its end.
    assert_eq!(number(&elsewhere, "ratelimit-remaining"), 1);
    assert_eq!(number(&elsewhere, "ratelimit-limit"), 6);
}

#[tokio::test]
async fn a_stranger_can_not_choose_the_address_that_it_counts_for() {
    let api = Api::start_limited(&["--limit-address-requests=2/h"]).await;
    let mut statuses = Vec::new();
    for address in ["203.0.113.1", "203.0.113.2", "203.0.113.3"] {
        statuses.push(api.list_from(address).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn a_tenant_has_one_limit_for_all_its_keys() {
    let api = Api::start_limited(&["--limit-tenant-asks=2/h"]).await;
    let (_, key) = api.another_key().await;
    let ask = async |key: &str| {
        let request = api.request_with(key, "POST", "/api/v1/questions");
        let request = request.json(&serde_json::json!({"question": "Why?"}));
        request.send().await.unwrap()
    };
    assert_eq!(ask(keys::DEVELOPMENT_KEY).await.status(), 202);
    assert_eq!(ask(&key).await.status(), 202);
    let refused = problem(ask(&key).await, 429, "rate_limited").await;
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("`tenant_asks`"),
        "{refused}"
    );
    assert_eq!(api.count("questions").await, 2);
}

#[tokio::test]
async fn failed_authentications_are_limited_by_address_and_valid_keys_go_on() {
    let api = Api::start_limited(&[
        "--limit-address-auth-failures=2/h",
        "--trusted-proxies=127.0.0.1",
    ])
    .await;
    let fail = async |address: &str| {
        let request = api.request_with("lectern-wrong", "GET", LIST);
        let request = request.header("x-forwarded-for", address);
        request.send().await.unwrap()
    };
    problem(fail("2001:db8:1:2::3").await, 401, "unauthorized").await;
    problem(fail("2001:db8:1:2::4").await, 401, "unauthorized").await;
    let refused = fail("2001:db8:1:2::5").await;
    assert!(number(&refused, "retry-after") > 1700);
    let refused = problem(refused, 429, "rate_limited").await;
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("`address_auth_failures`")
    );
    problem(fail("2001:db8:1:3::3").await, 401, "unauthorized").await;
    assert_eq!(api.list_from("2001:db8:1:2::3").await.status(), 200);
}

#[tokio::test]
async fn a_key_may_have_limits_of_its_own() {
    let api = Api::start_limited(&["--limit-key-requests=1/h", "--streams-key-max=5"]).await;
    let (id, key) = api.another_key().await;
    sqlx::query("update api_keys set requests_per_minute = 30, streams_max = 1 where id = $1")
        .bind(id.0)
        .execute(api.pool())
        .await
        .unwrap();
    let own = api.request_with(&key, "GET", LIST).send().await.unwrap();
    assert_eq!(number(&own, "ratelimit-limit"), 30);
    assert_eq!(number(&own, "ratelimit-remaining"), 29);
    assert!(number(&own, "ratelimit-reset") <= 2);
    let events = events_of_an_upload(&api).await;
    let first = api.request_with(&key, "GET", &events).send().await.unwrap();
    assert_eq!(first.status(), 200);
    let refused = api.request_with(&key, "GET", &events).send().await.unwrap();
    assert!(number(&refused, "retry-after") > 0);
    problem(refused, 429, "rate_limited").await;
}

#[tokio::test]
async fn one_visitor_of_a_page_does_not_take_what_the_others_may_ask() {
    let api = Api::start_limited(&[
        "--limit-widget-asks=10/h",
        "--limit-widget-address-asks=2/h",
        "--trusted-proxies=127.0.0.1",
    ])
    .await;
    let mut keys = Vec::new();
    for name in ["one", "other"] {
        let wanted = serde_json::json!({
            "name": name, "kind": "widget", "collections": ["default"], "origins": [PAGE]
        });
        let made = api.make_key(&wanted).await;
        keys.push(made["key"].as_str().unwrap().to_owned());
    }
    let ask = async |key: &str, address: &str| {
        let request = api.request_with(key, "POST", "/api/v1/questions");
        let request = request.header("origin", PAGE);
        let request = request.header("x-forwarded-for", address);
        let request = request.json(&serde_json::json!({"question": "Why?"}));
        request.send().await.unwrap()
    };
    for _ in 0..2 {
        assert_eq!(ask(&keys[0], "203.0.113.7").await.status(), 202);
    }
    for _ in 0..20 {
        let refused = problem(ask(&keys[0], "203.0.113.7").await, 429, "rate_limited").await;
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("`widget_address_asks`"), "{detail}");
    }
    // Of the key's ten, two are taken.
    let elsewhere = ask(&keys[0], "203.0.113.8").await;
    assert_eq!(elsewhere.status(), 202);
    assert_eq!(ask(&keys[1], "203.0.113.7").await.status(), 202);
    for address in 9..15 {
        let asked = ask(&keys[0], &format!("203.0.113.{address}")).await;
        assert_eq!(asked.status(), 202, "{address}");
    }
    // All visitors together have those of the key, and none besides.
    assert_eq!(ask(&keys[0], "203.0.113.15").await.status(), 202);
    let refused = problem(ask(&keys[0], "203.0.113.16").await, 429, "rate_limited").await;
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("`widget_asks`"), "{detail}");
}

#[tokio::test]
async fn a_key_has_as_many_requests_waiting_as_it_may_and_is_in_nobodys_way() {
    let api = Api::start(&["--waiting-key-max=2", "--search-timeout-ms=10000"]).await;
    let (_, other) = api.another_key().await;
    let search = |key: &str| {
        let request = api.request_with(key, "POST", "/api/v1/search");
        request
            .json(&serde_json::json!({"question": "Why?"}))
            .send()
    };
    // There is no worker.
    let waiting: Vec<_> = (0..2)
        .map(|_| tokio::spawn(search(keys::DEVELOPMENT_KEY)))
        .collect();
    let began = Instant::now();
    while api.count("questions").await < 2 {
        assert!(began.elapsed().as_secs() < 20, "the searches are not there");
    }
    let refused = search(keys::DEVELOPMENT_KEY).await.unwrap();
    assert!(number(&refused, "retry-after") > 0);
    problem(refused, 429, "rate_limited").await;
    for (path, body) in [
        (
            "/v1/chat/completions",
            serde_json::json!({"model": "lectern", "messages": [{"role": "user", "content": "Why?"}]}),
        ),
        (
            "/v1/embeddings",
            serde_json::json!({"model": "lectern-embedding", "input": "Why?"}),
        ),
    ] {
        let refused = api.request("POST", path).json(&body).send().await.unwrap();
        assert_eq!(refused.status(), 429, "{path}");
    }
    let call = serde_json::json!({"name": "search", "arguments": {"question": "Why?"}});
    let told = api.mcp(keys::DEVELOPMENT_KEY, "tools/call", &call);
    let told = told.send().await.unwrap().text().await.unwrap();
    assert!(told.contains("Too many requests at a time"), "{told}");
    // What doesn't wait goes on, and so does another key.
    assert_eq!(api.request("GET", LIST).send().await.unwrap().status(), 200);
    assert_eq!(api.count("questions").await, 2);
    let others = tokio::spawn(search(&other));
    while api.count("questions").await < 3 {
        assert!(began.elapsed().as_secs() < 20, "the other key is refused");
    }
    for ended in waiting.into_iter().chain([others]) {
        problem(ended.await.unwrap().unwrap(), 503, "no_worker").await;
    }
}

async fn events_of_an_upload(api: &Api) -> String {
    let accepted: Value = api.upload("ours.pdf", pdf()).await.json().await.unwrap();
    accepted["events"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_has_as_many_streams_as_it_may_and_is_in_nobodys_way() {
    let api = Api::start(&["--streams-key-max=2"]).await;
    let (_, other) = api.another_key().await;
    let events = events_of_an_upload(&api).await;
    let open = async |key: &str| api.request_with(key, "GET", &events).send().await.unwrap();
    let (first, second) = (
        open(keys::DEVELOPMENT_KEY).await,
        open(keys::DEVELOPMENT_KEY).await,
    );
    assert_eq!(
        (first.status().as_u16(), second.status().as_u16()),
        (200, 200)
    );
    // A question that is asked with a stream would have one too many: it is not even written down.
    let ask = api.request("POST", "/api/v1/questions");
    let ask = ask.header("accept", "text/event-stream");
    let refused = ask
        .json(&serde_json::json!({"question": "Why?"}))
        .send()
        .await
        .unwrap();
    problem(refused, 429, "rate_limited").await;
    assert_eq!(api.count("questions").await, 0);
    assert_eq!(open(&other).await.status(), 200);
    drop(first);
    let began = Instant::now();
    while open(keys::DEVELOPMENT_KEY).await.status() != 200 {
        assert!(
            began.elapsed().as_secs() < 20,
            "the place did not come free"
        );
    }
}

#[tokio::test]
async fn a_limit_of_zero_requests_can_not_be_written() {
    let place = Place::new().await.unwrap();
    let written = sqlx::query(
        "insert into api_keys (id, tenant_id, name, hash, asks_per_minute) values ($1, $2, 'x', 'x', 0)",
    )
    .bind(ApiKeyId::fresh().0)
    .bind(DEFAULT_TENANT.0)
    .execute(&place.pool)
    .await;
    let refused = written.unwrap_err().to_string();
    assert!(refused.contains("api_keys_limits_positive"), "{refused}");
}
