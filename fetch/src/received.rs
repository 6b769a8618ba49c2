//! The only unsafe code of this program.
#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes a descriptor that recvmsg(2) has just made in this process.
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel installed it for this message; `talk` reads each message once.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
