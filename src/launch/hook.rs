//! The hooks that run in the runtime's namespaces, and the words for one that failed,
//! whoever ran it. runtime-spec, config.md, "POSIX-platform Hooks".

use std::os::fd::BorrowedFd;

use nix::errno::Errno;

use crate::child::{HookRun, run_hook};
use crate::error::{Call, Context, Error, Kind, Result};
use crate::plan::{Hook, HookEnd, How, Records};
use crate::sys::{self, poll::POLLIN, poll::PollFd};

/// How often what an ended hook left behind is looked for again: each round ends at least
/// one process, and one that forks faster than this is not waited for.
const ROUNDS: usize = 1000;

/// Where a hook runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct HookPlace<'a> {
    /// The directory that it begins in, where it is not the caller's own.
    pub cwd: Option<BorrowedFd<'a>>,
    /// A signalfd: a signal that asks for the end ends the hook.
    pub interrupts: Option<BorrowedFd<'a>>,
}

/// Runs one hook to its end, with the state on its stdin.
///
/// # Errors
/// Kind `HookFailed`: it could not be executed, did not exit with 0, or its time was up.
pub fn run_runtime_hook(hook: &Hook, state: &str, place: &HookPlace<'_>) -> Result<()> {
    let (records, _page) = Records::create().call("memfd_create")?;
    let before = children()?;
    // What the hook's own session does not hold together becomes a child of this process.
    sys::prctl::set_child_subreaper(true).call("prctl")?;
    let ran = run_hook(&HookRun {
        hook,
        state: [state.as_bytes(), b"", b""],
        cwd: place.cwd,
        umask: None,
        filter: None,
        until: place.interrupts.map_or_else(PollFd::nothing, |signals| PollFd::new(signals, POLLIN)),
        records: &records,
    });
    let cleared = match ran {
        Err(Errno::ECANCELED) => end_orphans(&before),
        _ => Ok(()),
    };
    sys::prctl::set_child_subreaper(false).call("prctl")?;
    match ran {
        Ok(()) => Ok(()),
        Err(Errno::ECANCELED) => {
            cleared?;
            Err(failed_hook(&records, Some(hook)))
        }
        Err(errno) => Err(Error::call("run hook", errno).kind(Kind::HookFailed).field(field(hook))),
    }
}

fn field(hook: &Hook) -> String {
    format!("/hooks/{}/{}", hook.kind, hook.index)
}

/// Ends every child of this process that was not there before the hook: what it left behind.
fn end_orphans(before: &[i32]) -> Result<()> {
    for _ in 0..ROUNDS {
        let mut left = children()?;
        left.retain(|child| !before.contains(child));
        if left.is_empty() {
            return Ok(());
        }
        for child in left {
            match sys::signal::kill_raw(child, libc::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                other => other.call("kill")?,
            }
            sys::wait::wait4_rusage(child).call("wait4")?;
        }
    }
    Err(Error::new(Kind::HookFailed, "what the hook left behind does not end"))
}

/// The children of this process; none where the kernel keeps no such list (proc(5),
/// CONFIG_PROC_CHILDREN).
fn children() -> Result<Vec<i32>> {
    let own = nix::unistd::getpid();
    let path = format!("/proc/{own}/task/{own}/children");
    match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(vec![]),
        list => {
            let list = list.call("read").on(path)?;
            Ok(list.split_whitespace().filter_map(|word| word.parse().ok()).collect())
        }
    }
}

/// The error that the records tell of; without the hook at hand it is named by its place.
pub fn failed_hook(records: &Records, hook: Option<&Hook>) -> Error {
    match records.hook_end() {
        None => Error::new(Kind::HookFailed, "a hook ended without a word"),
        Some(end) => {
            let path = hook.map_or_else(|| "the hook".into(), |hook| hook.path.to_string_lossy());
            let timeout = hook.and_then(|hook| hook.timeout_ms);
            let text =
                format!("error running {} hook #{}: {}", end.kind, end.index, reason(&end, &path, timeout));
            Error::new(Kind::HookFailed, text).field(format!("/hooks/{}/{}", end.kind, end.index))
        }
    }
}

/// runc's words.
fn reason(end: &HookEnd, path: &str, timeout_ms: Option<u64>) -> String {
    let said = format!("stdout: {}, stderr: {}", end.out, end.err);
    match end.how {
        How::Exited(code) => format!("exit status {code}, {said}"),
        How::Signaled(signal) => format!("signal: {}, {said}", signal_text(signal)),
        How::TimedOut => {
            let time = timeout_ms.map_or_else(String::new, |ms| format!(" of {}.0s", ms / 1000));
            format!("hook ran past specified timeout{time}, {said}")
        }
        How::Interrupted => "the launch was ended while it ran".to_owned(),
        How::NotExecuted(errno) => format!("fork/exec {path}: {} ({errno:?})", errno.desc()),
    }
}

/// Go's words for the signals that end a process (syscall/zerrors_linux_amd64.go): callers of runc match them.
fn signal_text(signal: i32) -> String {
    let known = match signal {
        libc::SIGHUP => "hangup",
        libc::SIGINT => "interrupt",
        libc::SIGQUIT => "quit",
        libc::SIGILL => "illegal instruction",
        libc::SIGTRAP => "trace/breakpoint trap",
        libc::SIGABRT => "aborted",
        libc::SIGBUS => "bus error",
        libc::SIGFPE => "floating point exception",
        libc::SIGKILL => "killed",
        libc::SIGUSR1 => "user defined signal 1",
        libc::SIGSEGV => "segmentation fault",
        libc::SIGUSR2 => "user defined signal 2",
        libc::SIGPIPE => "broken pipe",
        libc::SIGALRM => "alarm clock",
        libc::SIGTERM => "terminated",
        libc::SIGSTKFLT => "stack fault",
        libc::SIGXCPU => "CPU time limit exceeded",
        libc::SIGXFSZ => "file size limit exceeded",
        libc::SIGVTALRM => "virtual timer expired",
        libc::SIGPROF => "profiling timer expired",
        libc::SIGIO => "I/O possible",
        libc::SIGPWR => "power failure",
        libc::SIGSYS => "bad system call",
        other => return format!("signal {other}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::HookKind;

    #[test]
    fn a_failure_has_runcs_words() {
        let of = |how| {
            let end = HookEnd { kind: HookKind::Poststop, index: 2, how, out: "o".into(), err: "e".into() };
            reason(&end, "/bin/h", Some(2000))
        };
        for (how, text) in [
            (How::Exited(3), "exit status 3, stdout: o, stderr: e"),
            (How::Signaled(libc::SIGKILL), "signal: killed, stdout: o, stderr: e"),
            (How::Signaled(libc::SIGSYS), "signal: bad system call, stdout: o, stderr: e"),
            (How::Signaled(40), "signal: signal 40, stdout: o, stderr: e"),
            (How::TimedOut, "hook ran past specified timeout of 2.0s, stdout: o, stderr: e"),
            (How::NotExecuted(Errno::ENOENT), "fork/exec /bin/h: No such file or directory (ENOENT)"),
        ] {
            assert_eq!(of(how), text);
        }
    }
}
