//! The cage that Tesseract runs in: our binary started again sets limits on itself and then becomes Tesseract.
//!
//! Tesseract and the libraries that it reads pictures with are C++ and C, and a scan is a stranger's picture.
//! What we hand it is grey pixels that we have drawn ourselves, so little can go wrong; the limits are for what does.
//! Where the kernel has Landlock, it reads programs, libraries and their data, writes nothing, and has no network.

use std::{
    ffi::CString,
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use nix::{
    errno::Errno,
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::Signal,
    },
    unistd::{Pid, execvp, getppid},
};
use serde::{Deserialize, Serialize};

use crate::ingest::parse::leave_only;

/// The argument after the program's name that makes our binary Tesseract: `main` must hand over to [`run_child`] when
/// it sees it, before it starts a runtime or reads its configuration.
pub const CHILD_COMMAND: &str = "ocr-child";

/// What ends a child whose program isn't there; shells use the same.
pub(super) const NOT_FOUND: u8 = 127;

/// stdin, stdout, stderr, libraries and data files, one after the other.
const OPEN_FILES_MAX: u64 = 32;

/// Where systems keep programs, libraries and their data.
const SYSTEM: [&str; 9] = [
    "/usr",
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/urandom",
];

/// Questions go first: recognising takes seconds a page, and nobody waits for one. A third of a processor's time is
/// left where all are busy.
const NICENESS: i32 = 5;

/// The child's only argument after [`CHILD_COMMAND`], as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Cage {
    /// The parent's process id, so that a child started for a parent already dead can tell.
    pub(super) parent: u32,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) memory_bytes_max: u64,
    pub(super) processor_seconds_max: u64,
}

/// Confines this process and makes it Tesseract; returns only when that fails.
pub fn run_child(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cage = arguments.next().and_then(|cage| cage.into_string().ok());
    let outcome = match cage.map(|cage| serde_json::from_str::<Cage>(&cage)) {
        Some(Ok(cage)) => confine(&cage).and_then(|()| become_program(&cage)),
        Some(Err(_)) | None => Err(Errno::EINVAL),
    };
    let Err(errno) = outcome;
    // Without a parent to read it, the exit code is all there is to say.
    let _ = writeln!(std::io::stderr(), "not started: {errno}");
    match errno {
        Errno::ENOENT | Errno::EACCES | Errno::ENOTDIR => ExitCode::from(NOT_FOUND),
        _ => ExitCode::FAILURE,
    }
}

fn confine(cage: &Cage) -> nix::Result<()> {
    setrlimit(
        Resource::RLIMIT_AS,
        cage.memory_bytes_max,
        cage.memory_bytes_max,
    )?;
    setrlimit(
        Resource::RLIMIT_CPU,
        cage.processor_seconds_max,
        cage.processor_seconds_max + 1,
    )?;
    // It writes to pipes alone, and with one thread it needs no process or thread besides.
    // (The kernel exempts root from the latter.)
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES_MAX, OPEN_FILES_MAX)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NPROC, 0, 0)?;
    let _ = rustix::process::nice(NICENESS);
    prctl::set_no_new_privs()?;
    // The kernel sends this when the thread that started us ends; it outlives the exec below.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // Asked after the death signal is armed: a parent that died before would have sent none.
    if getppid() != Pid::from_raw(cage.parent.cast_signed()) {
        return Err(Errno::ESRCH);
    }
    leave_only(&readable(&cage.program)).map_err(|_| Errno::EPERM)
}

/// What Tesseract needs: the system's programs, and what it was installed with if it stands elsewhere, as
/// /opt/tesseract/bin/tesseract does.
fn readable(program: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    if let Ok(program) = program.canonicalize() {
        let folder = program.parent().filter(|folder| folder.ends_with("bin"));
        let installed = folder.and_then(Path::parent);
        // Not everything, for a program in /bin.
        let installed = installed.filter(|path| path.parent().is_some());
        paths.extend(installed.map(Path::to_owned));
        paths.push(program);
    }
    paths
}

fn become_program(cage: &Cage) -> nix::Result<std::convert::Infallible> {
    let no_nul = |text: &[u8]| CString::new(text).map_err(|_| Errno::EINVAL);
    let program = no_nul(cage.program.as_os_str().as_encoded_bytes())?;
    let mut arguments = vec![program.clone()];
    for argument in &cage.arguments {
        arguments.push(no_nul(argument.as_bytes())?);
    }
    execvp(&program, &arguments)
}
