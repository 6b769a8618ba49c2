//! `--console-socket`: the pty's master is sent to whoever listens there (unix(7),
//! SCM_RIGHTS), with the terminal's name as runc sends it.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::error::{Call, Context, Result};
use crate::sys;

/// Connects and sends.
///
/// # Errors
/// Nobody listens; not a stream socket.
pub fn send(path: &Path, master: BorrowedFd<'_>) -> Result<()> {
    use std::os::fd::AsFd;
    let stream =
        socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).call("socket")?;
    let address = UnixAddr::new(path).call("connect").on(path.display())?;
    connect(stream.as_raw_fd(), &address).call("connect").on(path.display())?;
    sys::socket::send_fd(stream.as_fd(), b"/dev/ptmx", Some(master))
        .call("sendmsg")
        .on(path.display())
        .map(|_| ())
}
