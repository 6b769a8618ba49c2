//! Runs one hook to its end: by the parent for the hooks of the runtime's namespaces, by
//! the child for those of the container's. Nothing here allocates.
//!
//! The state comes on stdin as a sealed file in memory and not through a pipe: a hook that
//! never reads it holds nobody up, and one that closes it early ends nobody by SIGPIPE.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::{Child, Done, GAVE_UP, confine};
use crate::plan::{Hook, HookState, How, Records, Step, Stream};
use crate::sys::poll::{POLLIN, POLLRDHUP, PollFd, ppoll};
use crate::sys::{self, wait};

/// Most that is still taken from a stream when the hook has ended: what it left behind may
/// write on for ever.
const LAST_READS: usize = 16;
/// The umask of a hook that the child runs before it has the program's.
const UMASK: u32 = 0o022;
/// SECCOMP_FILTER_FLAG_NEW_LISTENER and WAIT_KILLABLE_RECV (linux/seccomp.h): only the
/// program's calls have a supervisor; in a hook they fail.
const LISTENER_FLAGS: u64 = 1 << 3 | 1 << 5;

/// Around one hook.
pub struct HookRun<'a> {
    /// The hook.
    pub hook: &'a Hook,
    /// The state, in pieces.
    pub state: [&'a [u8]; 3],
    /// The directory that it begins in, where it is not the caller's.
    pub cwd: Option<BorrowedFd<'a>>,
    /// umask(2), where it is not the caller's.
    pub umask: Option<u32>,
    /// Loaded in the hook's process before it is executed.
    pub filter: Option<(&'a [seccompiler::sock_filter], u64)>,
    /// What ends the hook when it becomes ready.
    pub until: PollFd<'a>,
    /// Where its end is recorded.
    pub records: &'a Records,
}

/// Runs it and records how it ended.
///
/// # Errors
/// ECANCELED: it did not exit with 0, the record says why. Others: it could not be begun.
pub fn run_hook(run: &HookRun<'_>) -> Result<(), Errno> {
    run.records.hook_begins();
    let input = sys::shared::sealed_file(c"pinfold-state", &run.state)?;
    let (out, hooks_out) = sys::file::pipe()?;
    let (err, hooks_err) = sys::file::pipe()?;
    let Some(pid) = sys::clone::fork_plain(0)? else {
        let errno = become_hook(run, [input.as_fd(), hooks_out.as_fd(), hooks_err.as_fd()]);
        run.records.hook_not_executed(errno);
        sys::clone::exit_now(GAVE_UP)
    };
    drop((input, hooks_out, hooks_err));
    let pidfd = sys::pidfd::pidfd_open(nix::unistd::Pid::from_raw(pid))?;
    let mut streams = [Some(out), Some(err)];
    let cut = watch(run, pidfd.as_fd(), &mut streams);
    if cut != Ok(None) {
        end_group(pid, pidfd.as_fd())?;
    }
    let cut = cut?;
    take_the_rest(run.records, &streams)?;
    let info = wait::waitid_pidfd(pidfd.as_fd(), wait::WEXITED)?.ok_or(Errno::ECHILD)?;
    let how = match (cut, run.records.hook_errno(), info.code) {
        (Some(cut), ..) => cut,
        (None, Some(errno), _) => How::NotExecuted(errno),
        (None, None, libc::CLD_EXITED) => How::Exited(info.status),
        (None, None, _) => How::Signaled(info.status),
    };
    run.records.hook_ended(run.hook, how);
    if how == How::Exited(0) { Ok(()) } else { Err(Errno::ECANCELED) }
}

/// In the process of the hook; returns only when something failed.
fn become_hook(run: &HookRun<'_>, streams: [BorrowedFd<'_>; 3]) -> Errno {
    match prepare_hook(run, streams) {
        Ok(()) => execute(run.hook),
        Err(errno) => errno,
    }
}

/// A judged hook is executed from its descriptor (execveat(2)), never again by its path. The
/// descriptor stays open for the hook: the interpreter of a script finds it as /dev/fd/3.
fn execute(hook: &Hook) -> Errno {
    match &hook.program {
        None => sys::exec::execve(&hook.path, &hook.argv, &hook.envp),
        Some(_) => {
            let program = sys::file::borrow_program();
            sys::exec::execveat(program, c"", &hook.argv, &hook.envp, libc::AT_EMPTY_PATH)
        }
    }
}

/// A session of its own, so that a timeout ends what the hook started, too; it ends with
/// whoever runs it. Nothing but its three streams is open (CVE-2024-21626).
fn prepare_hook(run: &HookRun<'_>, streams: [BorrowedFd<'_>; 3]) -> Done {
    nix::unistd::setsid()?;
    sys::prctl::set_pdeathsig(libc::SIGKILL)?;
    if let Some(cwd) = run.cwd {
        nix::unistd::fchdir(cwd)?;
    }
    if let Some(umask) = run.umask {
        sys::file::umask(umask)?;
    }
    for (number, stream) in (0..).zip(streams) {
        sys::file::dup_onto(stream, number)?;
    }
    match &run.hook.program {
        Some(program) => {
            sys::file::dup_as_program(program.as_fd())?;
            sys::close_range::close_gaps(&[0, 1, 2, sys::file::PROGRAM])?;
        }
        None => sys::close_range::close_gaps(&[0, 1, 2])?,
    }
    sys::signal::reset()?;
    match run.filter {
        Some((filter, flags)) => confine::seccomp(filter, flags & !LISTENER_FLAGS).map(drop),
        None => Ok(()),
    }
}

/// Until the hook has ended; why it has to be ended, if it did not end by itself.
fn watch(
    run: &HookRun<'_>,
    pidfd: BorrowedFd<'_>,
    streams: &mut [Option<OwnedFd>; 2],
) -> Result<Option<How>, Errno> {
    let end = run.hook.timeout_ms.map(|ms| sys::clock::monotonic_ms().saturating_add(ms));
    loop {
        let left = end.map(|end| end.saturating_sub(sys::clock::monotonic_ms()));
        if left == Some(0) {
            return Ok(Some(How::TimedOut));
        }
        let [ended, until, out, err] = {
            let [out, err] = &*streams;
            let mut watched = [PollFd::new(pidfd, POLLIN), run.until, readable(out), readable(err)];
            match ppoll(&mut watched, left) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
            watched.map(|one| one.revents() != 0)
        };
        for ((stream, which), ready) in streams.iter_mut().zip([Stream::Out, Stream::Err]).zip([out, err]) {
            if ready && !take(run.records, stream.as_ref(), which)? {
                *stream = None;
            }
        }
        match (ended, until) {
            (true, _) => return Ok(None),
            (false, true) => return Ok(Some(How::Interrupted)),
            (false, false) => {}
        }
    }
}

fn readable(stream: &Option<OwnedFd>) -> PollFd<'_> {
    stream.as_ref().map_or_else(PollFd::nothing, |stream| PollFd::new(stream.as_fd(), POLLIN))
}

/// One read; false at the end of the stream.
fn take(records: &Records, stream: Option<&OwnedFd>, which: Stream) -> Result<bool, Errno> {
    let Some(stream) = stream else { return Ok(false) };
    let mut buffer = [0_u8; 512];
    match sys::file::read(stream.as_fd(), &mut buffer) {
        Ok(0) => Ok(false),
        Ok(length) => {
            records.hook_said(which, buffer.get(..length).unwrap_or_default());
            Ok(true)
        }
        Err(Errno::EAGAIN) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// What the hook wrote before its end.
fn take_the_rest(records: &Records, streams: &[Option<OwnedFd>; 2]) -> Done {
    for (stream, which) in streams.iter().zip([Stream::Out, Stream::Err]) {
        for _ in 0..LAST_READS {
            if !take(records, stream.as_ref(), which)? {
                break;
            }
        }
    }
    Ok(())
}

/// Its process group and itself. It is not reaped yet, so the number is nobody else's.
fn end_group(pid: i32, pidfd: BorrowedFd<'_>) -> Done {
    let own = sys::pidfd::pidfd_send_signal(pidfd, libc::SIGKILL);
    for sent in [sys::signal::kill_raw(-pid, libc::SIGKILL), own] {
        match sent {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

impl Child<'_> {
    /// createContainer: the path is the runtime's, because the host's root is still this
    /// namespace's own; the process is in every namespace and the cgroup of the container.
    /// It begins in the new root, as with runc.
    pub(super) fn create_container_hook(&self, hook: &Hook, state: &HookState) -> Done {
        let mut digits = [0; DIGITS];
        let pid = decimal(sys::clone::own_pid(), &mut digits);
        run_hook(&HookRun {
            hook,
            state: [&state.head, pid, &state.tail],
            cwd: Some(self.root()?),
            umask: Some(UMASK),
            filter: None,
            until: PollFd::new(self.socket, POLLRDHUP),
            records: self.records,
        })
    }

    /// startContainer: a program of the image, so it gets what the container's own gets:
    /// ids, capabilities, limits, Landlock, and the filter that is loaded after the hooks.
    pub(super) fn start_container_hook(&self, hook: &Hook, state: &HookState) -> Done {
        let mut digits = [0; DIGITS];
        let pid = decimal(sys::clone::own_pid(), &mut digits);
        let filter = self.plan.steps.iter().find_map(|planned| match &planned.step {
            Step::LateSeccomp(filter, flags) => Some((filter.as_slice(), *flags)),
            _ => None,
        });
        run_hook(&HookRun {
            hook,
            state: [&state.head, pid, &state.tail],
            cwd: None,
            umask: None,
            filter,
            until: PollFd::nothing(),
            records: self.records,
        })
    }
}

/// Digits of the largest pid.
const DIGITS: usize = 10;

/// A number without a formatter, which might allocate.
fn decimal(number: i32, digits: &mut [u8; DIGITS]) -> &[u8] {
    let mut rest = number.unsigned_abs();
    let mut start = DIGITS;
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        start = place;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_is_written_as_it_is_read() {
        for number in [0, 1, 9, 10, 4_194_304, i32::MAX] {
            assert_eq!(decimal(number, &mut [0; DIGITS]), number.to_string().as_bytes());
        }
    }
}
