//! A foreground launch from its start to its end: one poll loop over the child, the
//! signals, the caller, the clock and the streams. Nothing here has to survive: when
//! pinfold is killed, PDEATHSIG and the control socket end the sandbox.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::drain::{self, Drained, Until};
use super::relay::{Relay, own_stream};
use super::terminal::{self, RawMode};
use super::{Assembled, failed};
use crate::cgroup::Cgroup;
use crate::child::SIGNAL;
use crate::error::{Call, Result};
use crate::plan::{Plan, Step};
use crate::sys::{self, poll::PollFd};

/// What pinfold itself did to end the launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The time was up.
    Timeout,
    /// More output than may pass.
    OutputLimit,
    /// The process that started pinfold is gone.
    CallerDied,
    /// Somebody sent pinfold this signal.
    Killed(i32),
}

/// A stream of the program that pinfold reads: its pipe, and how much may pass.
#[derive(Debug)]
pub struct Stream {
    /// 1 or 2.
    pub number: u8,
    /// The read end of the program's pipe.
    pub pipe: OwnedFd,
    /// How many bytes may pass.
    pub limit: Option<u64>,
}

/// How to end.
#[derive(Debug, Default)]
pub struct Ending {
    /// Time to run.
    pub timeout: Option<Duration>,
    /// Time between SIGTERM and the end of everything.
    pub grace: Duration,
    /// The caller, when the launch ends with it.
    pub caller: Option<OwnedFd>,
    /// Streams that are read and counted.
    pub streams: Vec<Stream>,
    /// Closed when the program has executed, or ended.
    pub until_executed: Option<File>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// What pinfold did.
    pub cause: Option<Cause>,
    /// wait(2) status of the main program.
    pub main_status: Option<i32>,
    /// Bytes that came out of stdout and stderr, where they were counted.
    pub bytes: [Option<u64>; 2],
    /// CPU time and peak memory of the whole tree, as far as it was waited for.
    pub rusage: Option<sys::wait::Rusage>,
    /// From the start of the program.
    pub wall: Duration,
}

/// Signals that are passed on to the program.
const FORWARDED: [i32; 7] =
    [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH];

/// Signals that ask for the end.
pub(super) const ENDING: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];

/// Whether a signal asks for the end.
pub(super) fn ends(signal: i32) -> bool {
    ENDING.contains(&signal)
}

struct Supervisor<'a> {
    child: &'a Assembled,
    cgroup: Option<&'a Cgroup>,
    has_init: bool,
    ending: Ending,
    relays: Vec<(usize, Relay)>,
    cause: Option<Cause>,
    kill_at: Option<Instant>,
    started: Instant,
}

/// Blocks every signal and takes the forwarded ones as a descriptor. Before the clone: none
/// may get lost, and the init needs SIGCHLD blocked from its first moment.
///
/// # Errors
/// signalfd4(2).
pub fn signals() -> Result<OwnedFd> {
    sys::signal::block_all().call("rt_sigprocmask")?;
    sys::signal::signalfd(&FORWARDED).call("signalfd4")
}

/// Watches the child until it has ended and its streams are empty.
///
/// # Errors
/// A failure of the program's start, as recorded; system calls of the loop.
pub fn supervise(
    plan: &Plan,
    child: &Assembled,
    cgroup: Option<&Cgroup>,
    signals: &OwnedFd,
    mut ending: Ending,
) -> Result<Ended> {
    let has_init = plan.steps.iter().any(|planned| matches!(planned.step, Step::BecomeInit { .. }));
    let started = Instant::now();
    let relays = relays(child, &mut ending)?;
    let raw = match child.console {
        Some(_) => RawMode::enter()?,
        None => None,
    };
    let mut supervisor =
        Supervisor { child, cgroup, has_init, ending, relays, cause: None, kill_at: None, started };
    supervisor.resize()?;
    while !supervisor.turn(signals)? {}
    supervisor.drain(signals.as_fd())?;
    drop(raw);
    let ended = supervisor.end()?;
    match child.records.failure() {
        Some(_) => Err(failed(plan, &child.records)),
        None => Ok(ended),
    }
}

/// Index 0: terminal or stdin; 1 and 2: stdout, stderr.
fn relays(child: &Assembled, ending: &mut Ending) -> Result<Vec<(usize, Relay)>> {
    let mut relays = vec![];
    if let Some(master) = &child.console {
        // Nobody else holds this descriptor, so it may be made nonblocking: a program that does
        // not read what is typed must not hold pinfold up.
        sys::file::set_nonblocking(master, true).call("fcntl")?;
        let second = || sys::file::duplicate(master.as_fd()).call("fcntl");
        let (input, output) = (own_stream(0).call("fcntl")?, own_stream(1).call("fcntl")?);
        relays.push((0, Relay::new(input, second()?, None).call("fstat")?));
        relays.push((1, Relay::new(second()?, output, None).call("fstat")?));
    }
    relays.extend(stream_relays(std::mem::take(&mut ending.streams))?);
    Ok(relays)
}

/// What is read and counted, by its number, on its way to pinfold's own stream of that number.
///
/// # Errors
/// fcntl(2), fstat(2).
pub(super) fn stream_relays(streams: Vec<Stream>) -> Result<Vec<(usize, Relay)>> {
    let relay = |stream: Stream| {
        let to = own_stream(stream.number).call("fcntl")?;
        let relay = Relay::new(stream.pipe, to, stream.limit).call("fstat")?;
        Ok((usize::from(stream.number), relay))
    };
    streams.into_iter().map(relay).collect()
}

/// How much came out of stdout and stderr, where it was counted.
pub(super) fn counted(relays: &[(usize, Relay)]) -> [Option<u64>; 2] {
    [1, 2].map(|number| relays.iter().find(|(at, _)| *at == number).map(|(_, relay)| relay.count))
}

impl Supervisor<'_> {
    /// One round; true when the child has ended.
    fn turn(&mut self, signals: &OwnedFd) -> Result<bool> {
        let timeout = self.until_next();
        let ready = {
            let caller = self.ending.caller.as_ref();
            let mut watched = vec![
                PollFd::new(self.child.pidfd.as_fd(), sys::poll::POLLIN),
                PollFd::new(signals.as_fd(), sys::poll::POLLIN),
                caller.map_or_else(PollFd::nothing, |caller| PollFd::new(caller.as_fd(), sys::poll::POLLIN)),
                match self.ending.until_executed {
                    Some(_) => PollFd::new(self.child.started.as_fd(), sys::poll::POLLIN),
                    None => PollFd::nothing(),
                },
            ];
            watched.extend(self.relays.iter().map(|(_, relay)| relay.watch()));
            match sys::poll::ppoll(&mut watched, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).call("ppoll"),
            }
            watched.iter().map(|watch| watch.revents() != 0).collect::<Vec<_>>()
        };
        let mut ready = ready.into_iter();
        let (ended, signal, caller_gone, executed) = (ready.next(), ready.next(), ready.next(), ready.next());
        if executed == Some(true) {
            self.ending.until_executed = None;
        }
        for ((_, relay), ready) in self.relays.iter_mut().zip(ready) {
            if ready {
                relay.turn().call("relay")?;
            }
        }
        if signal == Some(true) {
            self.pass_on(signals.as_fd())?;
        }
        if caller_gone == Some(true) {
            self.ending.caller = None;
            self.kill_all(Cause::CallerDied)?;
        }
        self.check_limits()?;
        Ok(ended == Some(true))
    }

    fn until_next(&self) -> Option<u64> {
        let deadline = self.kill_at.or_else(|| self.deadline().filter(|_| self.cause.is_none()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up: a round too early would spin.
        Some(u64::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u64::MAX))
    }

    fn deadline(&self) -> Option<Instant> {
        self.started.checked_add(self.ending.timeout?)
    }

    fn check_limits(&mut self) -> Result<()> {
        if self.cause.is_none() && self.relays.iter().any(|(_, relay)| relay.is_over()) {
            self.kill_all(Cause::OutputLimit)?;
        }
        if self.kill_at.is_some_and(|at| Instant::now() >= at) {
            self.kill_at = None;
            return self.kill();
        }
        let up = self.ending.timeout.is_some_and(|timeout| self.started.elapsed() >= timeout);
        if up && self.cause.is_none() {
            self.cause = Some(Cause::Timeout);
            self.kill_at = Instant::now().checked_add(self.ending.grace);
            if !self.ending.grace.is_zero() {
                self.signal(libc::SIGTERM)?;
            }
        }
        Ok(())
    }

    /// One signal that pinfold was sent.
    fn pass_on(&mut self, signals: BorrowedFd<'_>) -> Result<()> {
        match sys::signal::signalfd_read(signals).call("read signalfd")? {
            Some(libc::SIGWINCH) => self.resize(),
            Some(signal) => {
                if ends(signal) && self.cause.is_none() {
                    self.cause = Some(Cause::Killed(signal));
                }
                self.signal(signal)
            }
            None => Ok(()),
        }
    }

    fn resize(&self) -> Result<()> {
        match &self.child.console {
            Some(master) => terminal::copy_size(master.as_fd()),
            None => Ok(()),
        }
    }

    /// To the program: through the init where there is one, which alone knows its pid inside.
    fn signal(&self, signal: i32) -> Result<()> {
        let number = u8::try_from(signal).unwrap_or(0);
        let sent = match self.has_init {
            true => sys::socket::send_fd(self.child.socket.as_fd(), &[SIGNAL, number], None).map(|_| ()),
            false => sys::pidfd::pidfd_send_signal(self.child.pidfd.as_fd(), signal),
        };
        match sent {
            Err(Errno::ESRCH | Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            other => other.call("signal"),
        }
    }

    fn kill_all(&mut self, cause: Cause) -> Result<()> {
        self.cause.get_or_insert(cause);
        self.kill()
    }

    /// The whole tree: the cgroup where there is one, and pid 1, with which the kernel
    /// ends its pid namespace.
    fn kill(&self) -> Result<()> {
        // Each of the two is tried, whatever the other came to.
        let tree = self.cgroup.map_or(Ok(()), Cgroup::kill);
        match sys::pidfd::pidfd_send_signal(self.child.pidfd.as_fd(), libc::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => tree,
            other => other.call("pidfd_send_signal"),
        }
    }

    /// What the program wrote before its end still comes out.
    fn drain(&mut self, signals: BorrowedFd<'_>) -> Result<()> {
        self.relays.retain(|(number, _)| *number != 0);
        let until = Until {
            signals: Some(signals),
            caller: self.ending.caller.as_ref().map(AsFd::as_fd),
            deadline: self.deadline().filter(|_| self.cause.is_none()),
            patience: self.cause.map(|_| drain::PATIENCE),
        };
        let cause = match drain::drain(self.relays.iter_mut().map(|(_, relay)| relay), &until)? {
            Drained::All | Drained::Stuck => None,
            Drained::Signal(signal) => Some(Cause::Killed(signal)),
            Drained::CallerGone => Some(Cause::CallerDied),
            Drained::Late => Some(Cause::Timeout),
        };
        let over = self.relays.iter().any(|(_, relay)| relay.is_over());
        self.cause = self.cause.or(cause).or(over.then_some(Cause::OutputLimit));
        Ok(())
    }

    fn end(&self) -> Result<Ended> {
        let (status, rusage) = sys::wait::wait4_rusage(self.child.pid).call("wait4")?;
        let main_status = match self.has_init {
            true => self.child.records.main_status(),
            false => Some(status),
        };
        let bytes = counted(&self.relays);
        Ok(Ended {
            cause: self.cause,
            main_status,
            bytes,
            rusage: Some(rusage),
            wall: self.started.elapsed(),
        })
    }
}
