//! The watcher: a process of pinfold's own beside a foreground launch, which ends the
//! container when pinfold is gone and could not do it.
//!
//! PDEATHSIG alone does not: the program may take it back (prctl(2), PR_SET_PDEATHSIG), and
//! there may be no init of ours inside. The watcher sleeps in one poll(2) on pinfold's pidfd.
//! Then it kills the container's first process, with which the kernel ends a pid namespace of
//! its own, and the cgroup, which reaches what shares the host's. On a proper end pinfold
//! kills and reaps it, when nothing is left to be watched.
//!
//! It lies in pinfold's own cgroup and namespaces, where the container has no name for it,
//! and in a session of its own, so that neither a terminal nor a signal to pinfold's process
//! group ends it. It holds three descriptors and those of the cgroup.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::Pid;

use crate::cgroup::Cgroup;
use crate::error::{Call, Error, Result};
use crate::plan::{Plan, Step};
use crate::sys::poll::{POLLIN, PollFd, ppoll};
use crate::sys::{self, clone::Cloned};

/// How often the end is tried, and after how long again: what can fail is for want of memory.
const ATTEMPTS: u32 = 50;
const BETWEEN_MS: u64 = 100;

/// The watcher, seen from pinfold. Dropped, it ends.
#[derive(Debug)]
pub struct Watcher {
    pidfd: OwnedFd,
    ready: OwnedFd,
}

/// Whether a launch needs one: it ends with pinfold, and no init of ours is inside, which
/// holds the control socket and ends with its other end.
pub(super) fn is_needed(plan: &Plan) -> bool {
    let has = |wanted: fn(&Step) -> bool| plan.steps.iter().any(|planned| wanted(&planned.step));
    has(|step| matches!(step, Step::DieWithParent)) && !has(|step| matches!(step, Step::BecomeInit { .. }))
}

impl Watcher {
    /// Starts one for the process behind `target`, and for all of `cgroup`.
    ///
    /// # Errors
    /// pidfd_open(2), pipe2(2), clone3(2).
    pub(super) fn start(target: BorrowedFd<'_>, cgroup: Option<&Cgroup>) -> Result<Self> {
        let pinfold = sys::pidfd::pidfd_open(Pid::this()).call("pidfd_open")?;
        let (ready, says_ready) = nix::unistd::pipe2(OFlag::O_CLOEXEC).call("pipe2")?;
        let held = Held::new(pinfold, target, cgroup, says_ready);
        // No exit signal: its end is nobody's news.
        let args = sys::clone::CloneArgs::default();
        match sys::clone::clone3(&args).call("clone3")? {
            Cloned::Parent { pidfd, .. } => Ok(Self { pidfd, ready }),
            Cloned::Child => {
                // Without a word the other side knows that it failed.
                if held.retire().is_ok() && held.wait().is_ok() {
                    end_all(held.target, held.cgroup);
                }
                sys::clone::exit_now(0)
            }
        }
    }

    /// Waits until it is on watch: nothing of the program may run before.
    ///
    /// # Errors
    /// It ended instead.
    pub(super) fn await_ready(&self) -> Result<()> {
        await_word(self.ready.as_fd())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        end_own(self.pidfd.as_fd());
    }
}

/// Waits for a process of pinfold's own to say that it is on watch.
///
/// # Errors
/// It ended instead.
pub(super) fn await_word(ready: BorrowedFd<'_>) -> Result<()> {
    let mut word = [0_u8; 1];
    match sys::file::read(ready, &mut word).call("read")? {
        1 => Ok(()),
        _ => Err(Error::setup("the process that ends the container did not start")
            .hint("it was killed, or the kernel lacks memory")),
    }
}

/// Ends a process of pinfold's own. One that cannot be signalled ends when pinfold does, and then finds
/// nothing left to end.
pub(super) fn end_own(pidfd: BorrowedFd<'_>) {
    let killed = sys::pidfd::pidfd_send_signal(pidfd, libc::SIGKILL);
    if !matches!(killed, Ok(()) | Err(Errno::ESRCH)) {
        return;
    }
    // Reaped here, or a subreaper above pinfold would get a child that it does not know.
    let reaped = sys::wait::waitid_pidfd(pidfd, sys::wait::WEXITED);
    debug_assert!(matches!(reaped, Ok(_) | Err(Errno::ECHILD)));
}

/// Out of reach of everything but SIGKILL by its own pid; then it says that it is on watch.
///
/// # Errors
/// setsid(2), prctl(2), close_range(2), write(2).
pub(super) fn retire(
    name: &CStr,
    kept: &[u32],
    says_ready: BorrowedFd<'_>,
) -> std::result::Result<(), Errno> {
    sys::signal::block_all()?;
    nix::unistd::setsid()?;
    sys::prctl::set_dumpable(false)?;
    sys::prctl::set_name(name)?;
    sys::close_range::close_gaps(kept)?;
    sys::file::write_all(says_ready, b"w")
}

/// Kills the container's first process and all of its cgroup.
pub(super) fn end_all(target: BorrowedFd<'_>, cgroup: Option<&Cgroup>) {
    for _ in 0..ATTEMPTS {
        let first = sys::pidfd::pidfd_send_signal(target, libc::SIGKILL);
        let tree = cgroup.map_or(Ok(()), Cgroup::kill);
        if matches!(first, Ok(()) | Err(Errno::ESRCH)) && tree.is_ok() {
            return;
        }
        if ppoll(&mut [], Some(BETWEEN_MS)).is_err() {
            return;
        }
    }
}

/// The numbers of descriptors, ascending, as [`retire`] needs them.
pub(super) fn numbers<'f>(
    descriptors: impl IntoIterator<Item = BorrowedFd<'f>>,
    more: Option<u32>,
) -> Vec<u32> {
    let descriptors = descriptors.into_iter().map(|fd| fd.as_raw_fd().cast_unsigned());
    let mut numbers: Vec<u32> = descriptors.chain(more).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// What the watcher holds, made before it is: until there is something to end, it does not
/// touch the heap.
struct Held<'a> {
    pinfold: OwnedFd,
    target: BorrowedFd<'a>,
    cgroup: Option<&'a Cgroup>,
    says_ready: OwnedFd,
    /// The numbers of all these, ascending.
    kept: Vec<u32>,
}

impl<'a> Held<'a> {
    fn new(
        pinfold: OwnedFd,
        target: BorrowedFd<'a>,
        cgroup: Option<&'a Cgroup>,
        says_ready: OwnedFd,
    ) -> Self {
        let own = [pinfold.as_fd(), target, says_ready.as_fd()];
        let groups = cgroup.into_iter().flat_map(Cgroup::descriptors);
        let kept = numbers(own.into_iter().chain(groups), None);
        Self { pinfold, target, cgroup, says_ready, kept }
    }

    fn retire(&self) -> std::result::Result<(), Errno> {
        retire(c"pinfold-watcher", &self.kept, self.says_ready.as_fd())
    }

    /// Until pinfold has ended.
    fn wait(&self) -> std::result::Result<(), Errno> {
        loop {
            let mut watched = [PollFd::new(self.pinfold.as_fd(), POLLIN)];
            match ppoll(&mut watched, None) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
    }
}
