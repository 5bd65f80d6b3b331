//! What becomes of a scan when Tesseract is missing, hangs, lies or is no longer wanted.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use lectern_shared::failure::Failure;
use serde_json::json;
use tempfile::TempDir;

use super::{
    read,
    scans::{require_tesseract, scan},
};
use crate::{
    parse::processes::{eventually, processes},
    support::{Lectern, own_file},
};

/// A program of ours under a path of its own, to know its processes by.
fn stand_in(script: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tesseract");
    symlink(own_file(script), &path).unwrap();
    (folder, path)
}

fn option(program: &Path) -> String {
    format!("--tesseract={}", program.display())
}

#[tokio::test]
async fn without_tesseract_the_pages_without_text_are_named_with_what_to_do() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker_with(&[("LECTERN_TESSERACT", "/no/such/tesseract")]);
    let part = scan(&own_file("handbook.pdf"), &[2, 3], 0).await;
    let document = lectern.add_ready(part.path()).await;
    let note = document["notes"][0].as_str().unwrap();
    assert!(note.starts_with("pages 2–3: no text"), "{note}");
    assert!(
        note.contains("install Tesseract") && note.contains("LECTERN_TESSERACT"),
        "{note}"
    );

    let whole = scan(&own_file("handbook.pdf"), &[1, 2, 3], 0).await;
    let id = lectern.add(whole.path()).await;
    let document = lectern.settled(&id).await;
    assert_eq!(document["failure"]["code"], "ocr_unavailable", "{document}");
}

#[tokio::test]
async fn a_document_of_pictures_says_that_ocr_is_off() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker_with(&[("LECTERN_OCR", "off")]);
    let id = lectern.add(&own_file("no-text.pdf")).await;
    let document = lectern.settled(&id).await;
    assert_eq!(document["failure"]["code"], "ocr_off", "{document}");
}

#[tokio::test]
async fn a_language_that_is_not_installed_is_named() {
    require_tesseract();
    let outcome = read(&own_file("no-text.pdf"), &["--ocr-languages=eng+xyz"]).await;
    assert_eq!(outcome.why_none, Failure::OcrUnavailable);
    let note = &outcome.document.notes[0];
    assert!(note.contains("tesseract-ocr-xyz"), "{note}");
}

#[tokio::test]
async fn a_tesseract_that_hangs_is_killed_with_all_its_processes_and_the_document_says_so() {
    let (_folder, program) = stand_in("tesseract-hangs.sh");
    let outcome = read(
        &own_file("no-text.pdf"),
        &[&option(&program), "--ocr-seconds-max=1"],
    )
    .await;
    assert_eq!(outcome.why_none, Failure::OcrFailed);
    assert_eq!(
        outcome.document.notes,
        ["page 1: OCR took longer than LECTERN_OCR_SECONDS_MAX"]
    );
    let mark = program.to_str().unwrap();
    eventually("no process", || processes(mark).is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_document_that_is_cancelled_while_it_is_recognised_leaves_no_process() {
    let (_folder, program) = stand_in("tesseract-hangs.sh");
    let mark = program.to_str().unwrap();
    let lectern = Lectern::start().await;
    let _worker = lectern.worker_with(&[("LECTERN_TESSERACT", mark)]);
    let id = lectern.add(&own_file("no-text.pdf")).await;
    eventually("two processes", || {
        (processes(mark).len() == 2).then_some(())
    })
    .await;
    let cancel = lectern.request("POST", &format!("/api/v1/documents/{id}/cancel"));
    assert_eq!(cancel.send().await.unwrap().status(), 200);
    assert_eq!(lectern.settled(&id).await["state"], "cancelled");
    eventually("no process", || processes(mark).is_empty().then_some(())).await;
}

#[tokio::test]
async fn tesseract_runs_in_a_cage_without_our_secrets() {
    let (_folder, program) = stand_in("tesseract-hangs.sh");
    let mark = program.to_str().unwrap().to_owned();
    let option = option(&program);
    let task = tokio::spawn(async move { read(&own_file("no-text.pdf"), &[&option]).await });
    let first = eventually("two processes", || {
        let mut ids = processes(&mark);
        ids.sort_unstable();
        (ids.len() == 2).then(|| ids[0])
    })
    .await;
    let about = |file: &str| std::fs::read_to_string(format!("/proc/{first}/{file}")).unwrap();
    let (limits, status, environment) = (about("limits"), about("status"), about("environ"));
    let limit = |name: &str| -> String {
        let line = limits.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max address space"), "1073741824");
    assert_eq!(limit("Max cpu time"), "120");
    assert_eq!(limit("Max file size"), "0");
    assert_eq!(limit("Max open files"), "32");
    assert_eq!(limit("Max processes"), "0");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let names = environment
        .split('\0')
        .filter_map(|pair| pair.split_once('='));
    let ours = names.filter(|(name, _)| !["OMP_THREAD_LIMIT", "PATH", "PWD"].contains(name));
    assert_eq!(ours.count(), 0, "{environment}");
    task.abort();
}

#[tokio::test]
async fn a_worker_that_dies_takes_its_tesseract_along() {
    let (_folder, program) = stand_in("tesseract-hangs.sh");
    let mark = program.to_str().unwrap();
    let lectern = Lectern::start().await;
    let worker = lectern.worker_with(&[("LECTERN_TESSERACT", mark)]);
    lectern.add(&own_file("no-text.pdf")).await;
    let before = eventually("two processes", || {
        Some(processes(mark)).filter(|ids| ids.len() == 2)
    })
    .await;
    worker.kill();
    // The first is Tesseract itself; what a Tesseract might start besides is not tied to our life.
    let first = before.iter().min().copied().unwrap();
    eventually("it is gone", || {
        (!processes(mark).contains(&first)).then_some(())
    })
    .await;
    for id in processes(mark) {
        let id = nix::unistd::Pid::from_raw(id.cast_signed());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
}

#[tokio::test]
async fn a_tesseract_that_lies_gives_text_on_the_page_or_none() {
    let (_folder, program) = stand_in("tesseract-lies.sh");
    let outcome = read(&own_file("no-text.pdf"), &[&option(&program)]).await;
    let page = &outcome.document.pages[0];
    assert_eq!(page.text, "evil");
    assert_eq!(json!(page.lines[0].bounds), json!([0.0, 1.0, 1.0, 1.0]));
}

#[tokio::test]
async fn a_tesseract_that_is_curious_finds_nothing_besides_its_pixels() {
    let (_folder, program) = stand_in("tesseract-curious.sh");
    let outcome = read(&own_file("no-text.pdf"), &[&option(&program)]).await;
    assert_eq!(outcome.document.pages[0].text, "kept kept kept");
}
