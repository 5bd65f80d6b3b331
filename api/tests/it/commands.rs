//! The program itself: its commands, its first start, its log.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use lectern_api::testing;
use lectern_shared::{
    ids::DEFAULT_TENANT,
    keys::{Key, Kind, Scope},
    store::keys,
    testing::Place,
};
use reqwest::{Client, multipart};
use serde_json::{Value, json};

use super::keys::PAGE;

fn program(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lectern-api"));
    command
        .args(arguments)
        .envs(place.environment())
        .env("LECTERN_LISTEN", "127.0.0.1:0");
    command
}

/// A server of its own process, killed at the end of a test.
struct Server {
    child: Child,
    address: String,
    log: Option<JoinHandle<String>>,
}

impl Server {
    fn start(place: &Place, arguments: &[&str], filter: &str) -> Self {
        let mut command = program(place, arguments);
        command.env("LECTERN_LOG", filter);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (listens, address) = mpsc::channel();
        // Read all the while: a server whose log nobody takes stands still.
        let log = std::thread::spawn(move || {
            let mut logged = String::new();
            for line in lines.map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("listening address=") {
                    let _ = listens.send(rest.trim().to_owned());
                }
                logged += &line;
                logged.push('\n');
            }
            logged
        });
        Self {
            child,
            address: address.recv_timeout(Duration::from_secs(60)).unwrap(),
            log: Some(log),
        }
    }

    /// All that it has printed and logged.
    fn end(mut self) -> (String, String) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut printed = String::new();
        let mut output = self.child.stdout.take().unwrap();
        output.read_to_string(&mut printed).unwrap();
        (printed, self.log.take().unwrap().join().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn of_replicas_that_start_at_once_one_prints_the_first_key_and_none_ever_again() {
    let place = Place::new().await.unwrap();
    let start = || Server::start(&place, &["serve", "--mode=production"], "info");
    let printed: String = std::thread::scope(|scope| {
        let servers: Vec<_> = (0..3).map(|_| scope.spawn(start)).collect();
        let ended = servers
            .into_iter()
            .map(|server| server.join().unwrap().end());
        ended.map(|(printed, _)| printed).collect()
    });
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let (_, raw) = printed.trim().rsplit_once(' ').unwrap();
    let key = Key::parse(raw).unwrap();
    let access = keys::find(&place.pool, &key).await.unwrap().unwrap();
    assert_eq!(access.scopes, Scope::ALL);

    assert!(
        keys::revoke(&place.pool, DEFAULT_TENANT, access.key)
            .await
            .unwrap()
    );
    let (printed, logged) = start().end();
    assert_eq!(printed, "");
    assert!(logged.contains("lectern-api keys create"), "{logged}");
}

fn said(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn keys_and_tenants_are_made_listed_and_revoked_by_commands() {
    let place = Place::new().await.unwrap();
    let run = |arguments: &[&str]| program(&place, arguments).output().unwrap();
    assert!(run(&["migrate"]).status.success());
    let tenant = said(run(&["tenants", "create", "acme"]));
    assert!(said(run(&["tenants", "list"])).contains(&format!("{} active acme", tenant.trim())));
    let key = said(run(&[
        "keys",
        "create",
        "--name=admin",
        "--scopes=admin,read",
        "--tenant=acme",
    ]));
    let key = Key::parse(key.trim()).unwrap();
    let access = keys::find(&place.pool, &key).await.unwrap().unwrap();
    assert_eq!(access.tenant.to_string(), tenant.trim());
    assert_eq!(access.scopes, [Scope::Read, Scope::Admin]);
    let list = said(run(&["keys", "list", "--tenant=acme"]));
    assert!(
        list.contains(key.prefix()) && !list.contains(key.reveal()),
        "{list}"
    );
    assert_eq!(said(run(&["keys", "list"])), "");
    let id = access.key.to_string();
    // Of another tenant there is no such key.
    assert!(!run(&["keys", "revoke", &id]).status.success());
    said(run(&["keys", "revoke", &id, "--tenant=acme"]));
    assert_eq!(keys::find(&place.pool, &key).await.unwrap(), None);

    let limited = said(run(&[
        "keys",
        "create",
        "--name=slow",
        "--scopes=read",
        "--requests-per-minute=7",
        "--streams-max=0",
        "--tenant=acme",
    ]));
    let limited = Key::parse(limited.trim()).unwrap();
    let access = keys::find(&place.pool, &limited).await.unwrap().unwrap();
    let limits = access.limits;
    assert_eq!(
        (limits.requests_per_minute, limits.streams_max),
        (Some(7), Some(0))
    );
    assert_eq!((limits.asks_per_minute, access.suspended), (None, false));
    said(run(&["tenants", "suspend", "acme"]));
    assert!(said(run(&["tenants", "list"])).contains("suspended acme"));
    let access = keys::find(&place.pool, &limited).await.unwrap().unwrap();
    assert!(access.suspended);
    said(run(&["tenants", "resume", "acme"]));
    assert!(said(run(&["tenants", "list"])).contains("active acme"));
    assert!(!run(&["tenants", "suspend", "nobody"]).status.success());
    let quota = |more: &[&str]| {
        let quota = ["tenants", "quota", "acme", "--quota=questions"];
        said(run(&[quota.as_slice(), more].concat()))
    };
    let day = "--period=day";
    assert_eq!(quota(&[day, "--allowed=7"]), "questions day 7\n");
    let month = quota(&["--period=month", "--allowed=unlimited"]);
    assert_eq!(month, "questions day 7\nquestions month unlimited\n");
    assert_eq!(quota(&[day]), "questions month unlimited\n");

    let widget = said(run(&[
        "keys",
        "create",
        "--name=shop",
        "--kind=widget",
        "--collections=default",
        "--origins=https://*.example.com",
    ]));
    let widget = Key::parse(widget.trim()).unwrap();
    let access = keys::find(&place.pool, &widget).await.unwrap().unwrap();
    assert_eq!(
        (access.kind, access.origins),
        (Kind::Widget, vec!["https://*.example.com".to_owned()])
    );
    let refused = run(&["keys", "create", "--name=nothing"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && told.contains("`scopes` is empty"),
        "{told}"
    );
}

#[tokio::test]
async fn no_key_and_no_visitor_is_ever_in_the_log() {
    let place = Place::new().await.unwrap();
    let server = Server::start(&place, &["serve", "--search-timeout-ms=100"], "trace");
    let client = Client::new();
    let url = |path: &str| format!("http://{}{path}", server.address);
    let good = testing::key(&place.pool, DEFAULT_TENANT, &[Scope::Admin, Scope::Read]).await;
    let good = good.unwrap();
    let odd = "lectern_odd-key-that-nobody-has-0123456789";
    let wrong = Key::fresh(Kind::Secret);
    let visitor = "visitor-0123456789abcdef";
    let mut secrets = vec![
        good.clone(),
        odd.to_owned(),
        wrong.reveal().to_owned(),
        visitor.to_owned(),
    ];
    let wanted = json!({
        "name": "w", "kind": "widget", "collections": ["default"], "origins": [PAGE]
    });
    let made = client
        .post(url("/api/v1/keys"))
        .bearer_auth(&good)
        .json(&wanted);
    let made = made.send().await.unwrap();
    let request_id = made.headers()["x-request-id"].to_str().unwrap().to_owned();
    let made = made.json::<Value>().await.unwrap();
    secrets.push(made["key"].as_str().unwrap().to_owned());
    for key in &secrets {
        for path in [
            "/api/v1/me",
            "/api/v1/documents",
            "/api/v1/questions/nonsense",
            "/metrics",
        ] {
            let request = client.get(url(path)).bearer_auth(key);
            let answer = request
                .header("lectern-visitor", visitor)
                .send()
                .await
                .unwrap();
            let text = answer.text().await.unwrap();
            assert!(!text.contains(key.as_str()), "{path}: {text}");
        }
        let basic = client
            .get(url("/api/v1/me"))
            .basic_auth("key", Some(key))
            .send()
            .await;
        assert_eq!(basic.unwrap().status(), 401);
    }
    let asked = client
        .post(url("/api/v1/questions"))
        .bearer_auth(secrets.last().unwrap());
    let asked = asked
        .header("origin", PAGE)
        .header("lectern-visitor", visitor);
    let asked = asked
        .json(&json!({"question": "Who?"}))
        .send()
        .await
        .unwrap();
    assert_eq!(asked.status(), 202);
    // Nor what people ask, through any door.
    let question = "Where is the zanzibar ledger kept?";
    let call = json!({"name": "search", "arguments": {"question": question}});
    let asker = testing::key(&place.pool, DEFAULT_TENANT, &[Scope::Ask]).await;
    let asker = asker.unwrap();
    for (path, body) in [
        ("/api/v1/questions", json!({"question": question})),
        (
            "/mcp",
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}),
        ),
    ] {
        let request = client.post(url(path)).bearer_auth(&asker).json(&body);
        let request = request.header("accept", "application/json, text/event-stream;q=0.9");
        assert_eq!(request.send().await.unwrap().status(), 200, "{path}");
    }
    secrets.extend([question.to_owned(), asker]);
    let (printed, logged) = server.end();
    assert!(
        logged.contains(&request_id) && logged.contains("key made"),
        "the log is the log"
    );
    for secret in &secrets {
        let part = &secret[secret.len() - 16..];
        assert!(
            !printed.contains(part) && !logged.contains(part),
            "{part} was logged"
        );
    }
}

#[tokio::test]
async fn what_strangers_send_begins_no_line_of_the_log() {
    let place = Place::new().await.unwrap();
    let server = Server::start(&place, &["serve"], "trace");
    let client = Client::new();
    let url = |path: &str| format!("http://{}{path}", server.address);
    let forged = "x\nforged\r\nforged\u{85}forged\u{2028}forged\u{1b}[2J\u{9b}2Jforged";
    let key = testing::key(&place.pool, DEFAULT_TENANT, &[Scope::Write, Scope::Ask]).await;
    let key = key.unwrap();
    let escaped = "x%0Aforged%0D%0Aforged%1B%5B2J";
    let mut statuses = Vec::new();
    for path in [
        format!("/api/v1/{escaped}"),
        format!("/api/v1/documents/{escaped}"),
        format!("/api/v1/documents?{escaped}={escaped}"),
        format!("/{escaped}"),
    ] {
        let request = client.get(url(&path)).bearer_auth(&key);
        let request = request.header("user-agent", b"x\x9bforged\xff".as_slice());
        let request = request.header("x-request-id", "forged forged");
        statuses.push(request.send().await.unwrap().status());
    }
    for body in [
        json!({"question": forged}),
        json!({forged: 1}),
        json!({"question": "x", "collection": forged}),
        json!({"question": "x", "filter": {forged: forged}}),
    ] {
        let request = client.post(url("/api/v1/questions")).bearer_auth(&key);
        statuses.push(request.json(&body).send().await.unwrap().status());
    }
    for field in ["name", "title", "metadata", forged] {
        let form = multipart::Form::new().text(field.to_owned(), forged);
        let part = multipart::Part::bytes(b"x".to_vec()).file_name(forged);
        let request = client.post(url("/api/v1/documents")).bearer_auth(&key);
        let request = request.multipart(form.part("file", part));
        statuses.push(request.send().await.unwrap().status());
    }
    assert!(
        statuses.iter().all(|status| !status.is_server_error()),
        "{statuses:?}"
    );
    let (_, logged) = server.end();
    assert!(
        logged.contains("document accepted") || logged.contains("request"),
        "{logged}"
    );
    // Whatever a terminal or a reader of logs takes for a new line, or for an order.
    let lines = logged.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
    for line in lines {
        assert!(!line.trim_start().starts_with("forged"), "{line}");
        assert!(!line.contains(['\u{1b}', '\u{9b}']), "{line:?}");
    }
}
