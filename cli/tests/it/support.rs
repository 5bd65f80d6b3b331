//! An API in this process, a worker and the command as processes, and a road between them that can break.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lectern_api::testing::{self, Running};
use lectern_shared::testing::Place;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
};

/// Longer than anything takes on a busy machine; a test that gets here has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

/// Lectern with a database of its own, and whoever types commands.
pub(crate) struct Lectern {
    api: Running,
    place: Place,
    /// The user's own folder.
    pub(crate) home: tempfile::TempDir,
}

impl Lectern {
    /// The API alone: what is asked of it waits.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let place = Place::new().await.unwrap();
        let api = testing::start(testing::settings(arguments), &place)
            .await
            .unwrap();
        Self {
            api,
            place,
            home: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.api.address
    }

    pub(crate) fn worker(&self) -> Worker {
        let program = Path::new(env!("CARGO_BIN_EXE_lectern"))
            .with_file_name("examples")
            .join("worker");
        let child = std::process::Command::new(program)
            .arg("run")
            .envs(self.place.environment())
            .env("LECTERN_WORKER_METRICS_LISTEN", "127.0.0.1:0")
            .env("LECTERN_MODEL_THREADS", "1")
            .env("LECTERN_LOG", "warn")
            .spawn()
            .unwrap();
        Worker(child)
    }

    /// The command, with an address and the development key.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.stranger(arguments);
        command
            .env("LECTERN_URL", format!("http://{}", self.address()))
            .env("LECTERN_KEY", "lectern-dev");
        command
    }

    /// The command of somebody who has nothing set.
    pub(crate) fn stranger(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lectern"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments)).await
    }

    /// What it prints as JSON, of a command that ends well.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.run(&[arguments, &["--json"]].concat()).await;
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
        serde_json::from_str(&ended.out).unwrap()
    }

    /// What the API itself says.
    pub(crate) async fn post(&self, path: &str) -> Value {
        let request = reqwest::Client::new().post(format!("http://{}{path}", self.address()));
        let response = request.bearer_auth("lectern-dev").send().await.unwrap();
        response.json().await.unwrap()
    }

    /// What stands at `path` once it is as wanted.
    pub(crate) async fn poll(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let client = reqwest::Client::new();
        let polled = async {
            loop {
                let request = client.get(format!("http://{}{path}", self.address()));
                let response = request.bearer_auth("lectern-dev").send().await.unwrap();
                let found: Value = response.json().await.unwrap();
                if wanted(&found) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, polled)
            .await
            .expect("it never is as wanted")
    }

    /// A file of the user's.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn copy(&self, name: &str, own_file: &str) -> PathBuf {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../worker/tests/files")
            .join(own_file);
        self.write(name, std::fs::read(file).unwrap())
    }
}

impl Drop for Lectern {
    fn drop(&mut self) {
        self.api.stop.cancel();
    }
}

/// How a command has ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) async fn ended(mut command: Command) -> Ended {
    let output = tokio::time::timeout(DEADLINE, command.output())
        .await
        .expect("the command goes on")
        .unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// As Ctrl-C does.
pub(crate) fn interrupt(child: &tokio::process::Child) {
    let pid = child.id().unwrap().cast_signed();
    kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
}

pub(crate) struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A road to the API whose first connections may break; it counts what is sent.
pub(crate) struct Road {
    pub(crate) address: SocketAddr,
    pub(crate) sent: Arc<AtomicUsize>,
    /// All that was sent.
    pub(crate) said: Arc<Mutex<Vec<u8>>>,
    pub(crate) broken: Arc<AtomicUsize>,
}

/// Where a connection breaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// When so many bytes were sent to the server.
    Sent(usize),
    /// Behind the first event that the first attempt at a job tells.
    FirstEvent,
}

impl Road {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        Self::breaking(server, 0, Break::Sent(0)).await
    }

    /// The first `times` connections that get that far are cut there.
    pub(crate) async fn breaking(server: SocketAddr, times: usize, at: Break) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let road = Self {
            address: listener.local_addr().unwrap(),
            sent: Arc::default(),
            said: Arc::default(),
            broken: Arc::default(),
        };
        let (sent, broken) = (Arc::clone(&road.sent), Arc::clone(&road.broken));
        let said = Arc::clone(&road.said);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (sent, broken) = (Arc::clone(&sent), Arc::clone(&broken));
                let said = Arc::clone(&said);
                tokio::spawn(async move {
                    let may_break = || {
                        let one_more = |so_far| (so_far < times).then_some(so_far + 1);
                        broken
                            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
                            .is_ok()
                    };
                    let mut carried = 0;
                    let outward = |piece: &[u8]| {
                        sent.fetch_add(piece.len(), Ordering::SeqCst);
                        said.lock().unwrap().extend_from_slice(piece);
                        carried += piece.len();
                        let far = matches!(at, Break::Sent(after) if carried > after);
                        (far && may_break()).then_some(0)
                    };
                    let inward = |piece: &[u8]| {
                        let end = end_of_first_event(piece).filter(|_| at == Break::FirstEvent)?;
                        may_break().then_some(end)
                    };
                    tokio::select! {
                        () = carry(from_client, to_server, outward) => {}
                        () = carry(from_server, to_client, inward) => {}
                    }
                });
            }
        });
        road
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the client has asked for that.
    pub(crate) async fn hears(&self, asked: &str) {
        let heard = || String::from_utf8_lossy(&self.said.lock().unwrap()).contains(asked);
        while !heard() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The API writes each event in one go.
fn end_of_first_event(piece: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(piece).ok()?;
    let id = text.find("id: 1-")?;
    Some(id + text[id..].find("\n\n")? + 2)
}

/// Carries until one side ends, or `cut` says how much of a piece is carried yet.
async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut cut: impl FnMut(&[u8]) -> Option<usize>,
) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let end = cut(&piece[..length]);
        let written = to.write_all(&piece[..end.unwrap_or(length)]).await;
        if end.is_some() || written.is_err() {
            return;
        }
    }
}
