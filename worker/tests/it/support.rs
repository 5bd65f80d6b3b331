//! An API in this process, workers as processes of their own (so that they can be killed), and a client.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use clap::Parser;
use eventsource_stream::Eventsource;
use futures::{Stream, StreamExt};
use lectern_api::testing;
use lectern_shared::testing::Place;
use lectern_worker::models::{ModelSettings, Quantization, Runtime};
use reqwest::{Client, RequestBuilder, Response, multipart};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Longer than anything takes on a busy machine; a test that gets here has failed.
const DEADLINE: Duration = Duration::from_secs(180);

/// Where `make test` has put the model and the libraries.
#[derive(Parser)]
struct Files {
    #[arg(long, env = "LECTERN_MODEL_DIR")]
    model_dir: PathBuf,
    #[arg(long, env = "LECTERN_ONNX_RUNTIME")]
    onnx_runtime: PathBuf,
    #[arg(long, env = "LECTERN_PDFIUM")]
    pdfium: PathBuf,
}

fn files() -> Files {
    Files::try_parse_from(["test"]).expect("model files are unknown: use `make test`")
}

pub(crate) fn pdfium_path() -> PathBuf {
    files().pdfium
}

pub(crate) fn model_settings() -> ModelSettings {
    let files = files();
    ModelSettings {
        dir: files.model_dir,
        runtime: Runtime::Ort,
        quantization: Quantization::Fp32,
        threads: 1,
        onnx_runtime: files.onnx_runtime,
    }
}

/// The multilingual model, where `make models-multilingual` has put it beside the other one.
pub(crate) fn multilingual_model() -> Option<PathBuf> {
    let dir = files().model_dir.parent()?.join("multilingual-e5-small");
    dir.join("model.safetensors").exists().then_some(dir)
}

/// A file of our own.
pub(crate) fn own_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/files")
        .join(name)
}

/// A file of the evaluation data, where that lies beside the checkout.
pub(crate) fn evaluation_file(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/eval")
        .join(name);
    path.exists().then_some(path)
}

/// A Redis of a test's own, to be stopped and started.
pub(crate) struct OwnRedis {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

#[derive(Parser)]
struct RedisServer {
    #[arg(long, env = "LECTERN_TEST_REDIS_SERVER")]
    program: PathBuf,
}

impl OwnRedis {
    pub(crate) fn start() -> Self {
        // Free a moment ago; nobody else asks for ports in this range at random.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let folder = tempfile::tempdir().unwrap();
        Self {
            child: Self::spawn(port, folder.path()),
            port,
            folder,
        }
    }

    /// Without persistence: what it knew is gone after a restart.
    fn spawn(port: u16, folder: &Path) -> Child {
        let server =
            RedisServer::try_parse_from(["test"]).expect("no Redis server: use `make test`");
        Command::new(server.program)
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(["--loglevel", "warning"])
            .current_dir(folder)
            .spawn()
            .unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) async fn until_up(&self) {
        let began = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port))
            .await
            .is_err()
        {
            assert!(began.elapsed() < DEADLINE, "Redis does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// As a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) async fn start_again(&mut self) {
        self.child = Self::spawn(self.port, self.folder.path());
        self.until_up().await;
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lectern with a database of its own.
pub(crate) struct Lectern {
    pub(crate) place: Place,
    pub(crate) client: Client,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Lectern {
    /// The API alone: what is asked of it waits.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The API with further settings, such as `--abandoned-after-ms=100`.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        Self::start_in(Place::new().await.unwrap(), arguments).await
    }

    /// The API, where webhooks may lead to this machine.
    pub(crate) async fn start_with_webhooks() -> Self {
        let mut place = Place::new().await.unwrap();
        place.settings.webhook_allow_http = true;
        place.settings.webhook_allow_private = true;
        Self::start_in(place, &[]).await
    }

    /// The API on another Redis than the tests' common one.
    pub(crate) async fn start_on(redis: &OwnRedis) -> Self {
        Self::start_on_with(redis, &[]).await
    }

    pub(crate) async fn start_on_with(redis: &OwnRedis, arguments: &[&str]) -> Self {
        redis.until_up().await;
        let mut place = Place::new().await.unwrap();
        place.settings.redis_url = redis.url();
        Self::start_in(place, arguments).await
    }

    async fn start_in(mut place: Place, arguments: &[&str]) -> Self {
        let settings = testing::settings(arguments);
        place.settings.job_attempts_max = settings.store.job_attempts_max;
        let api = testing::start(settings, &place).await.unwrap();
        Self {
            place,
            client: Client::new(),
            address: api.address,
            stop: api.stop,
        }
    }

    /// A worker as a process.
    pub(crate) fn worker(&self) -> Worker {
        self.worker_with(&[])
    }

    pub(crate) fn worker_with(&self, environment: &[(&str, &str)]) -> Worker {
        let child = Command::new(env!("CARGO_BIN_EXE_lectern-worker"))
            .arg("run")
            .envs(self.place.environment())
            .env("LECTERN_WORKER_METRICS_LISTEN", "127.0.0.1:0")
            .env("LECTERN_MODEL_THREADS", "1")
            .env("LECTERN_LOG", "info")
            .envs(environment.iter().copied())
            .spawn()
            .unwrap();
        Worker { child }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.client
            .request(method.parse().unwrap(), self.url(path))
            .bearer_auth("lectern-dev")
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.request("GET", path).send().await.unwrap();
        assert!(
            response.status().is_success(),
            "{path}: {}",
            response.status()
        );
        response.json().await.unwrap()
    }

    pub(crate) async fn upload(&self, path: &Path) -> Response {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let part = multipart::Part::bytes(std::fs::read(path).unwrap()).file_name(name);
        let form = multipart::Form::new().part("file", part);
        self.request("POST", "/api/v1/documents")
            .multipart(form)
            .send()
            .await
            .unwrap()
    }

    /// Uploads a file that is taken; returns the document's id.
    pub(crate) async fn add(&self, path: &Path) -> String {
        let response = self.upload(path).await;
        assert_eq!(response.status(), 202);
        let accepted: Value = response.json().await.unwrap();
        accepted["id"].as_str().unwrap().to_owned()
    }

    /// Uploads a file and waits until it is ready.
    pub(crate) async fn add_ready(&self, path: &Path) -> Value {
        let id = self.add(path).await;
        let document = self.settled(&id).await;
        assert_eq!(document["state"], "ready", "{document}");
        document
    }

    /// The document once it is neither queued nor processed.
    pub(crate) async fn settled(&self, id: &str) -> Value {
        let path = format!("/api/v1/documents/{id}");
        self.poll(&path, |document| {
            !matches!(document["state"].as_str(), Some("queued" | "processing"))
        })
        .await
    }

    /// What stands at `path` once it is as wanted.
    pub(crate) async fn poll(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let found = self.get(path).await;
            if wanted(&found) {
                return found;
            }
            assert!(began.elapsed() < DEADLINE, "{path} is still {found}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks without a stream; returns the question's id.
    pub(crate) async fn ask(&self, question: &str) -> String {
        let body = json!({"question": question});
        let response = self
            .request("POST", "/api/v1/questions")
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 202);
        let accepted: Value = response.json().await.unwrap();
        accepted["id"].as_str().unwrap().to_owned()
    }

    /// Asks and streams at once.
    pub(crate) async fn ask_streaming(&self, question: &str) -> Events {
        let body = json!({"question": question});
        let request = self
            .request("POST", "/api/v1/questions")
            .header("accept", "text/event-stream")
            .json(&body);
        Events::of(request.send().await.unwrap())
    }

    /// The events of a document or question, after `last_event_id` if that is given.
    pub(crate) async fn events(&self, path: &str, last_event_id: Option<&str>) -> Events {
        let mut request = self.request("GET", path);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        Events::of(request.send().await.unwrap())
    }

    pub(crate) async fn begin_conversation(&self) -> String {
        let request = self.request("POST", "/api/v1/conversations");
        let made: Value = request.send().await.unwrap().json().await.unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    /// Asks as the next question of a conversation; returns the question's id.
    pub(crate) async fn ask_in(&self, conversation: &str, question: &str) -> String {
        let body = json!({"question": question, "conversation_id": conversation});
        let request = self.request("POST", "/api/v1/questions").json(&body);
        let accepted: Value = request.send().await.unwrap().json().await.unwrap();
        accepted["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn answer_in(&self, conversation: &str, question: &str) -> Value {
        let id = self.ask_in(conversation, question).await;
        self.answered(&id).await
    }

    pub(crate) async fn answer(&self, question: &str) -> Value {
        let id = self.ask(question).await;
        self.answered(&id).await
    }

    /// The question once it is over.
    async fn answered(&self, id: &str) -> Value {
        let path = format!("/api/v1/questions/{id}");
        self.poll(&path, |question| {
            !matches!(question["state"].as_str(), Some("queued" | "running"))
        })
        .await
    }

    /// Counts rows, for what no API shows.
    pub(crate) async fn count(&self, rows: &'static str) -> i64 {
        let query = sqlx::AssertSqlSafe(format!("select count(*) from {rows}"));
        sqlx::query_scalar(query)
            .fetch_one(&self.place.pool)
            .await
            .unwrap()
    }

    /// Deletes everything that this installation has in Redis.
    pub(crate) async fn flush_redis(&self) {
        let mut redis = self.redis().await;
        let pattern = format!("{}:*", self.place.settings.redis_prefix);
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg(pattern)
            .query_async(&mut redis)
            .await
            .unwrap();
        if !keys.is_empty() {
            redis::cmd("DEL")
                .arg(keys)
                .exec_async(&mut redis)
                .await
                .unwrap();
        }
    }

    pub(crate) async fn redis(&self) -> redis::aio::ConnectionManager {
        lectern_shared::jobs::connect(&self.place.settings.redis_url)
            .await
            .unwrap()
    }
}

impl Drop for Lectern {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A worker process, killed when it is dropped.
pub(crate) struct Worker {
    child: Child,
}

impl Worker {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As a crash would: no signal handler runs.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> std::process::ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < DEADLINE, "the worker goes on");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks it to stop and waits for it.
    pub(crate) async fn stop(mut self) -> std::process::ExitStatus {
        let pid = nix::unistd::Pid::from_raw(self.pid().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        // On a thread of its own: the API and the generator of the test go on meanwhile.
        tokio::task::spawn_blocking(move || self.child.wait().unwrap())
            .await
            .unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// An open event stream.
pub(crate) struct Events {
    stream: std::pin::Pin<Box<dyn Stream<Item = Event> + Send>>,
}

impl Events {
    fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let stream = response
            .bytes_stream()
            .eventsource()
            .filter_map(async |event| {
                let event = event.ok()?;
                Some(Event {
                    id: event.id,
                    name: event.event,
                    data: serde_json::from_str(&event.data).unwrap(),
                })
            });
        Self {
            stream: Box::pin(stream),
        }
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(DEADLINE, self.stream.next())
            .await
            .expect("no event in time")
    }

    /// Everything up to and with the first event of that name.
    pub(crate) async fn until(&mut self, name: &str) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self
                .next()
                .await
                .unwrap_or_else(|| panic!("no {name} in {events:?}"));
            let found = event.name == name;
            events.push(event);
            if found {
                return events;
            }
        }
    }

    /// All events to the end of the stream.
    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// The text of an answer as a reader has it after these events.
pub(crate) fn text(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        match event.name.as_str() {
            "reset" => text.clear(),
            "token" => text.push_str(event.data["text"].as_str().unwrap()),
            _ => {}
        }
    }
    text
}

pub(crate) fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}
