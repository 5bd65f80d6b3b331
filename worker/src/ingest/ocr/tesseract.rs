//! Tesseract as a command: a picture into its stdin, words with boxes out of its stdout, nothing on disk.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};
use tracing::debug;

use super::{
    cage::{CHILD_COMMAND, Cage, NOT_FOUND},
    languages::Languages,
};
use crate::{
    config::OcrSettings,
    ingest::parse::{Picture, ProcessGroup, read_start},
};

/// Where a program without a path is looked for: the child has no environment to tell it.
const PROGRAM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A page of the smallest print has some 3,000 words of 60 bytes.
const OUTPUT_BYTES_MAX: u64 = 8 << 20;

/// For saying its version or its languages.
const QUICK: Duration = Duration::from_secs(5);

/// Data for telling which way up a page is.
const ORIENTATION: &str = "osd";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TesseractFailure {
    /// No such program, or one that isn't Tesseract: nothing to do with the page.
    #[error("Tesseract can't be started: {0}")]
    Unavailable(String),
    #[error("Tesseract has no data for {0}")]
    LanguageMissing(String),
    #[error("the page took too long")]
    TimedOut,
    #[error("Tesseract failed: {0}")]
    Failed(String),
}

/// A Tesseract that is there and knows the wanted languages.
pub(super) struct Tesseract<'a> {
    program: &'a Path,
    settings: &'a OcrSettings,
    tells_orientation: bool,
}

impl<'a> Tesseract<'a> {
    /// `program` is our own binary, which becomes Tesseract.
    pub(super) async fn find(
        program: &'a Path,
        settings: &'a OcrSettings,
    ) -> Result<Self, TesseractFailure> {
        let mut tesseract = Self {
            program,
            settings,
            tells_orientation: false,
        };
        let known = tesseract.ask("--list-langs").await?;
        let knows = |wanted: &str| known.lines().skip(1).any(|name| name.trim() == wanted);
        if let Some(missing) = settings.languages.names().find(|name| !knows(name)) {
            return Err(TesseractFailure::LanguageMissing(missing.to_owned()));
        }
        tesseract.tells_orientation = knows(ORIENTATION);
        Ok(tesseract)
    }

    /// What it says of its version: "tesseract 5.3.0".
    pub(super) async fn version(&self) -> Result<String, TesseractFailure> {
        let said = self.ask("--version").await?;
        Ok(said.lines().next().unwrap_or_default().trim().to_owned())
    }

    /// The words of a page with their boxes, as Tesseract's table of tab-separated values.
    pub(super) async fn recognise(&self, picture: &Picture) -> Result<String, TesseractFailure> {
        let Picture { width, height, .. } = picture;
        let head = format!("P5\n{width} {height}\n255\n");
        let arguments = [
            "stdin",
            "stdout",
            "-l",
            self.settings.languages.as_str(),
            "--dpi",
            &self.settings.dpi.to_string(),
            // 1 finds columns and turns pages that lie on their side, for 0.2 s a page; 3 only the former.
            "--psm",
            if self.tells_orientation { "1" } else { "3" },
            "-c",
            "tessedit_create_tsv=1",
        ];
        let wall = Duration::from_secs(self.settings.seconds_max.into());
        self.run(&arguments, &[head.as_bytes(), &picture.pixels], wall)
            .await
    }

    async fn ask(&self, argument: &str) -> Result<String, TesseractFailure> {
        match self.run(&[argument], &[], QUICK).await {
            Err(TesseractFailure::TimedOut) => Err(TesseractFailure::Unavailable(
                "it does not answer".to_owned(),
            )),
            Err(TesseractFailure::Failed(cause)) => Err(TesseractFailure::Unavailable(cause)),
            other => other,
        }
    }

    /// Dropping the future kills the process and all its group.
    async fn run(
        &self,
        arguments: &[&str],
        input: &[&[u8]],
        wall: Duration,
    ) -> Result<String, TesseractFailure> {
        let unavailable = |error: &dyn ToString| TesseractFailure::Unavailable(error.to_string());
        let mut group = self
            .spawn(arguments, wall)
            .map_err(|error| unavailable(&error))?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (
            group.child.stdin.take(),
            group.child.stdout.take(),
            group.child.stderr.take(),
        ) else {
            return Err(unavailable(&"no pipes"));
        };
        let talk = async {
            let write = async {
                for part in input {
                    // A program that reads no further has said, or will say, why.
                    if stdin.write_all(part).await.is_err() {
                        break;
                    }
                }
                drop(stdin);
            };
            let read = async {
                let mut output = Vec::new();
                // One byte more than allowed, to tell "all of it" from "too much".
                let read = stdout
                    .take(OUTPUT_BYTES_MAX + 1)
                    .read_to_end(&mut output)
                    .await;
                read.map(|_| output)
            };
            let ((), output, stderr) = tokio::join!(write, read, read_start(stderr));
            let status = group.child.wait().await;
            (output, stderr, status)
        };
        let Ok((output, stderr, status)) = timeout(wall, talk).await else {
            return Err(TesseractFailure::TimedOut);
        };
        let failed = |error: std::io::Error| TesseractFailure::Failed(error.to_string());
        let (output, status) = (output.map_err(failed)?, status.map_err(failed)?);
        if !stderr.is_empty() {
            debug!(ocr.stderr = %stderr.escape_debug(), "tesseract wrote to stderr");
        }
        if status.code() == Some(NOT_FOUND.into()) {
            return Err(unavailable(&stderr.trim()));
        }
        if output.len() as u64 > OUTPUT_BYTES_MAX {
            return Err(TesseractFailure::Failed("it writes without end".to_owned()));
        }
        if !status.success() {
            return Err(TesseractFailure::Failed(status.to_string()));
        }
        String::from_utf8(output).map_err(|_| TesseractFailure::Failed("not UTF-8".to_owned()))
    }

    fn spawn(&self, arguments: &[&str], wall: Duration) -> std::io::Result<ProcessGroup> {
        let cage = Cage {
            parent: std::process::id(),
            program: self.settings.tesseract.clone(),
            arguments: arguments.iter().copied().map(str::to_owned).collect(),
            memory_bytes_max: self.settings.memory_bytes_max,
            processor_seconds_max: wall.as_secs().max(1),
        };
        let mut command = Command::new(self.program);
        command
            .arg(CHILD_COMMAND)
            .arg(serde_json::to_string(&cage)?)
            // Our environment has the keys of the database and of the blob store.
            .env_clear()
            .env("PATH", PROGRAM_PATH)
            // Its threads cost more than they bring: pages are read side by side instead.
            .env("OMP_THREAD_LIMIT", "1")
            .stdin(Stdio::piped());
        ProcessGroup::start(command)
    }
}

/// What the log says at the start, and what an operator can do about it.
pub(super) fn advice(failure: &TesseractFailure, languages: &Languages) -> String {
    match failure {
        TesseractFailure::LanguageMissing(name) => format!(
            "install the Tesseract data for {name} (Debian: tesseract-ocr-{}), or change LECTERN_OCR_LANGUAGES \
             (now {languages})",
            name.replace('_', "-")
        ),
        _ => "install Tesseract (Debian: tesseract-ocr), or say where it is with LECTERN_TESSERACT"
            .to_owned(),
    }
}
