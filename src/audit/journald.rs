//! A record as an entry of systemd's journal, by its native protocol: one datagram of fields,
//! each as its name, a newline, its length in eight bytes, and its bytes
//! (systemd.io/JOURNAL_NATIVE_PROTOCOL). Nothing in a value can begin a field.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::error::{Call, Context, Error, Result};
use crate::sys;
use crate::sys::poll::{POLLOUT, PollFd};

const SOCKET: &str = "/run/systemd/journal/socket";
/// A journal that does not read must not hold up the host.
const PATIENCE_MS: u64 = 5000;

/// Sends one entry.
///
/// # Errors
/// There is no journal, or it does not take it within five seconds.
pub fn send(fields: &[(&str, &str)]) -> Result<()> {
    transmit(&encoded(fields)).on(SOCKET)
}

fn encoded(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut entry = vec![];
    for (name, value) in fields {
        entry.extend_from_slice(name.as_bytes());
        entry.push(b'\n');
        entry.extend_from_slice(&u64::try_from(value.len()).unwrap_or(0).to_le_bytes());
        entry.extend_from_slice(value.as_bytes());
        entry.push(b'\n');
    }
    entry
}

/// The socket that was opened is the one that is connected to: root's, through no link.
fn transmit(entry: &[u8]) -> Result<()> {
    let resolve = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(resolve);
    let file = openat2(AT_FDCWD, SOCKET, how).call("openat2")?;
    let stat = sys::file::stat(file.as_fd()).call("fstat")?;
    if stat.mode & libc::S_IFMT != libc::S_IFSOCK || stat.uid != 0 {
        return Err(Error::setup("is no socket of root's"));
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let to = socket(AddressFamily::Unix, SockType::Datagram, flags, None).call("socket")?;
    let address = UnixAddr::new(format!("/proc/self/fd/{}", file.as_raw_fd()).as_str()).call("connect")?;
    connect(to.as_raw_fd(), &address).call("connect")?;
    let until = sys::clock::monotonic_ms().saturating_add(PATIENCE_MS);
    loop {
        match sys::socket::send_nowait(to.as_fd(), entry) {
            Err(Errno::EAGAIN) => {}
            Err(Errno::EINTR) => continue,
            other => return other.call("sendto").map(drop),
        }
        let left = until.saturating_sub(sys::clock::monotonic_ms());
        let mut watched = [PollFd::new(to.as_fd(), POLLOUT)];
        match sys::poll::ppoll(&mut watched, Some(left)) {
            _ if left == 0 => return Err(Error::call("sendto", Errno::ETIMEDOUT)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::call("ppoll", errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_begin_a_field() {
        assert_eq!(encoded(&[("A", "x\nB=y")]), b"A\n\x05\0\0\0\0\0\0\0x\nB=y\n");
    }
}
