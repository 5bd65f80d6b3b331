//! The page and the widget at the door: what they come with, and what other sites may do.

use std::{fs, path::PathBuf};

use reqwest::Response;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;

use super::{Api, problem};

/// A folder as `make web` leaves it.
struct Built(PathBuf);

impl Built {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("lectern-page-{}", Uuid::now_v7()));
        fs::create_dir_all(folder.join("assets")).unwrap();
        for (name, text) in [
            ("index.html", "<!doctype html>"),
            ("widget.js", "widget()"),
            ("assets/index-1.js", "page()"),
            ("assets/index-1.js.gz", "packed"),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        Self(folder)
    }

    async fn serve(&self) -> Api {
        Api::start(&[&format!("--web-dir={}", self.0.display())]).await
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_page_that_is_not_built_says_how_to_build_it() {
    let api = Api::start(&["--web-dir=/nonexistent"]).await;
    let response = api.request("GET", "/").send().await.unwrap();
    let problem = problem(response, 404, "page_not_built").await;
    assert!(problem["detail"].as_str().unwrap().contains("make web"));
}

#[tokio::test]
async fn the_page_runs_nothing_but_its_own_and_is_known_again_by_its_hash() {
    let built = Built::new();
    let api = built.serve().await;
    let page = api.request("GET", "/").send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(header(&page, "cache-control"), "no-cache");
    let policy = header(&page, "content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(
        policy.contains("require-trusted-types-for 'script'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe-inline"), "{policy}");
    let etag = header(&page, "etag").to_owned();
    assert_eq!(page.text().await.unwrap(), "<!doctype html>");

    let head = api.request("HEAD", "/").send().await.unwrap();
    assert_eq!(header(&head, "etag"), etag);
    let again = api.request("GET", "/").header("if-none-match", &etag);
    assert_eq!(again.send().await.unwrap().status(), 304);

    // Files of an image may all have one date: only what is in them counts.
    fs::write(built.0.join("index.html"), "<!doctype html>2").unwrap();
    let new = api.request("GET", "/").header("if-none-match", &etag);
    assert_eq!(new.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn files_with_a_hash_in_their_name_are_kept_for_ever_and_come_packed() {
    let built = Built::new();
    let api = built.serve().await;
    let packed = api
        .request("GET", "/assets/index-1.js")
        .header("accept-encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert!(header(&packed, "cache-control").contains("immutable"));
    assert_eq!(header(&packed, "content-encoding"), "gzip");
    assert_eq!(packed.text().await.unwrap(), "packed");

    for path in [
        "/assets/gone.js",
        "/assets/../../Cargo.toml",
        "/widget-demo",
    ] {
        let gone = api.request("GET", path).send().await.unwrap();
        assert!(!header(&gone, "cache-control").contains("immutable"));
        problem(gone, 404, "no_such_route").await;
    }
}

#[tokio::test]
async fn pages_of_other_sites_may_load_the_widget() {
    let built = Built::new();
    let api = built.serve().await;
    let widget = api.request("GET", "/widget.js").send().await.unwrap();
    assert_eq!(header(&widget, "access-control-allow-origin"), "*");
}

#[tokio::test]
async fn no_file_from_outside_of_its_folder_is_served() {
    let built = Built::new();
    let outside = built.0.with_extension("secret");
    fs::write(&outside, "zanzibar").unwrap();
    let name = outside.file_name().unwrap().to_str().unwrap();
    let api = built.serve().await;
    let mut answers = Vec::new();
    for way in [
        "/../",
        "/assets/../../",
        "/%2e%2e/",
        "/assets/%2e%2e%2f%2e%2e%2f",
        "/assets/..%5c..%5c",
        "/assets/....//....//",
        "/assets/%00/../../../",
    ] {
        // As it is written: a client would tidy it up.
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        let request = format!("GET {way}{name} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answers.push((way, answer));
    }
    fs::remove_file(outside).unwrap();
    for (way, answer) in answers {
        assert!(answer.starts_with("HTTP/1.1 4"), "{way}: {answer}");
        assert!(!answer.contains("zanzibar"), "{way}: {answer}");
    }
}
