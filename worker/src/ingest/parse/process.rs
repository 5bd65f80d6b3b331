//! The parent's half: starts the child, reads its messages within the limits, and makes sure that it is gone.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use lectern_shared::media::MediaType;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::protocol::{Message, PASSWORD_VARIABLE, Render, Task};
use super::{CHILD_COMMAND, PageProgress, ParseFailure, ParseLimits, ParsedDocument};

/// Enough for a panic message or an allocator's last words.
const STDERR_BYTES_MAX: u64 = 4096;

/// Between the end of a crashed child's output and its exit status.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn run(
    mut file: File,
    media_type: MediaType,
    program: &Path,
    pdfium: &Path,
    limits: &ParseLimits,
    password: Option<&str>,
    on_page: &mut (dyn FnMut(PageProgress) + Send),
) -> Result<ParsedDocument, ParseFailure> {
    let bytes = file.metadata().map_err(unavailable)?.len();
    if bytes == 0 {
        return Err(ParseFailure::Empty);
    }
    if bytes > limits.file_bytes_max {
        return Err(ParseFailure::TooBig {
            bytes,
            max: limits.file_bytes_max,
        });
    }
    file.seek(SeekFrom::Start(0)).map_err(unavailable)?;

    let deadline = Instant::now() + limits.wall(0);
    let mut group =
        ProcessGroup::parser(file, media_type, program, pdfium, limits, password, None)?;
    let stdout = group
        .child
        .stdout
        .take()
        .ok_or_else(|| unavailable("no stdout"))?;
    let stderr = group
        .child
        .stderr
        .take()
        .ok_or_else(|| unavailable("no stderr"))?;

    let (ending, stderr) = tokio::join!(
        async {
            let ending = read_messages(stdout, limits, deadline, on_page).await;
            match &ending {
                // A dying child has yet to leave its exit status, which tells what it died of.
                Err(Ending::Silence) => {
                    let _ = timeout(EXIT_TIMEOUT, group.child.wait()).await;
                }
                Ok(_) | Err(Ending::Failed(_)) => {}
            }
            // All we want to know is known; this also closes its stderr, if a bad child clings to life.
            group.kill();
            ending
        },
        read_start(stderr),
    );
    let status = group.child.wait().await.map_err(unavailable)?;
    if !stderr.is_empty() {
        debug!(parse.stderr = %stderr.escape_debug(), "parser wrote to stderr");
    }
    ending.map_err(|ending| match ending {
        Ending::Failed(failure) => failure,
        Ending::Silence => cause_of_death(status, &stderr),
    })
}

/// The child and whatever it might have started; killed when this is dropped before the child was waited for.
/// tokio then reaps the child (`kill_on_drop`), so no zombie stays.
pub(in crate::ingest) struct ProcessGroup {
    pub(in crate::ingest) child: Child,
}

impl ProcessGroup {
    /// Our binary as `parse-child`, with `file` as its standard input.
    pub(super) fn parser(
        file: File,
        media_type: MediaType,
        program: &Path,
        pdfium: &Path,
        limits: &ParseLimits,
        password: Option<&str>,
        render: Option<Render>,
    ) -> Result<Self, ParseFailure> {
        let task = Task {
            media_type,
            pdfium: pdfium.to_owned(),
            parent: std::process::id(),
            limits: limits.clone(),
            render,
        };
        let mut command = Command::new(program);
        command
            .arg(CHILD_COMMAND)
            .arg(serde_json::to_string(&task).map_err(unavailable)?)
            // Our environment has the keys of the database and of the blob store.
            .env_clear()
            .stdin(Stdio::from(file));
        if let Some(password) = password {
            command.env(PASSWORD_VARIABLE, password);
        }
        Self::start(command).map_err(unavailable)
    }

    /// Starts a command as the leader of a group of its own, with pipes for what it writes.
    ///
    /// # Errors
    /// When it can't be started.
    pub(in crate::ingest) fn start(mut command: Command) -> std::io::Result<Self> {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child })
    }

    /// Does nothing once the child was waited for: its id may belong to somebody else by then.
    pub(in crate::ingest) fn kill(&self) {
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            // The child leads its group, so the group's id is its own. A failure means that it is gone.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Why the messages ended without a document.
pub(super) enum Ending {
    Failed(ParseFailure),
    /// The child closed its stdout in the middle: it crashed or was killed.
    Silence,
}

pub(super) async fn read_messages(
    stdout: impl AsyncRead + Unpin,
    limits: &ParseLimits,
    mut deadline: Instant,
    on_page: &mut (dyn FnMut(PageProgress) + Send),
) -> Result<ParsedDocument, Ending> {
    let fail = |failure| Err(Ending::Failed(failure));
    let unusable = || fail(ParseFailure::Crashed("unusable message".to_owned()));
    let start = Instant::now();
    // One byte more than allowed, to tell "all of it" from "too much".
    let mut stdout = BufReader::new(stdout.take(limits.output_bytes_max.saturating_add(1)));
    let mut document = ParsedDocument::default();
    let mut total = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        match timeout_at(deadline, stdout.read_until(b'\n', &mut line)).await {
            Err(_) => return fail(ParseFailure::TimedOut),
            Ok(Err(error)) => return fail(ParseFailure::Crashed(error.to_string())),
            Ok(Ok(_)) => {}
        }
        if stdout.get_ref().limit() == 0 {
            return fail(ParseFailure::OutputTooBig {
                max: limits.output_bytes_max,
            });
        }
        if !line.ends_with(b"\n") {
            return Err(Ending::Silence);
        }
        match (serde_json::from_slice::<Message>(&line), total) {
            (Ok(message), _) if !message.is_storable() => return unusable(),
            (Ok(Message::Opened { pages, title }), None)
                if (1..=limits.pages_max).contains(&pages) =>
            {
                total = Some(pages);
                document.title = title;
                deadline = start + limits.wall(pages);
            }
            (Ok(Message::Page(page)), Some(total)) => {
                let follows = document
                    .pages
                    .last()
                    .is_none_or(|last| last.number < page.number);
                if !follows || !(1..=total).contains(&page.number) || !page.is_sound() {
                    return unusable();
                }
                let done = page.number;
                document.pages.push(page);
                on_page(PageProgress { done, total });
            }
            (Ok(Message::Finished { notes }), Some(_)) => {
                document.notes = notes;
                return Ok(document);
            }
            (Ok(Message::Failed(failure)), _) => return fail(failure),
            _ => return unusable(),
        }
    }
}

/// The start of a stream as text; the rest is read too, and dropped, so that the writer never waits for us.
pub(in crate::ingest) async fn read_start(mut stream: impl AsyncRead + Unpin) -> String {
    let mut start = Vec::new();
    // A pipe that fails to read has nothing more to say.
    let _ = (&mut stream)
        .take(STDERR_BYTES_MAX)
        .read_to_end(&mut start)
        .await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&start).into_owned()
}

/// What the exit status of a child that said nothing means.
fn cause_of_death(status: ExitStatus, stderr: &str) -> ParseFailure {
    let crashed = |what: &str| ParseFailure::Crashed(what.to_owned());
    match status.signal().map(Signal::try_from) {
        Some(Ok(Signal::SIGXCPU)) => ParseFailure::TimedOut,
        // Not ours: we kill after a verdict only. The kernel's out-of-memory killer is what remains.
        Some(Ok(Signal::SIGKILL)) => ParseFailure::MemoryExceeded,
        Some(Ok(Signal::SIGABRT)) if stderr.contains("overflowed its stack") => {
            crashed("stack overflow")
        }
        // Rust and C++ say so when an allocation fails, PDFium aborts without a word.
        Some(Ok(Signal::SIGABRT))
            if stderr.is_empty()
                || stderr.contains("memory allocation")
                || stderr.contains("bad_alloc") =>
        {
            ParseFailure::MemoryExceeded
        }
        Some(Ok(signal)) => crashed(signal.as_str()),
        Some(Err(_)) => crashed("unknown signal"),
        None => ParseFailure::Crashed(format!("exit code {}", status.code().unwrap_or(-1))),
    }
}

fn unavailable(error: impl ToString) -> ParseFailure {
    ParseFailure::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(messages: &str) -> Result<ParsedDocument, Option<ParseFailure>> {
        let limits = ParseLimits {
            output_bytes_max: 1000,
            pages_max: 10,
            ..ParseLimits::default()
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        read_messages(messages.as_bytes(), &limits, deadline, &mut |_| {})
            .await
            .map_err(|ending| match ending {
                Ending::Failed(failure) => Some(failure),
                Ending::Silence => None,
            })
    }

    const OPENED: &str = "{\"opened\":{\"pages\":2,\"title\":null}}\n";
    const PAGE: &str = "{\"page\":{\"number\":2,\"text\":\"x\",\"headings\":[]}}\n";

    #[tokio::test]
    async fn pages_are_returned_when_the_child_finishes_in_order() {
        let document = read(&format!(
            "{OPENED}{PAGE}{{\"finished\":{{\"notes\":[\"n\"]}}}}\n"
        ))
        .await
        .unwrap();
        assert_eq!((document.pages.len(), document.notes.len()), (1, 1));
    }

    #[tokio::test]
    async fn a_child_that_stops_talking_is_told_from_one_that_talks_nonsense() {
        assert_eq!(read("").await, Err(None));
        assert_eq!(read(OPENED).await, Err(None));
        assert_eq!(read(&PAGE[..10]).await, Err(None));
        let unusable = Err(Some(ParseFailure::Crashed("unusable message".to_owned())));
        assert_eq!(read("hello\n").await, unusable);
        assert_eq!(read(PAGE).await, unusable, "a page before the opening");
        assert_eq!(
            read(&format!("{OPENED}{OPENED}")).await,
            unusable,
            "opened twice"
        );
        assert_eq!(
            read(&format!("{OPENED}{PAGE}{PAGE}")).await,
            unusable,
            "a page twice"
        );
        assert_eq!(
            read(&OPENED.replace('2', "11")).await,
            unusable,
            "more pages than allowed"
        );
        let title = OPENED.replace("null", "\"a\\u0000b\"");
        assert_eq!(read(&title).await, unusable, "a NUL in the title");
        let note = format!("{OPENED}{{\"finished\":{{\"notes\":[\"a\\u0000b\"]}}}}\n");
        assert_eq!(read(&note).await, unusable, "a NUL in a note");
    }

    #[tokio::test]
    async fn output_past_the_limit_is_refused() {
        let long = format!("{OPENED}{}", PAGE.replace('x', &"x".repeat(2000)));
        assert_eq!(
            read(&long).await,
            Err(Some(ParseFailure::OutputTooBig { max: 1000 }))
        );
    }

    #[test]
    fn the_exit_status_tells_what_a_child_died_of() {
        let died = |signal: Signal, stderr: &str| {
            cause_of_death(ExitStatus::from_raw(signal as i32), stderr)
        };
        assert_eq!(died(Signal::SIGXCPU, ""), ParseFailure::TimedOut);
        assert_eq!(died(Signal::SIGABRT, ""), ParseFailure::MemoryExceeded);
        let overflow = "thread 'parse' has overflowed its stack";
        assert_eq!(
            died(Signal::SIGABRT, overflow),
            ParseFailure::Crashed("stack overflow".to_owned())
        );
        assert_eq!(
            died(Signal::SIGSEGV, ""),
            ParseFailure::Crashed("SIGSEGV".to_owned())
        );
        assert_eq!(
            cause_of_death(ExitStatus::from_raw(256), ""),
            ParseFailure::Crashed("exit code 1".to_owned())
        );
    }
}
