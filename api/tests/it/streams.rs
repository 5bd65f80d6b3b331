//! Event streams of readers that are slow, or gone without a word: they cost nobody else anything.

use std::time::Duration;

use futures::StreamExt;
use lectern_shared::{events::Publisher, jobs};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use uuid::Uuid;

use super::Api;

const EVENTS: u32 = 2000;

impl Api {
    async fn question(&self) -> Uuid {
        let asked = json!({"question": "Is anybody there?", "background": true});
        let asked = self.request("POST", "/api/v1/questions").json(&asked);
        let asked: Value = asked.send().await.unwrap().json().await.unwrap();
        asked["id"].as_str().unwrap().parse().unwrap()
    }

    async fn follow(&self, question: Uuid) -> Response {
        let path = format!("/api/v1/questions/{question}/events");
        let response = self.request("GET", &path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response
    }

    /// A reader of its first bytes alone, with little room for more.
    async fn follow_without_reading(&self, question: Uuid) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut reader = socket.connect(self.address).await.unwrap();
        let head = format!(
            "GET /api/v1/questions/{question}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer lectern-dev\r\n\r\n"
        );
        reader.write_all(head.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        reader.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        reader
    }

    /// Sends so many events of 4 KiB and the end.
    async fn tell(&self, question: Uuid) {
        let connection = jobs::connect(&self.place.settings.redis_url).await.unwrap();
        let mut publisher = Publisher::new(connection, &self.place.settings, question, 1);
        let text = "x".repeat(4096);
        for number in 1..EVENTS {
            let token = json!({"text": text, "number": number});
            assert!(publisher.publish("token", &token).await);
        }
        assert!(publisher.publish("done", &json!({})).await);
    }

    async fn open_streams(&self) -> u32 {
        let metrics = self.request("GET", "/metrics").send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let open = metrics
            .lines()
            .find_map(|line| line.strip_prefix("lectern_streams_open{subject=\"question\"} "));
        open.map_or(0, |open| open.parse().unwrap())
    }
}

/// The ids of all events until the stream ends.
async fn ids(response: Response) -> Vec<String> {
    let mut text = Vec::new();
    let mut bytes = response.bytes_stream();
    while let Some(some) = bytes.next().await {
        text.extend_from_slice(&some.unwrap());
    }
    let text = String::from_utf8(text).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .map(ToOwned::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_do_not_read_cost_the_others_no_event_and_lose_their_places() {
    let api = Api::start(&["--response-pause-seconds-max=2"]).await;
    let question = api.question().await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        slow.push(api.follow_without_reading(question).await);
    }
    let gone = api.follow_without_reading(question).await;
    let reading = tokio::spawn(ids(api.follow(question).await));
    let before = api.open_streams().await;
    assert!(before >= 10, "{before} streams are open");
    drop(gone);

    api.tell(question).await;
    let got = tokio::time::timeout(Duration::from_secs(60), reading).await;
    let expected: Vec<_> = (1..=EVENTS).map(|number| format!("1-{number}")).collect();
    assert_eq!(got.unwrap().unwrap(), expected);

    let freed = async {
        while api.open_streams().await > before - 10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let freed = tokio::time::timeout(Duration::from_secs(30), freed).await;
    assert!(freed.is_ok(), "readers that don't read keep their places");
    // What they had not taken, they have not got: the connection was cut, not ended.
    for mut reader in slow {
        let mut rest = Vec::new();
        let _ = reader.read_to_end(&mut rest).await;
        assert!(!String::from_utf8_lossy(&rest).contains("event: done"));
    }
}
