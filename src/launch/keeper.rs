//! The keeper: a process of pinfold's own beside a container that lives on without its launcher
//! and whose caller asked for an end in time, for bounded output or for a report.
//!
//! It waits for the program to be executed, counts its time and its output, ends everything when
//! either is used up, and tells how the container ended. Nothing of the container has a name for
//! it: it lies in its maker's cgroup and namespaces, in a session of its own, cannot be traced,
//! takes no signal but SIGKILL, and holds descriptors only: nothing that it does goes by a number
//! or a path that could be another's by then. It ends with the container, and before `delete` does.
//!
//! It is not the parent of the container's first process: who is reaps it at any time. So the
//! status is read from /proc while nobody has, and then from the pidfd (`PIDFD_INFO_EXIT`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::drain::{self, Until};
use super::relay::Relay;
use super::start::proc_directory;
use super::supervise::{Cause, Ended, Stream, counted, stream_relays};
use super::{Assembled, failed, watch};
use crate::cgroup::{Cgroup, Counters};
use crate::error::{Call, Context, Error, Result};
use crate::plan::Plan;
use crate::sys::poll::{POLLIN, PollFd, ppoll};
use crate::sys::{self, clone::Cloned};

/// How long a reader that takes nothing is waited for after the program has ended by itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// After how long the end is tried again.
const AGAIN_MS: u64 = 1000;

/// The keeper, seen from the launch. Dropped before it is released, it ends.
#[derive(Debug)]
pub struct Keeper {
    /// Its number here.
    pub pid: i32,
    pidfd: OwnedFd,
    released: bool,
}

/// Told how it ended, in the keeper's own process; an error where the program never ran.
pub type AtEnd<'a> = dyn FnMut(Result<(Ended, Counters)>) + 'a;

/// What a keeper is for.
pub struct Keeping<'a> {
    /// Time to run.
    pub timeout: Option<Duration>,
    /// Streams that are counted.
    pub streams: Vec<Stream>,
    /// The number of what `tell` needs, which stays open.
    pub target: Option<u32>,
    /// Told the end.
    pub tell: &'a mut AtEnd<'a>,
}

impl Keeper {
    /// Starts one, and waits until it is on watch: nothing of the program may run before.
    ///
    /// # Errors
    /// clone3(2); it ended at once.
    pub(super) fn start(
        plan: &Plan,
        child: &Assembled,
        cgroup: Option<&Cgroup>,
        keeping: Keeping<'_>,
    ) -> Result<Self> {
        let (ready, says_ready) = nix::unistd::pipe2(OFlag::O_CLOEXEC).call("pipe2")?;
        let Keeping { timeout, streams, target, tell } = keeping;
        let proc = proc_directory(child)?;
        let relays = stream_relays(streams)?;
        let watch = Watch { plan, child, cgroup, proc, relays, timeout, started: None, cause: None };
        let kept = watch::numbers(watch.descriptors().chain([says_ready.as_fd()]), target);
        match sys::clone::clone3(&sys::clone::CloneArgs::default()).call("clone3")? {
            Cloned::Parent { pid, pidfd } => {
                drop(says_ready);
                let keeper = Self { pid: pid.as_raw(), pidfd, released: false };
                watch::await_word(ready.as_fd())?;
                Ok(keeper)
            }
            Cloned::Child => {
                // Without a word the other side knows that it failed.
                let left = nix::unistd::chdir("/");
                if left.and_then(|()| watch::retire(c"pinfold-keeper", &kept, says_ready.as_fd())).is_ok() {
                    tell(watch.keep());
                }
                sys::clone::exit_now(0)
            }
        }
    }

    /// It lives on without the launch.
    pub fn release(&mut self) {
        self.released = true;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if !self.released {
            watch::end_own(self.pidfd.as_fd());
        }
    }
}

/// The keeper from within.
struct Watch<'a> {
    plan: &'a Plan,
    child: &'a Assembled,
    cgroup: Option<&'a Cgroup>,
    /// /proc/PID: it shows nothing once the process is reaped, whoever has its number then.
    proc: OwnedFd,
    relays: Vec<(usize, Relay)>,
    timeout: Option<Duration>,
    started: Option<Instant>,
    cause: Option<Cause>,
}

impl Watch<'_> {
    fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let own = [self.child.pidfd.as_fd(), self.child.started.as_fd(), self.proc.as_fd()];
        let groups = self.cgroup.into_iter().flat_map(Cgroup::descriptors);
        own.into_iter().chain(groups).chain(self.relays.iter().flat_map(|(_, relay)| relay.descriptors()))
    }

    /// Until the end. What goes wrong here ends the container too: its limits would be gone.
    fn keep(mut self) -> Result<(Ended, Counters)> {
        let watched = self.until_end();
        // What shares another's pid namespace would live on without its limits.
        watch::end_all(self.child.pidfd.as_fd(), self.cgroup);
        watched?;
        let main_status = self.status()?;
        self.drain()?;
        let after = self.cgroup.map_or_else(|| Ok(Counters::default()), Cgroup::counters)?;
        if !self.child.records.executed() {
            return Err(failed(self.plan, &self.child.records));
        }
        let wall = self.started.map_or(Duration::ZERO, |started| started.elapsed());
        let bytes = counted(&self.relays);
        Ok((Ended { cause: self.cause, main_status, bytes, rusage: None, wall }, after))
    }

    fn until_end(&mut self) -> Result<()> {
        while !self.turn()? {
            let up = self.deadline().is_some_and(|at| Instant::now() >= at);
            let over = self.relays.iter().any(|(_, relay)| relay.is_over());
            let cause = if over { Some(Cause::OutputLimit) } else { up.then_some(Cause::Timeout) };
            self.cause = self.cause.or(cause);
            if self.cause.is_some() {
                watch::end_all(self.child.pidfd.as_fd(), self.cgroup);
            }
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        self.started?.checked_add(self.timeout?)
    }

    /// One wait; true when the first process has ended.
    fn turn(&mut self) -> Result<bool> {
        let left = self.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let patience = match self.cause {
            Some(_) => Some(AGAIN_MS),
            None => left.map(drain::milliseconds),
        };
        let ready = {
            let unstarted = self.started.is_none();
            let started = unstarted.then(|| PollFd::new(self.child.started.as_fd(), POLLIN));
            let mut watched =
                vec![PollFd::new(self.child.pidfd.as_fd(), POLLIN), started.unwrap_or_else(PollFd::nothing)];
            watched.extend(self.relays.iter().map(|(_, relay)| relay.watch()));
            match ppoll(&mut watched, patience) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).call("ppoll"),
            }
            watched.iter().map(|watch| watch.revents() != 0).collect::<Vec<_>>()
        };
        let mut ready = ready.into_iter();
        let (ended, started) = (ready.next(), ready.next());
        for ((_, relay), ready) in self.relays.iter_mut().zip(ready) {
            if ready {
                relay.turn().call("relay")?;
            }
        }
        if started == Some(true) {
            self.started = Some(Instant::now());
        }
        Ok(ended == Some(true))
    }

    /// The wait(2) status of the first process, which has ended.
    fn status(&self) -> Result<Option<i32>> {
        let zombie = zombie_status(self.proc.as_fd())?;
        // Before Linux 6.15 only the zombie tells.
        Ok(zombie.or(sys::pidfd::pidfd_exit_status(self.child.pidfd.as_fd()).unwrap_or(None)))
    }

    /// What the program wrote before its end still comes out.
    fn drain(&mut self) -> Result<()> {
        let patience = self.cause.map_or(PATIENCE, |_| drain::PATIENCE);
        let deadline = self.deadline().filter(|_| self.cause.is_none());
        let until = Until { signals: None, caller: None, deadline, patience: Some(patience) };
        drain::drain(self.relays.iter_mut().map(|(_, relay)| relay), &until)?;
        let over = self.relays.iter().any(|(_, relay)| relay.is_over());
        self.cause = self.cause.or(over.then_some(Cause::OutputLimit));
        Ok(())
    }
}

/// What /proc/PID/stat says of a process that has ended and was not waited for (proc_pid_stat(5),
/// `exit_code`); `None` when it was.
fn zombie_status(proc: BorrowedFd<'_>) -> Result<Option<i32>> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let file = match nix::fcntl::openat(proc, "stat", flags, Mode::empty()) {
        Err(Errno::ESRCH | Errno::ENOENT) => return Ok(None),
        other => other.call("openat").on("/proc/PID/stat")?,
    };
    let mut line = [0_u8; 1024];
    let length = match sys::file::read(file.as_fd(), &mut line) {
        Err(Errno::ESRCH) => return Ok(None),
        other => other.call("read").on("/proc/PID/stat")?,
    };
    let line = line.get(..length).unwrap_or_default();
    // The name in parentheses is the program's choice and may hold parentheses itself.
    let end = line.iter().rposition(|byte| *byte == b')').unwrap_or_default();
    let rest = String::from_utf8_lossy(line.get(end + 1..).unwrap_or_default()).into_owned();
    let mut fields = rest.split_ascii_whitespace();
    match fields.next() {
        // The 52nd field, behind the third.
        Some("Z") => Ok(fields.nth(48).and_then(|word| word.parse().ok())),
        _ => Ok(None),
    }
}

/// Whether this kernel tells the status of a process that another one waited for: tried on a child.
///
/// # Errors
/// Linux before 6.15.
pub fn require_exit_status() -> Result<()> {
    let args = sys::clone::CloneArgs::default();
    let pidfd = match sys::clone::clone3(&args).call("clone3")? {
        Cloned::Child => sys::clone::exit_now(7),
        Cloned::Parent { pidfd, .. } => pidfd,
    };
    sys::wait::waitid_pidfd(pidfd.as_fd(), sys::wait::WEXITED).call("waitid")?;
    match sys::pidfd::pidfd_exit_status(pidfd.as_fd()) {
        Ok(Some(status)) if libc::WEXITSTATUS(status) == 7 => Ok(()),
        _ => Err(Error::setup("this kernel does not tell how a process ended that another waits for")
            .hint("a report of a container that lives on without its launcher needs Linux 6.15; `run` in the foreground has one on any")),
    }
}
