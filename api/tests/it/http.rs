//! Clients that are slow, too many or gone, and what spares the others the work.

use std::time::{Duration, Instant};

use futures::StreamExt;
use lectern_shared::{
    events::{Publisher, payload::AnswerDone},
    jobs,
};
use reqwest::{Client, Response, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use uuid::Uuid;

use super::{Api, pdf, problem};

const DEADLINE: Duration = Duration::from_secs(30);

impl Api {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// On a connection of its own.
    async fn fresh(&self, path: &str) -> Response {
        let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let request = client.get(format!("http://{}{path}", self.address));
        request.bearer_auth("lectern-dev").send().await.unwrap()
    }

    async fn until(&self, what: &str, path: &str, status: u16) -> Response {
        let began = Instant::now();
        loop {
            let response = self.fresh(path).await;
            if response.status() == status {
                return response;
            }
            assert!(began.elapsed() < DEADLINE, "{what}: {}", response.status());
        }
    }
}

async fn all(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut said))
        .await
        .expect("the connection is still open")
        .unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn a_head_that_never_ends_ends_the_connection() {
    let api = Api::start(&["--head-seconds-max=1"]).await;
    let mut stream = api.connect().await;
    stream
        .write_all(b"GET /api/v1/health/live HTTP/1.1\r\nhost: x\r\n")
        .await
        .unwrap();
    assert_eq!(all(&mut stream).await, "");
    // So does one that never begins.
    assert_eq!(all(&mut api.connect().await).await, "");
}

#[tokio::test]
async fn a_body_that_pauses_for_too_long_is_refused_on_any_route() {
    let api = Api::start(&["--upload-pause-seconds-max=1"]).await;
    for path in ["/api/v1/questions", "/api/v1/collections"] {
        for word in ["", "idempotency-key: one\r\n"] {
            let mut stream = api.connect().await;
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer lectern-dev\r\n{word}\
                 content-type: application/json\r\ncontent-length: 50\r\nconnection: close\r\n\r\n{{"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let said = all(&mut stream).await;
            assert!(
                said.starts_with("HTTP/1.1 408 ") && said.contains("upload_too_slow"),
                "{said}"
            );
        }
    }
}

#[tokio::test]
async fn a_body_that_takes_too_long_although_it_never_pauses_for_long_is_refused() {
    let api = Api::start(&["--request-timeout-seconds=1"]).await;
    for path in ["/api/v1/questions", "/api/v1/collections"] {
        let mut stream = api.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer lectern-dev\r\n\
             content-type: application/json\r\ncontent-length: 50\r\nconnection: close\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let said = all(&mut stream).await;
        assert!(said.contains("took_too_long"), "{said}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_loses_its_place() {
    let api = Api::start(&["--connections-max=1", "--response-pause-seconds-max=1"]).await;
    // More than the buffers of both sides hold.
    let large = [pdf(), vec![b' '; 64 << 20]].concat();
    let once = Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let form = reqwest::multipart::Form::new().part(
        "file",
        reqwest::multipart::Part::bytes(large).file_name("large.pdf"),
    );
    let request = once.post(format!("http://{}/api/v1/documents", api.address));
    let uploaded = request
        .bearer_auth("lectern-dev")
        .multipart(form)
        .send()
        .await
        .unwrap();
    let uploaded: Value = uploaded.json().await.unwrap();
    let path = format!(
        "/api/v1/documents/{}/file",
        uploaded["id"].as_str().unwrap()
    );
    api.until("the upload's place is not free", "/api/v1/collections", 200)
        .await;

    let mut reader = api.connect().await;
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer lectern-dev\r\n\r\n");
    reader.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    reader.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    problem(api.fresh("/api/v1/collections").await, 503, "overloaded").await;
    api.until("the reader keeps its place", "/api/v1/collections", 200)
        .await;
}

#[tokio::test]
async fn connections_beyond_the_most_are_told_so_and_health_is_still_seen() {
    let api = Api::start(&["--connections-max=1"]).await;
    let held = api.connect().await;
    let refused = api
        .until("more than one has a place", "/api/v1/collections", 503)
        .await;
    assert_eq!(refused.headers()["connection"], "close");
    assert!(refused.headers().contains_key("retry-after"));
    problem(refused, 503, "overloaded").await;
    for path in ["/api/v1/health/live", "/api/v1/health/ready", "/metrics"] {
        assert_eq!(api.fresh(path).await.status(), 200, "{path}");
    }
    drop(held);
    api.until("the place does not come free", "/api/v1/collections", 200)
        .await;
}

#[tokio::test]
async fn requests_beyond_the_most_are_refused_at_once_and_those_before_are_answered() {
    let api = Api::start(&["--requests-max=1"]).await;
    // Its body doesn't come yet.
    let mut slow = api.connect().await;
    let body = json!({"question": "Why?"}).to_string();
    let head = format!(
        "POST /api/v1/questions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer lectern-dev\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let refused = api
        .until("the question takes no place", "/api/v1/collections", 503)
        .await;
    problem(refused, 503, "overloaded").await;
    assert_eq!(api.fresh("/api/v1/health/live").await.status(), 200);
    // Uploads have places of their own.
    assert_eq!(api.upload("a.pdf", pdf()).await.status(), 202);
    slow.write_all(body.as_bytes()).await.unwrap();
    let said = all(&mut slow).await;
    assert!(said.starts_with("HTTP/1.1 202 "), "{said}");
    assert_eq!(api.fresh("/api/v1/collections").await.status(), 200);
}

#[tokio::test]
async fn what_waits_for_workers_takes_no_place_of_what_is_quick() {
    let api = Api::start(&[
        "--requests-max=1",
        "--waiting-max=1",
        "--search-timeout-ms=5000",
    ])
    .await;
    let search = || {
        let request = api.request("POST", "/api/v1/search");
        request.json(&json!({"question": "Why?"})).send()
    };
    // There is no worker.
    let waits = tokio::spawn(search());
    let began = Instant::now();
    while api.count("questions").await == 0 {
        assert!(began.elapsed() < DEADLINE, "the search is not there");
    }
    problem(search().await.unwrap(), 503, "overloaded").await;
    assert_eq!(api.fresh("/api/v1/collections").await.status(), 200);
    problem(waits.await.unwrap().unwrap(), 503, "no_worker").await;
    problem(search().await.unwrap(), 503, "no_worker").await;
}

#[tokio::test]
async fn an_upload_that_comes_too_slowly_loses_its_place_although_it_never_pauses() {
    let api = Api::start(&[
        "--uploads-max=1",
        "--upload-pause-seconds-max=1",
        "--upload-bytes-per-second-min=100",
    ])
    .await;
    let begin = async || {
        let mut stream = api.connect().await;
        let head = "POST /api/v1/documents HTTP/1.1\r\nhost: x\r\nauthorization: Bearer lectern-dev\r\n\
             content-type: multipart/form-data; boundary=b\r\ncontent-length: 100000\r\nconnection: close\r\n\r\n\
             --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    let (mut answer, mut upload) = begin().await.into_split();
    let began = Instant::now();
    let drop_by_drop = async {
        while upload.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let read = async {
        let mut said = Vec::new();
        let _ = answer.read_to_end(&mut said).await;
        String::from_utf8_lossy(&said).into_owned()
    };
    let said = tokio::time::timeout(DEADLINE, async {
        tokio::select! {
            said = read => said,
            () = drop_by_drop => panic!("the connection was closed without an answer"),
        }
    });
    let said = said.await.expect("it keeps its place");
    assert!(
        said.starts_with("HTTP/1.1 408 ") && said.contains("upload_too_slow"),
        "{said}"
    );
    assert!(began.elapsed() > Duration::from_secs(1), "too early");
    assert_eq!(api.place.blob_count(), 0);
    // One that stands still does so, too; and its place is free for the next.
    let said = all(&mut begin().await).await;
    assert!(said.contains("upload_too_slow"), "{said}");
    assert_eq!(api.upload("a.pdf", pdf()).await.status(), 202);
}

#[tokio::test]
async fn at_its_end_streams_say_when_to_come_back_and_answers_under_way_are_given() {
    let api = Api::start(&["--search-timeout-ms=1500"]).await;
    let accepted: Value = api.upload("ours.pdf", pdf()).await.json().await.unwrap();
    let events = accepted["events"].as_str().unwrap();
    let stream = api.request("GET", events).send().await.unwrap();
    let mut stream = stream.bytes_stream();
    assert!(stream.next().await.unwrap().is_ok());
    let search = api
        .request("POST", "/api/v1/search")
        .json(&json!({"question": "Why?"}))
        .send();
    let search = tokio::spawn(search);
    let began = Instant::now();
    while api.count("questions").await == 0 {
        assert!(began.elapsed() < DEADLINE, "the search is not there");
    }
    api.stop.cancel();
    let mut rest = String::new();
    while let Some(bytes) = tokio::time::timeout(DEADLINE, stream.next()).await.unwrap() {
        // Cleanly, not cut off.
        rest.push_str(&String::from_utf8_lossy(&bytes.unwrap()));
    }
    assert!(rest.contains("retry:"), "{rest}");
    let answer = search.await.unwrap().unwrap();
    assert_eq!(answer.headers()["connection"], "close");
    problem(answer, 503, "no_worker").await;
    let began = Instant::now();
    while TcpStream::connect(api.address).await.is_ok() {
        assert!(
            began.elapsed() < DEADLINE,
            "new connections are still taken"
        );
    }
}

/// Asks by the door of OpenAI, and tells the question that it has become.
async fn complete(api: &Api, stream: bool) -> (JoinHandle<reqwest::Result<Response>>, Uuid) {
    let body = json!({
        "model": "lectern", "messages": [{"role": "user", "content": "Where?"}], "stream": stream
    });
    let asked = api.request("POST", "/v1/chat/completions").json(&body);
    let asked = tokio::spawn(asked.send());
    let began = Instant::now();
    loop {
        let found = sqlx::query_scalar("select id from questions order by id desc limit 1");
        if let Some(id) = found.fetch_optional(api.pool()).await.unwrap() {
            return (asked, id);
        }
        assert!(began.elapsed() < DEADLINE, "the question is not there");
    }
}

#[tokio::test]
async fn at_its_end_answers_that_can_not_be_taken_up_elsewhere_are_still_written() {
    for stream in [true, false] {
        let api = Api::start(&[]).await;
        let (asked, question) = complete(&api, stream).await;
        let redis = jobs::connect(&api.place.settings.redis_url).await.unwrap();
        let mut publisher = Publisher::new(redis, &api.place.settings, question, 1);
        assert!(publisher.publish("token", &json!({"text": "Here "})).await);
        api.stop.cancel();
        let began = Instant::now();
        while TcpStream::connect(api.address).await.is_ok() {
            assert!(began.elapsed() < DEADLINE, "it doesn't stop");
        }
        assert!(publisher.publish("token", &json!({"text": "it is."})).await);
        assert!(publisher.publish("done", &AnswerDone::default()).await);
        let answer = asked.await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        let said = tokio::time::timeout(DEADLINE, answer.text()).await.unwrap();
        let said = said.unwrap();
        if stream {
            assert!(said.contains("it is.") && said.contains("[DONE]"), "{said}");
        } else {
            assert!(said.contains("Here it is."), "{said}");
        }
    }
}

#[tokio::test]
async fn at_its_end_answers_that_take_too_long_are_told_so_and_not_written_on() {
    let api = Api::start(&["--shutdown-seconds=1"]).await;
    let (asked, _) = complete(&api, false).await;
    api.stop.cancel();
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.status(), 503);
    let refused: Value = answer.json().await.unwrap();
    assert_eq!(refused["error"]["code"], "took_too_long", "{refused}");
    assert_eq!(api.count("questions where state = 'cancelled'").await, 1);
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again_until_it_changes() {
    let api = Api::start(&[]).await;
    let accepted: Value = api.upload("ours.pdf", pdf()).await.json().await.unwrap();
    let document = format!("/api/v1/documents/{}", accepted["id"].as_str().unwrap());
    let file = format!("{document}/file");
    let ask = api
        .request("POST", "/api/v1/questions")
        .json(&json!({"question": "Why?"}));
    let question = ask.send().await.unwrap().headers()["location"]
        .to_str()
        .unwrap()
        .to_owned();
    let get = async |path: &str, tag: &str| {
        let request = api.request("GET", path).header("if-none-match", tag);
        request.send().await.unwrap()
    };
    for path in [
        "/api/v1/documents",
        &document,
        &file,
        &question,
        "/api/v1/collections",
    ] {
        let first = get(path, "\"other\"").await;
        assert_eq!(first.status(), 200, "{path}");
        let tag = first.headers()["etag"].to_str().unwrap().to_owned();
        assert_eq!(first.headers()["cache-control"], "private, no-cache");
        assert!(!first.bytes().await.unwrap().is_empty());
        let again = get(path, &format!("W/{tag}, \"other\"")).await;
        assert_eq!(again.status(), 304, "{path}");
        assert_eq!(again.headers()["etag"], tag);
        assert!(again.bytes().await.unwrap().is_empty());
    }
    let tag = get(&document, "").await.headers()["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    let change = api
        .request("PATCH", &document)
        .json(&json!({"title": "Ours"}));
    assert_eq!(change.send().await.unwrap().status(), 200);
    assert_eq!(get(&document, &tag).await.status(), 200);
    // Who has read it before that does not overwrite it unseen.
    let change = async |tag: &str| {
        let request = api.request("PATCH", &document).header("if-match", tag);
        let request = request.json(&json!({"title": "Theirs"}));
        request.send().await.unwrap()
    };
    problem(change(&tag).await, 412, "changed_meanwhile").await;
    let tag = get(&document, "").await.headers()["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(change(&tag).await.status(), 200);
    problem(change(&tag).await, 412, "changed_meanwhile").await;
    // Nothing that could be kept: a refusal, and what is said of this moment.
    for path in ["/api/v1/health/live", "/api/v1/nothing"] {
        assert!(
            !api.fresh(path).await.headers().contains_key("etag"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn pages_of_the_origins_in_the_settings_may_ask_and_no_others() {
    let origins = "--cors-origins=https://help.example.org,http://localhost:5173";
    let api = Api::start(&[origins]).await;
    let preflight = async |origin: &str| {
        let request = api.client.request(
            "OPTIONS".parse().unwrap(),
            format!("http://{}/api/v1/questions", api.address),
        );
        let request = request
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type,idempotency-key",
            );
        request.send().await.unwrap()
    };
    let allowed = preflight("https://help.example.org").await;
    assert_eq!(allowed.status(), 200);
    let headers = allowed.headers();
    assert_eq!(
        headers[header::ACCESS_CONTROL_ALLOW_ORIGIN],
        "https://help.example.org"
    );
    let taken = headers[header::ACCESS_CONTROL_ALLOW_HEADERS]
        .to_str()
        .unwrap();
    assert!(
        taken.contains("authorization") && taken.contains("idempotency-key"),
        "{taken}"
    );
    let refused = preflight("https://evil.example.org").await;
    assert!(
        !refused
            .headers()
            .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    );
    // Refusals can be read, too: a page must be able to tell its reader why.
    let request = api.request_with("wrong", "GET", "/api/v1/collections");
    let answer = request
        .header("origin", "http://localhost:5173")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(
        answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN],
        "http://localhost:5173"
    );
    let told = answer.headers()[header::ACCESS_CONTROL_EXPOSE_HEADERS]
        .to_str()
        .unwrap();
    assert!(
        told.contains("ratelimit-remaining") && told.contains("retry-after"),
        "{told}"
    );
    assert!(
        !answer
            .headers()
            .contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS)
    );

    let closed = Api::start(&[]).await;
    let request = closed.request("GET", "/api/v1/collections");
    let answer = request
        .header("origin", "https://help.example.org")
        .send()
        .await
        .unwrap();
    assert!(
        !answer
            .headers()
            .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    );
}

#[tokio::test]
async fn a_body_that_is_packed_is_refused() {
    let api = Api::start(&[]).await;
    let request = api.request("POST", "/api/v1/questions");
    let packed = request
        .header("content-encoding", "gzip")
        .body(vec![0x1f, 0x8b]);
    problem(packed.send().await.unwrap(), 415, "unsupported_encoding").await;
    let request = api.request("POST", "/api/v1/questions");
    let plain = request
        .header("content-encoding", "identity")
        .json(&json!({"question": "Why?"}));
    assert_eq!(plain.send().await.unwrap().status(), 202);
}

#[tokio::test]
async fn a_completion_that_is_waited_for_may_take_longer_than_other_requests() {
    let api = Api::start(&["--request-timeout-seconds=1", "--answer-timeout-seconds=2"]).await;
    let body = json!({"model": "lectern", "messages": [{"role": "user", "content": "Where?"}]});
    let asked = api.request("POST", "/v1/chat/completions").json(&body);
    let refused = asked.send().await.unwrap();
    assert_eq!(refused.status(), 503);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["error"]["code"], "no_worker", "{refused}");
}
