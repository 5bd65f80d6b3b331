//! `lectern add`.

use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::support::{Break, Lectern, Road, ended, interrupt};

/// The lines of `--json`, as objects.
fn objects(out: &str) -> Vec<Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_folder_is_added_under_its_paths_and_sent_once() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.copy("team/travel/handbook.pdf", "handbook.pdf");
    lectern.write(
        "team/readme.md",
        "# Rooms\n\nThe big room is on the second floor.",
    );
    lectern.write(
        "team/travel/readme.md",
        "# Trains\n\nSecond class is booked.",
    );
    lectern.write(
        "team/picture.png",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01",
    );
    lectern.write("team/drafts/new.md", "not yet");
    lectern.write("team/.git/config", "no document");

    let add = [
        "add",
        "team",
        "-c",
        "handbooks",
        "--create",
        "-x",
        "drafts",
        "--meta",
        "team=ops",
    ];
    let first = lectern.run(&add).await;
    assert_eq!(first.code, 0, "{first:?}");
    assert!(
        first.out.contains("added: travel/handbook.pdf (3 pages, "),
        "{first:?}"
    );
    assert!(first.out.contains("left out: picture.png"), "{first:?}");
    assert!(
        first
            .err
            .contains("4 files: 3 added, 1 of a type that can't be read"),
        "{first:?}"
    );

    let listed = lectern
        .json(&["list", "--all", "--sort", "name", "--limit", "2"])
        .await;
    let documents = listed["documents"].as_array().unwrap();
    let names: Vec<_> = documents.iter().map(|document| &document["name"]).collect();
    assert_eq!(
        names,
        ["readme.md", "travel/handbook.pdf", "travel/readme.md"]
    );
    for document in documents {
        assert_eq!(document["metadata"]["team"], "ops");
        assert_eq!(document["collection"], "handbooks");
    }

    let road = Road::to(lectern.address()).await;
    let mut again = lectern.command(&[&add[..], &["-x", "*.png", "--json"]].concat());
    again.env("LECTERN_URL", road.url());
    let again = ended(again).await;
    assert_eq!(again.code, 0, "{again:?}");
    let told = objects(&again.out);
    assert_eq!(told[3]["summary"]["unchanged"], 3, "{again:?}");
    let sent = road.sent.load(Ordering::SeqCst);
    assert!(sent < 4000, "nothing was to be sent, but {sent} bytes were");

    lectern.write(
        "team/readme.md",
        "# Rooms\n\nThe big room is on the third floor.",
    );
    let changed = lectern.run(&add).await;
    assert!(changed.out.contains("replaced: readme.md"), "{changed:?}");
    assert!(
        changed
            .err
            .contains("1 replaced by a new version, 2 there already"),
        "{changed:?}"
    );
}

#[tokio::test]
async fn what_is_interrupted_goes_on_with_the_same_command() {
    let lectern = Lectern::start().await;
    for number in 0..5 {
        lectern.write(
            &format!("notes/{number}.md"),
            format!("# Note {number}\n\nIt is short."),
        );
    }
    let add = ["add", "notes", "-j", "2"];
    let child = lectern.command(&add).spawn().unwrap();
    // There is no worker, so all of them wait.
    lectern
        .poll("/api/v1/documents?state=queued", |found| {
            found["documents"].as_array().unwrap().len() == 5
        })
        .await;
    interrupt(&child);
    let interrupted = child.wait_with_output().await.unwrap();
    assert_eq!(interrupted.status.code(), Some(130), "{interrupted:?}");
    let err = String::from_utf8(interrupted.stderr).unwrap();
    assert!(err.contains("5 files: 5 not done"), "{err}");

    let _worker = lectern.worker();
    let resumed = lectern.run(&add).await;
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert!(resumed.err.contains("5 files: 5 added"), "{resumed:?}");
    let listed = lectern.json(&["list"]).await;
    for document in listed["documents"].as_array().unwrap() {
        assert_eq!(document["wanted"], 1, "it was read once: {document}");
    }
}

#[tokio::test]
async fn an_upload_whose_connection_breaks_is_sent_again() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.copy("handbook.pdf", "handbook.pdf");
    let road = Road::breaking(lectern.address(), 2, Break::Sent(4000)).await;
    let mut add = lectern.command(&["add", "handbook.pdf"]);
    add.env("LECTERN_URL", road.url());
    let added = ended(add).await;
    assert_eq!(added.code, 0, "{added:?}");
    assert_eq!(road.broken.load(Ordering::SeqCst), 2);
    let listed = lectern.json(&["list"]).await;
    assert_eq!(listed["documents"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_stream_of_events_that_breaks_is_taken_up_where_it_stopped() {
    let lectern = Lectern::start().await;
    lectern.copy("handbook.pdf", "handbook.pdf");
    let uploaded = lectern.run(&["add", "handbook.pdf", "--no-wait"]).await;
    assert!(
        uploaded.out.starts_with("uploaded: handbook.pdf"),
        "{uploaded:?}"
    );
    let road = Road::breaking(lectern.address(), 3, Break::FirstEvent).await;
    let mut add = lectern.command(&["add", "handbook.pdf"]);
    add.env("LECTERN_URL", road.url());
    // The worker begins when somebody looks, so that there is something to break.
    let begins = async {
        road.hears("/events").await;
        lectern.worker()
    };
    let (_worker, added) = tokio::join!(begins, ended(add));
    assert_eq!(added.code, 0, "{added:?}");
    assert!(
        added.out.contains("added: handbook.pdf (3 pages, "),
        "{added:?}"
    );
    assert!(road.broken.load(Ordering::SeqCst) > 0, "nothing broke");
    let said = String::from_utf8_lossy(&road.said.lock().unwrap()).to_lowercase();
    assert!(said.contains("last-event-id: 1-"), "it began anew");
}

#[tokio::test]
async fn a_file_that_can_not_be_read_is_told_with_its_next_step_and_the_others_are_added() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.copy("in/locked.pdf", "locked.pdf");
    lectern.write("in/good.md", "# Good\n\nIt can be read.");
    lectern.write("in/empty.md", "");
    let added = lectern.run(&["add", "in"]).await;
    assert_eq!(added.code, 1, "{added:?}");
    assert!(added.out.contains("added: good.md"), "{added:?}");
    assert!(added.err.contains("failed: locked.pdf\n  "), "{added:?}");
    assert!(added.err.contains("password"), "{added:?}");
    assert!(
        added.err.contains("failed: empty.md: Empty file\n  "),
        "{added:?}"
    );
    assert!(
        added.err.contains("3 files: 1 added, 2 failed"),
        "{added:?}"
    );

    let named = lectern.write("tool", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let refused = lectern.run(&["add", named.to_str().unwrap()]).await;
    assert_eq!(
        refused.code, 1,
        "a file that somebody has named is not left out: {refused:?}"
    );
    assert!(refused.err.contains("Supported types: PDF"), "{refused:?}");
}

#[tokio::test]
async fn a_large_file_that_is_refused_is_told_why_although_it_is_still_being_sent() {
    let lectern = Lectern::start_with(&["--upload-bytes-max=100000"]).await;
    lectern.write("large.md", "a line of text\n".repeat(2_000_000));
    let refused = lectern
        .run(&["add", "large.md", "--retries-max", "1"])
        .await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.err.contains("LECTERN_UPLOAD_BYTES_MAX"),
        "{refused:?}"
    );
}
