//! Namespace files: ioctl_ns(2).

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Result, int};

/// `_IO(0xb7, 0x3)` (`linux/nsfs.h`), since Linux 4.11.
const NS_GET_NSTYPE: libc::c_ulong = 0xb703;

/// NS_GET_NSTYPE: the `CLONE_NEW*` bit of an open namespace.
///
/// # Errors
/// ENOTTY: not a namespace.
pub fn namespace_type(namespace: BorrowedFd<'_>) -> Result<u64> {
    // SAFETY: this ioctl takes no argument and touches no memory.
    let kind = int(unsafe { libc::syscall(libc::SYS_ioctl, namespace.as_raw_fd(), NS_GET_NSTYPE, 0) })?;
    Ok(u64::from(kind.cast_unsigned()))
}
