//! Keys: made, used, limited, revoked; tenants and their operators.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures::future::join_all;
use lectern_api::testing;
use lectern_shared::{
    ids::DEFAULT_TENANT,
    keys::{Key, Kind, Scope},
    store::keys,
    testing::Place,
};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Api, pdf, problem};

pub(crate) const PAGE: &str = "https://shop.example";

impl Api {
    pub(crate) async fn make_key(&self, wanted: &Value) -> Value {
        let made = self
            .request("POST", "/api/v1/keys")
            .json(wanted)
            .send()
            .await;
        let made = made.unwrap();
        assert_eq!(made.status(), 201, "{wanted}");
        made.json().await.unwrap()
    }

    pub(crate) async fn status(&self, key: &str, method: &str, path: &str) -> u16 {
        let response = self.request_with(key, method, path).send().await.unwrap();
        response.status().as_u16()
    }
}

pub(crate) async fn body(request: RequestBuilder) -> Value {
    request.send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_key_is_shown_once_and_says_what_it_may_do() {
    let api = Api::start(&[]).await;
    let made = api
        .make_key(&json!({
            "name": "reports", "kind": "secret", "scopes": ["read", "ask", "read"], "collections": ["default"],
            "expires_at": "2100-01-01T00:00:00Z"
        }))
        .await;
    let key = made["key"].as_str().unwrap();
    let prefix = made["prefix"].as_str().unwrap();
    assert!(
        key.starts_with(prefix) && prefix.starts_with("lectern_sk_"),
        "{made}"
    );
    let me = body(api.request_with(key, "GET", "/api/v1/me")).await;
    assert_eq!(
        me["tenant"],
        json!({"id": DEFAULT_TENANT, "name": "default"})
    );
    let shown = &me["key"];
    for (field, expected) in [
        ("id", made["id"].clone()),
        ("name", json!("reports")),
        ("kind", json!("secret")),
        ("scopes", json!(["read", "ask"])),
        ("collections", json!(["default"])),
        ("origins", json!([])),
        ("expires_at", json!("2100-01-01T00:00:00Z")),
        ("revoked_at", Value::Null),
    ] {
        assert_eq!(shown[field], expected, "{field}");
    }
    let list = api.request("GET", "/api/v1/keys").send().await.unwrap();
    let text = list.text().await.unwrap();
    assert!(
        text.contains(prefix) && !text.contains(&key[prefix.len()..]),
        "{text}"
    );
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list["keys"][0]["id"], made["id"]);
    assert_eq!(list["keys"][0].get("key"), None);
    let kept: Vec<String> = sqlx::query_scalar("select row::text from api_keys row")
        .fetch_all(api.pool())
        .await
        .unwrap();
    assert!(
        !kept.concat().contains(&key[prefix.len()..]),
        "stored as it is"
    );
}

#[tokio::test]
async fn a_key_that_is_revoked_opens_nothing_from_then_on_at_any_replica() {
    let api = Api::start(&[]).await;
    let replica = testing::start(testing::settings(&[]), &api.place)
        .await
        .unwrap();
    let there = format!("http://{}/api/v1/documents", replica.address);
    let made = api
        .make_key(&json!({"name": "a", "kind": "secret", "scopes": ["read"]}))
        .await;
    let key = made["key"].as_str().unwrap();
    let other = api.client.get(&there).bearer_auth(key);
    assert_eq!(other.send().await.unwrap().status(), 200);
    assert_eq!(api.status(key, "GET", "/api/v1/documents").await, 200);

    let path = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(
        api.request("DELETE", &path).send().await.unwrap().status(),
        204
    );
    let other = api.client.get(&there).bearer_auth(key);
    problem(other.send().await.unwrap(), 401, "unauthorized").await;
    assert_eq!(api.status(key, "GET", "/api/v1/documents").await, 401);
    let again = api.request("DELETE", &path).send().await.unwrap();
    problem(again, 404, "not_found").await;
    let list = body(api.request("GET", "/api/v1/keys")).await;
    assert!(list["keys"][0]["revoked_at"].is_string(), "{list}");
    replica.stop.cancel();
}

#[tokio::test]
async fn keys_that_are_looked_up_together_are_not_taken_for_each_other() {
    let api = Api::start(&[]).await;
    let mut asked = Vec::new();
    for number in 0..12 {
        let wanted = json!({"name": number.to_string(), "kind": "secret", "scopes": ["read"]});
        let made = api.make_key(&wanted).await;
        let key = made["key"].as_str().unwrap().to_owned();
        let (_, theirs) = testing::other_tenant(api.pool(), &format!("tenant {number}"))
            .await
            .unwrap();
        asked.push((key, json!(["default", number.to_string()])));
        asked.push((theirs, json!([format!("tenant {number}"), "test"])));
        asked.push((Key::fresh(Kind::Secret).reveal().to_owned(), Value::Null));
    }
    let ask = async |key: &str| {
        let request = api.request_with(key, "GET", "/api/v1/me");
        let response = request.send().await.unwrap();
        if response.status() == 401 {
            return Value::Null;
        }
        let me: Value = response.json().await.unwrap();
        json!([me["tenant"]["name"], me["key"]["name"]])
    };
    for _ in 0..5 {
        let found = join_all(asked.iter().map(|(key, _)| ask(key))).await;
        let expected: Vec<_> = asked.iter().map(|(_, expected)| expected.clone()).collect();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_amid_many_requests_opens_nothing_from_then_on() {
    let api = Api::start(&[]).await;
    let made = api
        .make_key(&json!({"name": "a", "kind": "secret", "scopes": ["read"]}))
        .await;
    let key = made["key"].as_str().unwrap();
    let path = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
    let list = "/api/v1/collections";
    let revoked = AtomicBool::new(false);
    let reader = async || {
        let mut refusals = 0;
        while refusals < 5 {
            // Known before the request is sent.
            let must_fail = revoked.load(Ordering::SeqCst);
            let status = api.status(key, "GET", list).await;
            assert!(status == 401 || (status == 200 && !must_fail), "{status}");
            refusals += usize::from(status == 401);
        }
    };
    let readers = join_all((0..16).map(|_| reader()));
    let revoke = async {
        assert_eq!(api.status(key, "GET", list).await, 200);
        let gone = api.request("DELETE", &path).send().await.unwrap();
        assert_eq!(gone.status(), 204);
        revoked.store(true, Ordering::SeqCst);
    };
    tokio::join!(readers, revoke);
}

#[tokio::test]
async fn a_key_is_made_with_limits_of_its_own_and_says_them() {
    let api = Api::start(&["--rate-limits=true"]).await;
    let wanted = json!({
        "name": "slow", "kind": "secret", "scopes": ["read", "ask"], "requests_per_minute": 3, "asks_per_minute": 1,
        "streams_max": 0
    });
    let made = api.make_key(&wanted).await;
    let key = made["key"].as_str().unwrap();
    let ask = api.request_with(key, "POST", "/api/v1/questions");
    let ask = ask.json(&json!({"question": "Why?"}));
    let again = ask.try_clone().unwrap();
    let asked: Value = ask.send().await.unwrap().json().await.unwrap();
    problem(again.send().await.unwrap(), 429, "rate_limited").await;
    let events = api.request_with(key, "GET", asked["events"].as_str().unwrap());
    problem(events.send().await.unwrap(), 429, "rate_limited").await;
    let me = api.request_with(key, "GET", "/api/v1/me").send().await;
    let me = me.unwrap();
    assert_eq!(me.headers()["ratelimit-limit"], "3");
    let me: Value = me.json().await.unwrap();
    let list = body(api.request("GET", "/api/v1/keys")).await;
    for shown in [&made, &me["key"], &list["keys"][0]] {
        for (field, expected) in [
            ("requests_per_minute", json!(3)),
            ("asks_per_minute", json!(1)),
            ("uploads_per_minute", Value::Null),
            ("streams_max", json!(0)),
        ] {
            assert_eq!(shown[field], expected, "{field} in {shown}");
        }
    }
    for (field, wrong) in [
        ("requests_per_minute", json!(0)),
        ("asks_per_minute", json!(1_000_001)),
        ("uploads_per_minute", json!(-1)),
        ("streams_max", json!(0.5)),
    ] {
        let mut refused = wanted.clone();
        refused[field] = wrong;
        let refused = api.request("POST", "/api/v1/keys").json(&refused);
        problem(refused.send().await.unwrap(), 400, "invalid_request").await;
    }
}

#[tokio::test]
async fn keys_that_make_no_sense_are_refused_with_what_to_do() {
    let api = Api::start(&["--keys-max=3"]).await;
    let widget = |collections: Value, origins: Value| json!({"name": "w", "kind": "widget", "collections": collections, "origins": origins});
    for (wanted, told) in [
        (
            json!({"name": " ", "kind": "secret", "scopes": ["read"]}),
            "`name`",
        ),
        (json!({"name": "a", "kind": "secret"}), "`scopes` is empty"),
        (
            json!({"name": "a", "kind": "secret", "scopes": ["all"]}),
            "unknown variant `all`",
        ),
        (
            json!({"name": "a", "kind": "secret", "scopes": ["read"], "origins": [PAGE]}),
            "`origins` is for widgets",
        ),
        (
            json!({"name": "a", "kind": "secret", "scopes": ["admin"], "collections": ["default"]}),
            "limited to collections",
        ),
        (
            json!({"name": "a", "kind": "secret", "scopes": ["read"], "collections": []}),
            "`collections` is empty",
        ),
        (
            json!({"name": "a", "kind": "secret", "scopes": ["read"], "collections": ["none"]}),
            "no collection `none`",
        ),
        (
            json!({"name": "a", "kind": "secret", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}),
            "in the past",
        ),
        (widget(json!(["default"]), json!([])), "`origins` is empty"),
        (
            widget(json!(["default"]), json!(["https://*.com"])),
            "an origin is",
        ),
        (widget(json!(["default"]), json!(["*"])), "an origin is"),
        (
            json!({
                "name": "w", "kind": "widget", "scopes": ["ask", "read"], "collections": ["default"],
                "origins": [PAGE]
            }),
            "only scope is `ask`",
        ),
    ] {
        let refused = api
            .request("POST", "/api/v1/keys")
            .json(&wanted)
            .send()
            .await;
        let refused = problem(refused.unwrap(), 400, "invalid_request").await;
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains(told), "{wanted}: {detail}");
    }
    // The development key is one, and a widget's can't be for all collections.
    let all = widget(Value::Null, json!([PAGE]));
    let refused = api.request("POST", "/api/v1/keys").json(&all).send().await;
    problem(refused.unwrap(), 400, "invalid_request").await;
    let wanted = json!({"name": "a", "kind": "secret", "scopes": ["read"]});
    api.make_key(&wanted).await;
    api.make_key(&wanted).await;
    let refused = api
        .request("POST", "/api/v1/keys")
        .json(&wanted)
        .send()
        .await;
    let refused = problem(refused.unwrap(), 409, "conflict").await;
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("LECTERN_KEYS_MAX"),
        "{refused}"
    );
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_have() {
    let api = Api::start(&[]).await;
    let (other, their_admin) = testing::other_tenant(api.pool(), "other").await.unwrap();
    let ask = |key: &str, wanted: Value| {
        api.request_with(key, "POST", "/api/v1/keys")
            .json(&wanted)
            .send()
    };
    let operator = json!({"name": "a", "kind": "secret", "scopes": ["operator"]});
    problem(ask(&their_admin, operator).await.unwrap(), 403, "forbidden").await;
    let ours = json!({"name": "a", "kind": "secret", "scopes": ["read"], "tenant": DEFAULT_TENANT});
    problem(ask(&their_admin, ours).await.unwrap(), 403, "forbidden").await;
    let path = format!("/api/v1/keys?tenant={DEFAULT_TENANT}");
    assert_eq!(api.status(&their_admin, "GET", &path).await, 403);

    // An operator does.
    let theirs = json!({"name": "a", "kind": "secret", "scopes": ["read"], "tenant": other});
    let made = api.make_key(&theirs).await;
    let key = made["key"].as_str().unwrap();
    let me = body(api.request_with(key, "GET", "/api/v1/me")).await;
    assert_eq!(me["tenant"]["name"], "other");
    let path = format!(
        "/api/v1/keys/{}?tenant={other}",
        made["id"].as_str().unwrap()
    );
    assert_eq!(
        api.request("DELETE", &path).send().await.unwrap().status(),
        204
    );
    assert_eq!(api.status(key, "GET", "/api/v1/me").await, 401);
}

#[tokio::test]
async fn an_operator_makes_renames_and_suspends_tenants() {
    let api = Api::start(&[]).await;
    let make = |name: &str| {
        api.request("POST", "/api/v1/tenants")
            .json(&json!({"name": name}))
            .send()
    };
    let made: Value = make("acme").await.unwrap().json().await.unwrap();
    let id = made["id"].as_str().unwrap();
    problem(make("acme").await.unwrap(), 409, "conflict").await;
    let key = json!({"name": "a", "kind": "secret", "scopes": ["read", "write"], "tenant": id});
    let key = api.make_key(&key).await["key"].as_str().unwrap().to_owned();
    let collections = body(api.request_with(&key, "GET", "/api/v1/collections")).await;
    assert_eq!(collections["collections"][0]["name"], "default");
    let path = format!("/api/v1/tenants/{id}");
    let change = |change: Value| api.request("PATCH", &path).json(&change).send();
    let changed: Value = change(json!({"suspended": true, "name": "acme ltd"}))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(changed["name"], "acme ltd");
    assert!(changed["suspended_at"].is_string());
    let refused = api
        .request_with(&key, "GET", "/api/v1/documents")
        .send()
        .await;
    problem(refused.unwrap(), 403, "tenant_suspended").await;
    assert_eq!(
        change(json!({"suspended": false})).await.unwrap().status(),
        200
    );
    assert_eq!(api.status(&key, "GET", "/api/v1/documents").await, 200);
    problem(
        change(json!({"name": "default"})).await.unwrap(),
        409,
        "conflict",
    )
    .await;
    let list = body(api.request("GET", "/api/v1/tenants?limit=1")).await;
    assert_eq!(list["tenants"][0]["name"], "default");
    let next = format!("/api/v1/tenants?cursor={}", list["next"].as_str().unwrap());
    let list = body(api.request("GET", &next)).await;
    assert_eq!(
        (&list["tenants"][0]["name"], list.get("next")),
        (&json!("acme ltd"), None)
    );
    let own = format!("/api/v1/tenants/{DEFAULT_TENANT}");
    let refused = api
        .request("PATCH", &own)
        .json(&json!({"suspended": true}))
        .send()
        .await;
    problem(refused.unwrap(), 409, "conflict").await;
}

#[tokio::test]
async fn keys_of_older_releases_go_on_working() {
    let api = Api::start(&["--mode=production"]).await;
    let key = format!("lectern_{}", "0a".repeat(32));
    // As the release before writes them.
    sqlx::query("insert into api_keys (id, tenant_id, name, hash) values (gen_random_uuid(), $1, 'old', $2)")
        .bind(DEFAULT_TENANT.0)
        .bind(Sha256::digest(&key).to_vec())
        .execute(api.pool())
        .await
        .unwrap();
    let me = body(api.request_with(&key, "GET", "/api/v1/me")).await;
    assert_eq!(
        me["key"]["scopes"],
        json!(["read", "ask", "write", "admin"]),
        "{me}"
    );
    assert_eq!(me["key"]["prefix"], "lectern_");
}

#[tokio::test]
async fn a_key_for_one_collection_works_there_without_naming_it() {
    let api = Api::start(&[]).await;
    let made = api
        .request("POST", "/api/v1/collections")
        .json(&json!({"name": "ours"}));
    assert_eq!(made.send().await.unwrap().status(), 201);
    let wanted = json!({
        "name": "a", "kind": "secret", "scopes": ["read", "write", "ask"], "collections": ["ours"]
    });
    let made = api.make_key(&wanted).await;
    let key = made["key"].as_str().unwrap();
    assert_eq!(api.upload("theirs.pdf", pdf()).await.status(), 202);
    let form = reqwest::multipart::Form::new().part("file", reqwest::multipart::Part::bytes(pdf()));
    let sent = api
        .request_with(key, "POST", "/api/v1/documents")
        .multipart(form)
        .send();
    let sent: Value = sent.await.unwrap().json().await.unwrap();
    let path = format!("/api/v1/documents/{}", sent["id"].as_str().unwrap());
    let document = body(api.request_with(key, "GET", &path)).await;
    assert_eq!(document["collection"], "ours");
    let list = body(api.request_with(key, "GET", "/api/v1/documents")).await;
    assert_eq!(list["documents"].as_array().unwrap().len(), 1);
    let list = body(api.request_with(key, "GET", "/api/v1/collections")).await;
    assert_eq!(list["collections"].as_array().unwrap().len(), 1);
    let asked = json!({"question": "Who?", "collection": "default"});
    let refused = api
        .request_with(key, "POST", "/api/v1/questions")
        .json(&asked)
        .send()
        .await;
    problem(refused.unwrap(), 404, "not_found").await;
}

#[tokio::test]
async fn a_key_that_may_only_ask_sees_what_was_asked_with_it() {
    let api = Api::start(&[]).await;
    let ask_only = || testing::key(api.pool(), DEFAULT_TENANT, &[Scope::Ask]);
    let (one, other) = (ask_only().await.unwrap(), ask_only().await.unwrap());
    let begun = body(api.request_with(&one, "POST", "/api/v1/conversations")).await;
    let path = format!("/api/v1/conversations/{}", begun["id"].as_str().unwrap());
    assert_eq!(api.status(&one, "GET", &path).await, 200);
    assert_eq!(api.status(&other, "GET", &path).await, 404);
    for (key, conversations) in [(one.as_str(), 1), (&other, 0), ("lectern-dev", 1)] {
        let list = body(api.request_with(key, "GET", "/api/v1/conversations")).await;
        assert_eq!(
            list["conversations"].as_array().unwrap().len(),
            conversations
        );
    }
}

#[tokio::test]
async fn the_use_of_a_key_is_noted_once_a_minute() {
    let api = Api::start(&[]).await;
    let key = testing::key(api.pool(), DEFAULT_TENANT, &[Scope::Read])
        .await
        .unwrap();
    let id = keys::find(api.pool(), &Key::parse(&key).unwrap())
        .await
        .unwrap()
        .unwrap()
        .key;
    let used = async || -> Option<chrono::DateTime<chrono::Utc>> {
        let used = sqlx::query_scalar("select last_used_at from api_keys where id = $1");
        used.bind(id.0).fetch_one(api.pool()).await.unwrap()
    };
    let used_after = async |before| {
        let began = Instant::now();
        loop {
            let now = used().await;
            if now > before {
                return now;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "not noted");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert_eq!(used().await, None);
    let requests = (0..20).map(|_| api.status(&key, "GET", "/api/v1/me"));
    join_all(requests).await;
    let first = used_after(None).await;
    assert_eq!(api.status(&key, "GET", "/api/v1/me").await, 200);
    keys::note_use(api.pool(), id).await.unwrap();
    assert_eq!(used().await, first, "within the same minute");
    sqlx::query("update api_keys set last_used_at = now() - interval '61 seconds' where id = $1")
        .bind(id.0)
        .execute(api.pool())
        .await
        .unwrap();
    let earlier = used().await;
    assert_eq!(api.status(&key, "GET", "/api/v1/me").await, 200);
    used_after(earlier).await;
}

#[tokio::test]
async fn of_first_keys_that_are_made_at_once_one_is_kept() {
    let place = Place::new().await.unwrap();
    let keys: Vec<_> = (0..16).map(|_| Key::fresh(Kind::Secret)).collect();
    let made = keys.iter().map(|key| keys::create_first(&place.pool, key));
    let made = join_all(made).await;
    let kept: Vec<_> = made
        .into_iter()
        .filter(|made| *made.as_ref().unwrap())
        .collect();
    assert_eq!(kept.len(), 1);
}
