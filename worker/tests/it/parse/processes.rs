//! The child process: how it locks itself in, and that nothing of it stays.

use std::fs::{self, File};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lectern_shared::media::MediaType;
use lectern_worker::ingest::parse::{ParseFailure, ParseLimits, parse};

use super::{Outcome, WORKER, own};
use crate::support::pdfium_path;

/// Processes that have `mark` among their arguments. A zombie has no arguments any more.
pub(crate) fn processes(mark: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc")
        .expect("Linux")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has_mark = |id: &u32| {
        let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(mark)
    };
    entries.filter(has_mark).collect()
}

/// Children of ours that ended and were not waited for.
fn is_zombie(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

pub(crate) async fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An argument that no other run of these tests has.
fn mark(name: &str) -> String {
    format!("/mark/{name}-{}", std::process::id())
}

/// A parse by a program that hangs and has a process beside it; both carry `mark`.
fn hanging(mark: &str, wall: Duration) -> impl Future<Output = Outcome> + Send + 'static {
    let limits = ParseLimits {
        wall_base: wall,
        ..ParseLimits::default()
    };
    let mark = PathBuf::from(mark);
    async move {
        let file = File::open(own("handbook.pdf")).expect("a file of the test's");
        parse(
            file,
            MediaType::Pdf,
            &own("never-ends.sh"),
            &mark,
            &limits,
            None,
            &mut |_| {},
        )
        .await
    }
}

#[tokio::test]
async fn a_parse_that_is_dropped_leaves_no_process_behind() {
    let mark = &mark("dropped");
    let task = tokio::spawn(hanging(mark, Duration::from_secs(60)));
    let started = eventually("two processes", || {
        Some(processes(mark)).filter(|ids| ids.len() == 2)
    })
    .await;
    task.abort();
    eventually("no process", || processes(mark).is_empty().then_some(())).await;
    // The second one was the script's child, and whoever inherits that reaps it; the first one is ours to reap.
    eventually("no zombie", || {
        (!is_zombie(started[0].min(started[1]))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_parser_that_hangs_is_killed_with_all_its_processes() {
    let mark = &mark("hangs");
    let outcome = hanging(mark, Duration::from_millis(300)).await;
    assert_eq!(outcome, Err(ParseFailure::TimedOut));
    eventually("no process", || processes(mark).is_empty().then_some(())).await;
}

#[tokio::test]
async fn the_child_locks_itself_in() {
    // A path of its own to the library, to know the process by.
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("libpdfium.so");
    std::os::unix::fs::symlink(pdfium_path(), &mark).unwrap();
    let library = mark.clone();
    let task = tokio::spawn(async move {
        let file = File::open(own("hungry.pdf")).unwrap();
        parse(
            file,
            MediaType::Pdf,
            Path::new(WORKER),
            &library,
            &ParseLimits::default(),
            Some("secret"),
            &mut |_| {},
        )
        .await
    });
    let mark = mark.to_str().unwrap();
    let confined = || {
        let id = *processes(mark).first()?;
        let limits = fs::read_to_string(format!("/proc/{id}/limits")).ok()?;
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let arguments = fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
        // The last one that the child sets.
        let processes: Vec<&str> = limits
            .lines()
            .find(|line| line.starts_with("Max processes"))?
            .split_whitespace()
            .collect();
        (processes[2] == "0").then_some((limits, status, arguments))
    };
    let (limits, status, arguments) = eventually("a confined child", confined).await;
    let limit = |name: &str| -> Vec<&str> {
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.split_whitespace().take(2).collect()
    };
    assert_eq!(limit("Max address space"), ["536870912", "536870912"]);
    assert_eq!(limit("Max file size"), ["0", "0"]);
    assert_eq!(limit("Max open files"), ["32", "32"]);
    assert_eq!(limit("Max core file size"), ["0", "0"]);
    assert_eq!(
        limit("Max cpu time")[1],
        "1271",
        "20 s, 5,000 pages of 250 ms, one more second"
    );
    assert!(status.contains("NoNewPrivs:\t1"));
    assert!(status.contains("Seccomp:\t2"), "calls are filtered");
    assert!(!arguments.contains("secret"));
    task.abort();
}
