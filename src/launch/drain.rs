//! What the program wrote before its end still comes out, as long as somebody takes it.
//!
//! Everything inside has ended, so all of it lies in the pipes already. Nobody is waited
//! for who holds a writing end elsewhere: a program can hand its own over a socket
//! (unix(7), SCM_RIGHTS), and pinfold would never see the end of the stream.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::relay::Relay;
use crate::error::{Call, Result};
use crate::sys::{self, poll::POLLIN, poll::PollFd};

/// How long a reader that takes nothing is waited for after pinfold ended the program.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// What ends the wait for a slow reader.
pub(super) struct Until<'a> {
    /// A signalfd.
    pub signals: Option<BorrowedFd<'a>>,
    /// The caller's pidfd.
    pub caller: Option<BorrowedFd<'a>>,
    /// The end of the program's time.
    pub deadline: Option<Instant>,
    /// How long without any progress.
    pub patience: Option<Duration>,
}

/// How the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    /// Everything came out.
    All,
    /// This signal said to end.
    Signal(i32),
    /// The caller is gone.
    CallerGone,
    /// The time is up.
    Late,
    /// The reader takes nothing.
    Stuck,
}

/// Passes on what lies in the pipes.
///
/// # Errors
/// read(2), write(2), ppoll(2).
pub(super) fn drain<'r>(
    relays: impl IntoIterator<Item = &'r mut Relay>,
    until: &Until<'_>,
) -> Result<Drained> {
    let mut relays: Vec<&mut Relay> = relays.into_iter().collect();
    loop {
        for relay in &mut relays {
            relay.read_what_is_there().call("relay")?;
        }
        if relays.iter().all(|relay| relay.is_done()) {
            return Ok(Drained::All);
        }
        if let Some(ended) = wait(&mut relays, until)? {
            return Ok(ended);
        }
    }
}

/// One wait for room; what ended it, if it was not room.
fn wait(relays: &mut [&mut Relay], until: &Until<'_>) -> Result<Option<Drained>> {
    let left = until.deadline.map(|at| at.saturating_duration_since(Instant::now()));
    let timeout = match (left, until.patience) {
        (Some(left), Some(patience)) => Some(left.min(patience)),
        (left, patience) => left.or(patience),
    };
    let ready = {
        let caller = until.caller.map_or_else(PollFd::nothing, |caller| PollFd::new(caller, POLLIN));
        let signals = until.signals.map_or_else(PollFd::nothing, |signals| PollFd::new(signals, POLLIN));
        let mut watched = vec![signals, caller];
        watched.extend(relays.iter().map(|relay| relay.watch()));
        match sys::poll::ppoll(&mut watched, timeout.map(milliseconds)) {
            Ok(0) => return Ok(Some(if left == timeout { Drained::Late } else { Drained::Stuck })),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).call("ppoll"),
        }
        watched.iter().map(|watch| watch.revents() != 0).collect::<Vec<_>>()
    };
    let mut ready = ready.into_iter();
    let (signal, caller_gone) = (ready.next(), ready.next());
    for (relay, ready) in relays.iter_mut().zip(ready) {
        if ready {
            relay.turn().call("relay")?;
        }
    }
    if signal == Some(true)
        && let Some(signals) = until.signals
        && let Some(signal) = sys::signal::signalfd_read(signals).call("read signalfd")?
        && super::supervise::ends(signal)
    {
        return Ok(Some(Drained::Signal(signal)));
    }
    Ok((caller_gone == Some(true)).then_some(Drained::CallerGone))
}

/// For ppoll(2), rounded up: a round too early would spin.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, OwnedFd};

    use nix::fcntl::OFlag;

    use super::*;

    fn pipe() -> (OwnedFd, OwnedFd) {
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        sys::file::set_nonblocking(&read, true).unwrap();
        (read, write)
    }

    /// A signalfd of a signal that nobody sends here.
    fn quiet() -> OwnedFd {
        sys::signal::signalfd(&[libc::SIGWINCH]).unwrap()
    }

    fn until<'a>(signals: &'a OwnedFd, caller: Option<&'a OwnedFd>) -> Until<'a> {
        let patience = Some(Duration::from_millis(50));
        Until { signals: Some(signals.as_fd()), caller: caller.map(AsFd::as_fd), deadline: None, patience }
    }

    #[test]
    fn a_writing_end_that_was_passed_out_is_not_waited_for() {
        let (from, held_elsewhere) = pipe();
        let (out, to) = pipe();
        nix::unistd::write(&held_elsewhere, b"said").unwrap();
        let mut relay = Relay::new(from, to, None).unwrap();
        let signals = quiet();
        assert_eq!(drain([&mut relay], &until(&signals, None)).unwrap(), Drained::All);
        let mut said = [0; 8];
        assert_eq!(sys::file::read(out.as_fd(), &mut said), Ok(4));
    }

    #[test]
    fn a_reader_that_takes_nothing_is_given_up() {
        let (from, write) = pipe();
        let (_never_read, to) = pipe();
        let mut relay = Relay::new(from, to, None).unwrap();
        // More than the pipe behind holds: capacity is 64 KiB (pipe(7)).
        for _ in 0..3 {
            nix::unistd::write(&write, &[0; 60 << 10]).unwrap();
            relay.turn().unwrap();
            for _ in 0..16 {
                relay.turn().unwrap();
            }
        }
        let signals = quiet();
        assert_eq!(drain([&mut relay], &until(&signals, None)).unwrap(), Drained::Stuck);
        let late = Until { deadline: Some(Instant::now()), ..until(&signals, None) };
        assert_eq!(drain([&mut relay], &late).unwrap(), Drained::Late);
        // A readable pipe stands for a pidfd whose process has ended.
        let (gone, write) = pipe();
        nix::unistd::write(&write, b"x").unwrap();
        assert_eq!(drain([&mut relay], &until(&signals, Some(&gone))).unwrap(), Drained::CallerGone);
    }
}
