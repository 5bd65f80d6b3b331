//! Many files at once: zips over HTTP, and the command that imports from disk.

use std::{
    io::{Cursor, Write},
    process::Command,
};

use reqwest::{Response, multipart};
use serde_json::{Value, json};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::support::{Lectern, own_file};

/// A zip of these files, packed as usual.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn own(name: &str) -> Vec<u8> {
    std::fs::read(own_file(name)).unwrap()
}

/// Of a zip that takes long enough to be interrupted in.
const FILES: i64 = 300;

impl Lectern {
    pub(crate) async fn import(&self, fields: &[(&'static str, &str)], zip: Vec<u8>) -> Response {
        let mut form = multipart::Form::new();
        for (field, value) in fields {
            form = form.text(*field, (*value).to_owned());
        }
        let part = multipart::Part::bytes(zip).file_name("all.zip");
        self.request("POST", "/api/v1/imports")
            .multipart(form.part("file", part))
            .send()
            .await
            .unwrap()
    }

    /// An import that was taken, once it is over.
    pub(crate) async fn imported(&self, response: Response) -> Value {
        assert_eq!(response.status(), 202);
        let path = response.headers()["location"].to_str().unwrap().to_owned();
        self.poll(&path, |import| {
            !matches!(import["state"].as_str(), Some("queued" | "running"))
        })
        .await
    }
}

#[tokio::test]
async fn the_files_of_a_zip_become_documents_and_what_is_none_is_listed_with_its_reason() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let (coffee, handbook) = (own("coffee.pdf"), own("handbook.pdf"));
    let first = zip(&[
        ("manuals/coffee.pdf", &coffee),
        ("again/coffee.pdf", &coffee),
        ("../../etc/hand\u{202e}book.pdf", &handbook),
        ("__MACOSX/manuals/._coffee.pdf", b"x"),
        ("manuals/.DS_Store", b"x"),
        ("empty.pdf", b""),
        ("program.exe", b"MZ\0\0\x01\x02\0\0"),
    ]);
    let fields = [("metadata", r#"{"team": "x"}"#)];
    let import = lectern.imported(lectern.import(&fields, first).await).await;
    assert_eq!(import["state"], "done", "{import}");
    let entries: Vec<_> = import["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["name"].clone(), entry["outcome"].clone()))
        .collect();
    assert_eq!(
        entries,
        [
            (json!("manuals/coffee.pdf"), json!("created")),
            (json!("again/coffee.pdf"), json!("duplicate")),
            (json!("etc/handbook.pdf"), json!("created")),
            (json!("empty.pdf"), json!("skipped")),
            (json!("program.exe"), json!("skipped")),
        ]
    );
    assert_eq!(import["entries"][3]["reason"]["code"], "empty_file");
    assert_eq!(import["entries"][4]["reason"]["code"], "unsupported_type");
    assert_eq!(
        (&import["created"], &import["skipped"], &import["total"]),
        (&json!(2), &json!(2), &json!(7))
    );
    let document = import["entries"][0]["document"].as_str().unwrap();
    let document = lectern.settled(document).await;
    assert_eq!(
        (&document["state"], &document["metadata"]),
        (&json!("ready"), &json!({"team": "x"}))
    );

    // The zip itself goes; the same name again is a version.
    let second = zip(&[("manuals/coffee.pdf", &own("turned.pdf"))]);
    let import = lectern.imported(lectern.import(&[], second).await).await;
    assert_eq!(
        (
            &import["entries"][0]["outcome"],
            &import["entries"][0]["document"]
        ),
        (&json!("replaced"), &document["id"])
    );
    let path = format!("/api/v1/documents/{}", document["id"].as_str().unwrap());
    lectern
        .poll(&path, |document| document["version"] == 2)
        .await;
    lectern
        .poll(&path, |_| lectern.place.blob_count() == 2)
        .await;
}

#[tokio::test]
async fn a_zip_beyond_a_limit_fails_before_anything_is_unpacked() {
    let lectern = Lectern::start().await;
    let limits = [
        ("LECTERN_IMPORT_ENTRIES_MAX", "3"),
        ("LECTERN_IMPORT_UNPACKED_BYTES_MAX", "1000000"),
    ];
    let _worker = lectern.worker_with(&limits);
    let bomb = vec![0; 2_000_000];
    let coffee = own("coffee.pdf");
    for (zip, code) in [
        (
            zip(&[("a.pdf", &coffee), ("bomb.pdf", &bomb)]),
            "zip_too_big",
        ),
        (
            zip(&[("a", b"a"), ("b", b"b"), ("c", b"c"), ("d", b"d")]),
            "too_many_entries",
        ),
        (b"PK\x03\x04 and no more".to_vec(), "damaged_zip"),
    ] {
        let import = lectern.imported(lectern.import(&[], zip).await).await;
        assert_eq!(
            (&import["state"], &import["failure"]["code"]),
            (&json!("failed"), &json!(code))
        );
    }
    assert_eq!(lectern.count("documents").await, 0);
    lectern
        .poll("/api/v1/documents", |_| lectern.place.blob_count() == 0)
        .await;
    let refused = lectern.import(&[], coffee).await;
    assert_eq!(refused.status(), 415);
    let refused = lectern.import(&[("title", "All")], zip(&[])).await;
    assert_eq!(refused.status(), 400);
}

#[tokio::test]
async fn entries_that_are_too_large_damaged_or_no_files_are_skipped_alone() {
    let lectern = Lectern::start_with(&["--upload-bytes-max=100000"]).await;
    let _worker = lectern.worker();
    let marker = b"%PDF-1.4 to be damaged";
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("large.pdf", stored).unwrap();
    zip.write_all(&[b' '; 100_001]).unwrap();
    zip.start_file("damaged.pdf", stored).unwrap();
    zip.write_all(marker).unwrap();
    zip.add_symlink("link.pdf", "/etc/passwd", stored).unwrap();
    zip.start_file("good.pdf", stored).unwrap();
    zip.write_all(&own("coffee.pdf")).unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    let at = bytes
        .windows(marker.len())
        .position(|window| window == marker)
        .unwrap();
    bytes[at + 10] ^= 1;
    let import = lectern.imported(lectern.import(&[], bytes).await).await;
    let outcomes: Vec<_> = import["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["reason"]["code"].as_str().unwrap_or("created"))
        .collect();
    assert_eq!(outcomes, ["too_large", "damaged", "not_a_file", "created"]);
    lectern
        .poll("/api/v1/documents", |_| lectern.place.blob_count() == 1)
        .await;
}

/// The queue is full after two: the import waits, others have the place, and it goes on where it was.
#[tokio::test]
async fn an_import_that_fills_the_queue_goes_on_when_there_is_room_and_doubles_nothing() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker_with(&[("LECTERN_QUEUE_TENANT_MAX", "1")]);
    let files = ["coffee.pdf", "handbook.pdf", "turned.pdf"].map(own);
    let zip = zip(&[
        ("a.pdf", &files[0]),
        ("b.pdf", &files[1]),
        ("c.pdf", &files[2]),
    ]);
    let import = lectern.imported(lectern.import(&[], zip).await).await;
    assert_eq!(
        (&import["state"], &import["created"]),
        (&json!("done"), &json!(3)),
        "{import}"
    );
    assert_eq!(lectern.count("documents").await, 3);
}

#[tokio::test]
async fn a_folder_on_disk_is_imported_by_the_command_and_once_only() {
    let lectern = Lectern::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::copy(own_file("coffee.pdf"), folder.path().join("sub/coffee.pdf")).unwrap();
    std::fs::write(folder.path().join("note.bin"), [0, 1, 2]).unwrap();
    let packed = zip(&[("in/handbook.pdf", &own("handbook.pdf"))]);
    std::fs::write(folder.path().join("more.zip"), packed).unwrap();
    let import = || {
        let output = Command::new(env!("CARGO_BIN_EXE_lectern-worker"))
            .arg("import")
            .arg(folder.path())
            .args(["--metadata", r#"{"from": "disk"}"#])
            .envs(lectern.place.environment())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    };
    let said = import();
    assert!(said.contains("created: sub/coffee.pdf"), "{said}");
    assert!(said.contains("created: in/handbook.pdf"), "{said}");
    assert!(said.contains("skipped: note.bin"), "{said}");
    assert!(said.ends_with("done: 2 created, 1 skipped\n"), "{said}");
    assert!(import().ends_with("done: 2 duplicate, 1 skipped\n"));
    assert_eq!(lectern.place.blob_count(), 2);
    let _worker = lectern.worker();
    let list = lectern.get("/api/v1/documents?sort=name").await;
    assert_eq!(list["documents"][1]["name"], "sub/coffee.pdf");
    for document in list["documents"].as_array().unwrap() {
        assert_eq!(document["metadata"], json!({"from": "disk"}));
        let settled = lectern.settled(document["id"].as_str().unwrap()).await;
        assert_eq!(settled["state"], "ready");
    }
}

#[tokio::test]
async fn an_import_whose_worker_is_killed_goes_on_where_it_was_and_doubles_nothing() {
    let lectern = Lectern::start().await;
    let worker = lectern.worker();
    let texts: Vec<_> = (0..FILES)
        .map(|number| {
            let name = format!("unit-{number}.txt");
            (name, format!("Unit {number} is behind the mill."))
        })
        .collect();
    let files: Vec<_> = texts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_bytes()))
        .collect();
    let accepted = lectern.import(&[], zip(&files)).await;
    assert_eq!(accepted.status(), 202);
    let path = accepted.headers()["location"].to_str().unwrap().to_owned();
    lectern.poll(&path, |import| import["created"] != 0).await;
    worker.kill();
    let half = lectern.count("documents").await;
    assert!(
        (1..FILES).contains(&half),
        "{half} files when it was killed"
    );

    let _other = lectern.worker();
    let import = lectern.imported(accepted).await;
    assert_eq!(
        (&import["state"], &import["created"], &import["total"]),
        (&json!("done"), &json!(FILES), &json!(FILES)),
        "{import}"
    );
    assert_eq!(lectern.count("documents").await, FILES);
    let same = lectern.count("(select from documents group by name having count(*) > 1) as same");
    assert_eq!(same.await, 0);
    // What was unpacked when the worker died has no row; the doctor takes it away.
    let blobs = i64::try_from(lectern.place.blob_count()).unwrap();
    assert!((FILES..=FILES + 2).contains(&blobs), "{blobs} blobs");
}
