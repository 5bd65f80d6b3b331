//! The parent's half of drawing pages: one picture at a time, so that a long scan is never whole in memory.
//!
//! The child waits at its full pipe while we are busy with a page, so its time is counted only while we wait for it.

use lectern_shared::media::MediaType;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::ChildStdout;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::debug;

use super::process::{ProcessGroup, read_start};
use super::protocol::{Message, Render};
use super::render::PIXELS_MAX;
use super::{ParseFailure, ParseLimits};

/// Drawing a page of ten thousand shapes takes longer than reading its text; the scans that we measured take 0.2 s.
const WALL_PER_PAGE: Duration = Duration::from_secs(10);

/// A line of the child's with the title of the document.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// A page in shades of grey, row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub number: u32,
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
}

/// The child that draws pages of one file. Dropping it kills the child.
pub struct Pictures {
    group: ProcessGroup,
    stdout: BufReader<ChildStdout>,
    stderr: JoinHandle<String>,
    wait: Duration,
    /// The pages after the last one that came, the next one last.
    wanted: Vec<u32>,
}

impl Pictures {
    /// Starts drawing `pages`, numbers from 1 in ascending order. For the other arguments see [`super::parse`].
    ///
    /// # Errors
    /// [`ParseFailure::Unavailable`] when there is no such child to be had.
    pub fn of(
        mut file: File,
        program: &Path,
        pdfium: &Path,
        limits: &ParseLimits,
        password: Option<&str>,
        pages: &[u32],
        dpi: u16,
    ) -> Result<Self, ParseFailure> {
        let unavailable = |error: std::io::Error| ParseFailure::Unavailable(error.to_string());
        file.seek(SeekFrom::Start(0)).map_err(unavailable)?;
        let limits = ParseLimits {
            wall_per_page: WALL_PER_PAGE,
            ..limits.clone()
        };
        let render = Render {
            pages: pages.to_vec(),
            dpi,
        };
        let mut group = ProcessGroup::parser(
            file,
            MediaType::Pdf,
            program,
            pdfium,
            &limits,
            password,
            Some(render),
        )?;
        let (Some(stdout), Some(stderr)) = (group.child.stdout.take(), group.child.stderr.take())
        else {
            return Err(ParseFailure::Unavailable("no pipes".to_owned()));
        };
        Ok(Self {
            group,
            stdout: BufReader::with_capacity(1 << 16, stdout),
            stderr: tokio::spawn(read_start(stderr)),
            wait: limits.wall(1),
            wanted: pages.iter().rev().copied().collect(),
        })
    }

    /// The next page that could be drawn; `None` after the last one.
    ///
    /// # Errors
    /// What the child says of the file, or what it died of. Nothing comes after that.
    pub async fn next(&mut self) -> Result<Option<Picture>, ParseFailure> {
        let next = timeout(self.wait, self.read_next()).await;
        let next = next.unwrap_or(Err(ParseFailure::TimedOut));
        if !matches!(next, Ok(Some(_))) {
            self.group.kill();
            let _ = self.group.child.wait().await;
            if let Ok(stderr) = (&mut self.stderr).await
                && !stderr.is_empty()
            {
                debug!(parse.stderr = %stderr.escape_debug(), "parser wrote to stderr");
            }
        }
        next
    }

    /// The pages after the last one that came, ascending.
    #[must_use]
    pub fn left(&self) -> Vec<u32> {
        self.wanted.iter().rev().copied().collect()
    }

    async fn read_next(&mut self) -> Result<Option<Picture>, ParseFailure> {
        let unusable = || ParseFailure::Crashed("unusable message".to_owned());
        let crashed = |error: std::io::Error| ParseFailure::Crashed(error.to_string());
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut start = (&mut self.stdout).take(LINE_BYTES_MAX);
            start.read_until(b'\n', &mut line).await.map_err(crashed)?;
            if line.is_empty() {
                return Err(ParseFailure::Crashed("stopped while drawing".to_owned()));
            }
            match serde_json::from_slice(&line).map_err(|_| unusable())? {
                Message::Opened { .. } => {}
                Message::Finished { .. } => return Ok(None),
                Message::Failed(failure) => return Err(failure),
                Message::Picture {
                    number,
                    width,
                    height,
                } => {
                    let size = width.checked_mul(height).filter(|&size| size <= PIXELS_MAX);
                    let at = self.wanted.iter().rposition(|&wanted| wanted == number);
                    let (Some(size @ 1..), Some(at)) = (size, at) else {
                        return Err(unusable());
                    };
                    // Pages that could not be drawn are passed over.
                    self.wanted.truncate(at);
                    let mut pixels = vec![0; size as usize];
                    self.stdout.read_exact(&mut pixels).await.map_err(crashed)?;
                    return Ok(Some(Picture {
                        number,
                        width,
                        height,
                        pixels,
                    }));
                }
                Message::Page(_) => return Err(unusable()),
            }
        }
    }
}
