//! The listener of a filter travels from the process that it confines to its supervisor
//! (config-linux.md "Seccomp": what cannot be sent is an error).
//!
//! Nothing but write(2) and read(2) is asked of the process once the filter is in force, as with
//! runc: the descriptor is fetched from it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::error::{Call, Context, Error, Result};
use crate::plan::{Agent, Meeting};
use crate::sys;
use crate::sys::poll::{POLLIN, PollFd};

const FIELD: &str = "/linux/seccomp/listenerPath";

/// How long somebody who listens may let callers wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// unix(7) has no word for room in the other's queue, so it is asked for again.
const AGAIN_MS: u64 = 10;

/// The child's word that its filter is in force, with the number of the listener.
pub const LISTENER_WORD: usize = 5;

/// The number of the listener, if this is that word.
pub fn listener_number(word: &[u8]) -> Option<i32> {
    match word {
        [kind, number @ ..] if *kind == Meeting::Listener as u8 => {
            number.try_into().ok().map(i32::from_le_bytes)
        }
        _ => None,
    }
}

/// Fetches the listener from the process and sends it on.
///
/// # Errors
/// Nobody listens at the path, or this caller may not reach into the process.
pub fn hand_over(
    agent: &Agent,
    (pid, pidfd): (i32, BorrowedFd<'_>),
    number: i32,
    interrupts: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let listener = sys::pidfd::pidfd_getfd(pidfd, number).call("pidfd_getfd").at(FIELD)?;
    let message = agent.message(pid);
    send(&agent.path, message.as_bytes(), listener.as_fd(), interrupts).at(FIELD).map_err(unreachable)
}

/// Whether somebody can listen there at all: known at `create`, before anything is made.
///
/// # Errors
/// No such socket.
pub fn check(agent: &Agent) -> Result<()> {
    open_socket(&agent.path).on(agent.path.display()).at(FIELD).map(drop).map_err(unreachable)
}

/// runc's words, which callers match.
fn unreachable(error: Error) -> Error {
    error.hint("failed to connect with seccomp agent: start the supervisor before the container")
}

/// Sends bytes with a descriptor to a stream socket. Who listens and takes nobody holds pinfold up for a time,
/// which `interrupts` can end.
///
/// # Errors
/// Nobody listens there, or takes what is sent; not a stream socket.
pub fn send(path: &Path, bytes: &[u8], fd: BorrowedFd<'_>, interrupts: Option<BorrowedFd<'_>>) -> Result<()> {
    let _as_caller = sys::caller::as_caller().call("setresuid")?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let stream = socket(AddressFamily::Unix, SockType::Stream, flags, None).call("socket")?;
    let listening = open_socket(path).on(path.display())?;
    // sun_path holds 108 bytes (unix(7)); and what was opened is what is connected to.
    let name = format!("/proc/self/fd/{}", listening.as_raw_fd());
    let address = UnixAddr::new(name.as_str()).call("connect")?;
    let patience = Patience { until: Instant::now() + PATIENCE, interrupts };
    patience.of("connect", || connect(stream.as_raw_fd(), &address)).on(path.display())?;
    let mut sent = 0;
    while let Some(rest @ [_, ..]) = bytes.get(sent..) {
        let fd = (sent == 0).then_some(fd);
        let sending = || sys::socket::send_fd(stream.as_fd(), rest, fd);
        sent += patience.of("sendmsg", sending).on(path.display())?;
    }
    Ok(())
}

/// For a call that says EAGAIN until the other side has room.
struct Patience<'a> {
    until: Instant,
    interrupts: Option<BorrowedFd<'a>>,
}

impl Patience<'_> {
    fn of<T>(&self, call: &str, mut act: impl FnMut() -> nix::Result<T>) -> Result<T> {
        loop {
            match act() {
                Err(Errno::EAGAIN) if Instant::now() < self.until => self.pause()?,
                Err(Errno::EAGAIN) => {
                    let hint = format!("who listens there took nothing in {} seconds", PATIENCE.as_secs());
                    return Err(Error::call(call, Errno::EAGAIN).hint(hint));
                }
                Err(Errno::EINTR) => {}
                done => return done.call(call),
            }
        }
    }

    fn pause(&self) -> Result<()> {
        let mut watched = [self.interrupts.map_or(PollFd::nothing(), |fd| PollFd::new(fd, POLLIN))];
        match sys::poll::ppoll(&mut watched, Some(AGAIN_MS)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).call("ppoll"),
        }
        let [interrupt] = watched;
        match interrupt.readable() {
            true => Err(Error::setup("ended by a signal while it waited for the socket's listener")),
            false => Ok(()),
        }
    }
}

/// Never through a link that somebody planted in the socket's place.
fn open_socket(path: &Path) -> Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let _as_caller = sys::caller::as_caller().call("setresuid")?;
    let opened = nix::fcntl::openat2(nix::fcntl::AT_FDCWD, path, how).call("openat2")?;
    match sys::file::stat(opened.as_fd()).call("fstat")?.mode & libc::S_IFMT {
        libc::S_IFSOCK => Ok(opened),
        _ => Err(Error::call("connect", Errno::ENOTSOCK)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_tells_the_number() {
        let word = [Meeting::Listener as u8, 7, 1, 0, 0];
        assert_eq!(listener_number(&word), Some(263));
        assert_eq!(listener_number(&word[..4]), None);
        assert_eq!(listener_number(&[Meeting::Check as u8]), None);
    }
}
