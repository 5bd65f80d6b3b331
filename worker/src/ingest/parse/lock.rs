//! The lock on the cage: from here on no file can be opened, no connection made, no process started.
//!
//! `limits` bounds what reading a file may cost; this takes away what it could do, should a file take over its reader.
//! Two locks, each of which the kernel may lack: Landlock (no files, no TCP, no signals to others; Linux 5.13, and
//! the network from 6.7) and seccomp (few system calls). A child goes on with what there is; the worker says at its
//! start what that is.
//!
//! What must be loaded from a file is loaded before: PDFium. The document is an open file, and read after.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{env, thread};

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, Scope, path_beneath_rules,
};
use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

/// The newest Landlock whose rights we know; an older kernel enforces those that it has.
const LANDLOCK: ABI = ABI::V7;

/// Which locks are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locks {
    /// The version of Landlock that enforces, 0 for none. From 4 on it keeps TCP shut, from 6 on signals, too.
    pub landlock: u32,
    /// Whether system calls are filtered.
    pub seccomp: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("landlock failed")]
    Landlock(#[from] RulesetError),
    #[error("the filter of system calls is wrong")]
    Filter(#[from] BackendError),
    #[error("seccomp failed")]
    Seccomp(#[from] seccompiler::Error),
    #[error("no thread to try the locks on")]
    Thread(#[from] std::io::Error),
    #[error("trying the locks panicked")]
    Panicked,
}

/// Locks this thread in, and all that it starts from now on. There is no way back.
///
/// # Errors
/// When a lock that the kernel has doesn't close. One that it lacks is none.
pub(super) fn lock_in() -> Result<Locks, LockError> {
    Ok(Locks {
        landlock: forbid_files_and_network(LANDLOCK, &[])?,
        seccomp: forbid_other_calls()?,
    })
}

/// What `lock_in` gives on this machine. It is tried on a thread of its own, which ends locked in.
///
/// # Errors
/// As `lock_in`: parsers would fail likewise.
pub fn locks_here() -> Result<Locks, LockError> {
    let trial = thread::Builder::new()
        .name("locks".to_owned())
        .spawn(lock_in)?;
    trial.join().unwrap_or(Err(LockError::Panicked))
}

/// Leaves this thread, and all that it starts from now on, nothing to open but files at and beneath `readable`, which
/// may be read and executed: for programs that are not ours, and whose system calls nobody lists. Paths that don't exist
/// are left out.
///
/// # Errors
/// When Landlock is there and doesn't close. A kernel that lacks it is none.
pub(crate) fn leave_only(readable: &[PathBuf]) -> Result<(), LockError> {
    forbid_files_and_network(LANDLOCK, readable).map(drop)
}

/// No file but `readable` ones, no port. What is open already stays usable.
fn forbid_files_and_network(newest: ABI, readable: &[PathBuf]) -> Result<u32, LockError> {
    let mut rules = Ruleset::default().handle_access(AccessFs::from_all(newest))?;
    let network = AccessNet::from_all(newest);
    if !network.is_empty() {
        rules = rules.handle_access(network)?;
    }
    let scopes = Scope::from_all(newest);
    if !scopes.is_empty() {
        rules = rules.scope(scopes)?;
    }
    let readable = path_beneath_rules(readable, AccessFs::from_read(newest));
    let status = rules.create()?.add_rules(readable)?.restrict_self()?;
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi.min(newest) as u32,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    })
}

/// False where the kernel, or the container around us, has no seccomp.
fn forbid_other_calls() -> Result<bool, LockError> {
    match seccompiler::apply_filter(&filter()?) {
        Ok(()) => Ok(true),
        Err(seccompiler::Error::Seccomp(error))
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOSYS | libc::EINVAL | libc::EPERM)
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// A call that isn't listed fails with `ENOSYS`, as on a kernel that lacks it, rather than killing us: libraries try
/// calls and do without them (the C library starts threads by `clone3`, and by `clone` if there is none), and one that
/// learns a new call in an update must not end every document. Whoever breaks out of PDFium gains nothing by trying.
fn filter() -> Result<BpfProgram, LockError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALWAYS.iter().map(|&call| (call, vec![])).collect();
    let own_id = u64::from(std::process::id());
    let conditional = [
        // New code comes with the libraries, which are loaded; data never becomes code.
        (libc::SYS_mmap, vec![not(2, libc::PROT_EXEC)?]),
        (libc::SYS_mprotect, vec![not(2, libc::PROT_EXEC)?]),
        // Threads, but no processes.
        (libc::SYS_clone, vec![all(0, libc::CLONE_THREAD)?]),
        // A thread's name, and the C library's names for its memory; `PR_SET_DUMPABLE` stays as it is.
        (libc::SYS_prctl, vec![is(0, libc::PR_SET_NAME as u64)?]),
        (libc::SYS_prctl, vec![is(0, libc::PR_SET_VMA as u64)?]),
        // The limits may be read, and those set that `limits` sets later; root could raise the others.
        (libc::SYS_prlimit64, vec![is(0, 0)?, is(2, 0)?]),
        (
            libc::SYS_prlimit64,
            vec![is(0, 0)?, is(1, u64::from(libc::RLIMIT_CPU))?],
        ),
        (
            libc::SYS_prlimit64,
            vec![is(0, 0)?, is(1, u64::from(libc::RLIMIT_NPROC))?],
        ),
        // How `abort` ends us.
        (libc::SYS_tgkill, vec![is(0, own_id)?]),
    ];
    for (call, conditions) in conditional {
        let rule = SeccompRule::new(conditions)?;
        rules.entry(call).or_default().push(rule);
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::ENOSYS.cast_unsigned()),
        SeccompAction::Allow,
        env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}

/// Calls that take nothing from outside the process but what is open.
const ALWAYS: &[i64] = &[
    // The file, the messages and the last words.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Threads and their ends.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    // Signals, for the guard page of a stack.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Time, and the keys of hash tables.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
];

fn is(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)
}

fn not(argument: u8, bit: i32) -> Result<SeccompCondition, BackendError> {
    masked(argument, bit, 0)
}

fn all(argument: u8, bits: i32) -> Result<SeccompCondition, BackendError> {
    masked(argument, bits, bits)
}

fn masked(argument: u8, mask: i32, value: i32) -> Result<SeccompCondition, BackendError> {
    let bits = |number: i32| u64::from(number.cast_unsigned());
    SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(bits(mask)),
        bits(value),
    )
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    use nix::sys::signal::kill;
    use nix::unistd::{execv, getppid};

    use super::*;

    /// What a thief would try. Each of it succeeds where nothing is locked.
    fn attempts() -> [(&'static str, bool); 10] {
        let limit = Resource::RLIMIT_NOFILE;
        [
            ("read a file", File::open("/etc/passwd").is_ok()),
            ("list a folder", fs::read_dir("/").is_ok()),
            ("write a file", tempfile::tempfile().is_ok()),
            ("listen", TcpListener::bind("127.0.0.1:0").is_ok()),
            ("connect", connects()),
            ("send a datagram", UdpSocket::bind("127.0.0.1:0").is_ok()),
            ("a socket", UnixStream::pair().is_ok()),
            ("a process", Command::new("/bin/true").status().is_ok()),
            ("a signal", kill(getppid(), None).is_ok()),
            (
                "a limit",
                getrlimit(limit)
                    .and_then(|(soft, hard)| setrlimit(limit, soft, hard))
                    .is_ok(),
            ),
        ]
    }

    /// To somebody who listens, or refused by a port where nobody does: that, too, is the network.
    fn connects() -> bool {
        match TcpStream::connect("127.0.0.1:1") {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        }
    }

    /// What still succeeds on a thread behind `lock`, and what `lock` said.
    fn behind<T: Send>(lock: impl FnOnce() -> T + Send) -> (T, Vec<&'static str>) {
        let left = || {
            let said = lock();
            let left = attempts().into_iter().filter(|(_, succeeds)| *succeeds);
            (said, left.map(|(what, _)| what).collect())
        };
        thread::scope(|scope| scope.spawn(left).join().unwrap())
    }

    /// Makes the kernel seem to lack `calls`, for this thread and what it starts.
    fn without(calls: &[i64]) {
        let rules = calls.iter().map(|&call| (call, vec![])).collect();
        let filter: BpfProgram = SeccompFilter::new(
            rules,
            SeccompAction::Allow,
            SeccompAction::Errno(libc::ENOSYS.cast_unsigned()),
            env::consts::ARCH.try_into().unwrap(),
        )
        .unwrap()
        .try_into()
        .unwrap();
        seccompiler::apply_filter(&filter).unwrap();
    }

    const LANDLOCK_CALLS: [i64; 3] = [
        libc::SYS_landlock_create_ruleset,
        libc::SYS_landlock_add_rule,
        libc::SYS_landlock_restrict_self,
    ];

    #[test]
    fn what_a_thief_would_try_works_outside_and_nothing_of_it_behind_the_locks() {
        let (_, outside) = behind(|| ());
        assert_eq!(outside, attempts().map(|(what, _)| what));
        let (locks, inside) = behind(|| lock_in().unwrap());
        assert!(locks.seccomp);
        assert_eq!(inside, [""; 0]);
    }

    #[test]
    fn each_lock_holds_without_the_other() {
        let (_, left) = behind(|| forbid_other_calls().unwrap());
        assert_eq!(left, [""; 0], "behind seccomp alone");

        let (version, left) = behind(|| forbid_files_and_network(LANDLOCK, &[]).unwrap());
        let mut expected = attempts().map(|(what, _)| what).to_vec();
        let closes = |lock: u32, what: &[&str], expected: &mut Vec<&str>| {
            if version >= lock {
                expected.retain(|attempt| !what.contains(attempt));
            }
        };
        let files = ["read a file", "list a folder", "write a file", "a process"];
        closes(1, &files, &mut expected);
        closes(4, &["listen", "connect"], &mut expected);
        closes(6, &["a signal"], &mut expected);
        assert_eq!(left, expected, "behind Landlock {version} alone");
    }

    #[test]
    fn a_lock_that_the_kernel_lacks_is_left_out_and_said_to_be() {
        let (locks, left) = behind(|| {
            without(&LANDLOCK_CALLS);
            lock_in().unwrap()
        });
        let seccomp_alone = Locks {
            landlock: 0,
            seccomp: true,
        };
        assert_eq!((locks, left.as_slice()), (seccomp_alone, &[][..]));

        let (locks, left) = behind(|| {
            without(&[&LANDLOCK_CALLS[..], &[libc::SYS_seccomp]].concat());
            lock_in().unwrap()
        });
        let none = Locks {
            landlock: 0,
            seccomp: false,
        };
        assert_eq!(locks, none);
        assert_eq!(left, attempts().map(|(what, _)| what));
    }

    #[test]
    fn an_old_landlock_closes_what_it_knows() {
        let (version, left) = behind(|| forbid_files_and_network(ABI::V1, &[]).unwrap());
        assert_eq!(version.min(1), version);
        assert_eq!(left.contains(&"read a file"), version == 0);
        assert!(left.contains(&"connect"));
    }

    #[test]
    fn no_other_program_takes_our_place() {
        // If it did, the test would be that program, and end as that does.
        let (refusal, _) = behind(|| {
            lock_in().unwrap();
            execv(c"/bin/false", &[c"false"])
        });
        assert!(refusal.is_err());
    }

    #[test]
    fn trying_the_locks_leaves_the_process_as_it_was() {
        let locks = locks_here().unwrap();
        assert!(locks.seccomp);
        assert!(File::open("/etc/passwd").is_ok());
    }
}
