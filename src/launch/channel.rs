//! What connects parent and child: a socket for the meetings, a page for the records,
//! and a pipe whose end says that the program's own process has executed or ended.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::error::{Call, Result};
use crate::plan::Records;
use crate::timing;

/// Both ends, before the clone.
#[derive(Debug)]
pub struct Channel {
    /// The parent's end of the socket.
    pub parent: OwnedFd,
    /// The child's end of the socket.
    pub child: OwnedFd,
    /// The records.
    pub records: Records,
    /// The page behind the records, for `start`.
    pub page: OwnedFd,
    /// The parent's end of the pipe.
    pub started: OwnedFd,
    /// The child's end of the pipe: closed by execve.
    pub starting: OwnedFd,
}

impl Channel {
    /// Opens all of it.
    ///
    /// # Errors
    /// socketpair(2), memfd_create(2), pipe2(2).
    pub fn open() -> Result<Self> {
        let (parent, child) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .call("socketpair")?;
        let (records, page) = Records::create().call("memfd_create")?;
        if timing::is_on() {
            records.time_steps();
        }
        let (started, starting) = nix::unistd::pipe2(OFlag::O_CLOEXEC).call("pipe2")?;
        Ok(Self { parent, child, records, page, started, starting })
    }

    /// The descriptors that the child keeps.
    pub fn kept(&self) -> [u32; 3] {
        [&self.child, &self.page, &self.starting].map(|fd| fd.as_fd().as_raw_fd().cast_unsigned())
    }
}
