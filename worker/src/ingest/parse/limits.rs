//! The cage that the child puts itself into before it looks at the file: what reading it may cost.
//! `lock` closes the cage, when all that has to come from a file is inside.
//!
//! Priority stays as it is: with a niceness of 5, on a machine where twenty others ran, a file of 1.4 seconds of
//! processor time ran out of its 20 seconds; to fail for the machine's load is worse than to slow that down.
//!
//! It does so itself, after `exec`, since a hook between `fork` and `exec` would need unsafe code.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

use super::ParseLimits;

/// Address space for our binary, PDFium, the stack below and a small file.
/// Measured: a small file can be read within 96 MiB of it, 64 of them the stack; 38 ordinary files of up to
/// 117 pages peak at 31 MB resident. The rest is for fonts and pages that are worse.
const MEMORY_BYTES_BASE: u64 = 256 << 20;

/// lopdf keeps the file's objects beside the bytes, a repaired copy is a third, and PDFium decodes fonts and pages.
const MEMORY_PER_FILE_BYTE: u64 = 12;

/// Less than this and even a small file with large fonts fails.
const MEMORY_BYTES_MIN: u64 = 512 << 20;

/// What the program itself takes of it. One that is linked with libtorch maps several times as much before it begins,
/// most of it never read, which is no part of what a file may take.
const OWN_BYTES: u64 = 128 << 20;

/// stdin, stdout, stderr and the PDFium library while it is being loaded.
const OPEN_FILES_MAX: u64 = 32;

/// Bytes of addresses that this process has mapped, as far as they are more than so many.
fn mapped_beyond(bytes: u64) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let size = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix("kB"));
    let kib: u64 = size.and_then(|size| size.trim().parse().ok()).unwrap_or(0);
    (kib * 1024).saturating_sub(bytes)
}

/// Takes away everything that reading a file of `file_bytes` bytes doesn't need, and ties our life to the parent's.
///
/// # Errors
/// `ESRCH` when the parent was gone already, else what the kernel refused.
pub(super) fn confine(limits: &ParseLimits, file_bytes: u64, parent: Pid) -> nix::Result<()> {
    let memory = memory_bytes(limits, file_bytes) + mapped_beyond(OWN_BYTES);
    setrlimit(Resource::RLIMIT_AS, memory, memory)?;
    // The hard limit covers the longest document we accept; the soft one is raised when the pages are counted.
    setrlimit(
        Resource::RLIMIT_CPU,
        whole_seconds(limits.wall(0)),
        whole_seconds(limits.wall(limits.pages_max)) + 1,
    )?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES_MAX, OPEN_FILES_MAX)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_no_new_privs()?;
    // The kernel sends this when the thread that started us ends; runtime threads live as long as the worker.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // Nobody attaches a debugger or reads our memory and environment, which may hold a password.
    prctl::set_dumpable(false)?;
    // Asked after the death signal is armed: a parent that died before would have sent none.
    if getppid() == parent {
        Ok(())
    } else {
        Err(Errno::ESRCH)
    }
}

/// No further process or thread: called on the thread that does the work, once it runs.
/// (The kernel exempts root from this one.)
///
/// # Errors
/// What the kernel refused.
pub(super) fn forbid_processes() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_NPROC, 0, 0)
}

/// Gives the processor time that a document of `pages` pages may use.
///
/// # Errors
/// What the kernel refused.
pub(super) fn allow_time_for(limits: &ParseLimits, pages: u32) -> nix::Result<()> {
    setrlimit(
        Resource::RLIMIT_CPU,
        whole_seconds(limits.wall(pages)),
        whole_seconds(limits.wall(limits.pages_max)) + 1,
    )
}

fn memory_bytes(limits: &ParseLimits, file_bytes: u64) -> u64 {
    MEMORY_BYTES_BASE
        .saturating_add(file_bytes.saturating_mul(MEMORY_PER_FILE_BYTE))
        .max(MEMORY_BYTES_MIN)
        .min(limits.memory_bytes_max)
}

/// Rounded up: the kernel counts processor time in seconds and takes 0 for 1.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_the_file_between_a_floor_and_the_ceiling() {
        let limits = ParseLimits::default();
        assert_eq!(memory_bytes(&limits, 0), 512 << 20);
        assert_eq!(memory_bytes(&limits, 50 << 20), (256 + 600) << 20);
        assert_eq!(memory_bytes(&limits, u64::MAX), 2 << 30);
        let tight = ParseLimits {
            memory_bytes_max: 100 << 20,
            ..limits
        };
        assert_eq!(
            memory_bytes(&tight, 0),
            100 << 20,
            "the ceiling wins over the floor"
        );
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::from_millis(20_250)), 21);
        assert_eq!(whole_seconds(Duration::from_secs(20)), 20);
    }
}
