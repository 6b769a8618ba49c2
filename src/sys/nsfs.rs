//! Namespace files: ioctl_ns(2).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::{Result, descriptor, int};

/// `_IO(0xb7, 0x1)`, since Linux 4.9.
const NS_GET_USERNS: libc::c_ulong = 0xb701;
/// `_IO(0xb7, 0x2)`, since Linux 4.9.
const NS_GET_PARENT: libc::c_ulong = 0xb702;

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

/// The number of the namespace that a link of /proc/PID/ns names, as `st_ino` has it: namespaces(7). To follow the
/// link would make the kernel an inode for it.
///
/// # Errors
/// Of readlinkat(2). EPROTO: no such link.
pub fn linked(directory: impl AsFd, link: &str) -> Result<u64> {
    let text = nix::fcntl::readlinkat(directory, link)?;
    let number = text.to_str().and_then(|text| text.split_once(":[")?.1.strip_suffix(']')?.parse().ok());
    number.ok_or(Errno::EPROTO)
}

/// NS_GET_USERNS: the user namespace that owns a namespace.
///
/// # Errors
/// EPERM: it is not the caller's own or below it.
pub fn owner(namespace: BorrowedFd<'_>) -> Result<OwnedFd> {
    relative(namespace, NS_GET_USERNS)
}

/// NS_GET_PARENT: the user or pid namespace above one.
///
/// # Errors
/// EPERM: there is none, or the caller cannot see it. EINVAL: another kind of namespace.
pub fn parent(namespace: BorrowedFd<'_>) -> Result<OwnedFd> {
    relative(namespace, NS_GET_PARENT)
}

fn relative(namespace: BorrowedFd<'_>, request: libc::c_ulong) -> Result<OwnedFd> {
    // SAFETY: these take no argument; they return a descriptor that is ours, close-on-exec.
    unsafe { descriptor(libc::syscall(libc::SYS_ioctl, namespace.as_raw_fd(), request, 0)) }
}
