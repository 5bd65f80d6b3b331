//! What each hostile file ends in, and what that takes: `make eval-hostile`.
//!
//! Reads the PDFs in `../shared/eval/hostile` where they are, and those of the tests; name another folder with
//! `cargo bench --bench hostile -- FOLDER`. Each is read by a process of this benchmark's own, whose only child is the
//! parser: so the kernel's account of its children is the parser's.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark's output, and it ends at the first error"
)]

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use clap::Parser;
use lectern_shared::media::MediaType;
use lectern_worker::ingest::parse::{ParseLimits, parse};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};

#[derive(Parser)]
struct Arguments {
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    /// Reads this file and prints its row
    #[arg(long, hide = true)]
    one: Option<PathBuf>,
    #[arg(long, env = "LECTERN_PDFIUM")]
    pdfium: PathBuf,
    folder: Option<PathBuf>,
}

fn pdfs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "pdf"));
    files.sort();
    files
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    if let Some(path) = &arguments.one {
        return row(path, &arguments.pdfium).await;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = match &arguments.folder {
        Some(folder) => vec![folder.clone()],
        None => vec![
            here.join("tests/files"),
            here.join("../../shared/eval/hostile"),
        ],
    };
    println!(
        "{:38} {:>6} {:>6} {:>8}  outcome",
        "file", "cpu s", "wall s", "peak MB"
    );
    for path in folders.iter().flat_map(|folder| pdfs(folder)) {
        let status = Command::new(std::env::current_exe().unwrap())
            .arg("--one")
            .arg(&path)
            .arg("--pdfium")
            .arg(&arguments.pdfium)
            .status()
            .unwrap();
        assert!(status.success(), "{path:?}");
    }
}

async fn row(path: &Path, pdfium: &Path) {
    let start = Instant::now();
    let outcome = parse(
        File::open(path).unwrap(),
        MediaType::Pdf,
        Path::new(env!("CARGO_BIN_EXE_lectern-worker")),
        pdfium,
        &ParseLimits::default(),
        None,
        &mut |_| {},
    )
    .await;
    let wall = start.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let cpu = [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds());
    let cpu = Duration::from_micros(cpu.iter().sum::<i64>().cast_unsigned());
    let outcome = match outcome {
        Ok(document) => format!(
            "{} pages; {}",
            document.pages.len(),
            document.notes.join("; ")
        ),
        Err(failure) => failure.to_string(),
    };
    println!(
        "{:38} {:6.2} {:6.2} {:8.0}  {}",
        path.file_name().unwrap().to_string_lossy(),
        cpu.as_secs_f64(),
        wall.as_secs_f64(),
        usage.max_rss() as f64 / 1024.0,
        outcome.trim_end_matches("; ")
    );
}
