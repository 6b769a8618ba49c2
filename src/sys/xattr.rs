//! Extended attributes by descriptor: fsetxattr(2), fgetxattr(2), flistxattr(2).

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::{Result, count, done};

/// fsetxattr(2): creates the attribute or replaces its value.
///
/// # Errors
/// EPERM: the name space needs a capability, or has no attributes on this type of file.
/// EOPNOTSUPP: the filesystem has none. ENOSPC, EDQUOT, E2BIG. EINVAL: a NUL in the name.
pub fn fsetxattr(fd: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<()> {
    let name = CString::new(name).or(Err(Errno::EINVAL))?;
    let (raw, from, length) = (fd.as_raw_fd(), value.as_ptr(), value.len());
    // SAFETY: the kernel reads a string and `length` bytes, which live until the call returns.
    done(unsafe { libc::syscall(libc::SYS_fsetxattr, raw, name.as_ptr(), from, length, 0) })
}

/// fgetxattr(2): how many bytes of the value were written to `value`.
///
/// # Errors
/// ENODATA: there is none. ERANGE: `value` is too small. EOPNOTSUPP. EINVAL: a NUL in the name.
pub fn fgetxattr(fd: BorrowedFd<'_>, name: &[u8], value: &mut [u8]) -> Result<usize> {
    let name = CString::new(name).or(Err(Errno::EINVAL))?;
    let (raw, to, length) = (fd.as_raw_fd(), value.as_mut_ptr(), value.len());
    // SAFETY: the kernel reads a string and writes at most `length` bytes to `value`.
    count(unsafe { libc::syscall(libc::SYS_fgetxattr, raw, name.as_ptr(), to, length) })
}

/// flistxattr(2): how many bytes of names, each with a NUL behind it, were written to `names`.
///
/// # Errors
/// ERANGE: `names` is too small; XATTR_LIST_MAX is 64 KiB (xattr(7)). EOPNOTSUPP.
pub fn flistxattr(fd: BorrowedFd<'_>, names: &mut [u8]) -> Result<usize> {
    let (raw, to, length) = (fd.as_raw_fd(), names.as_mut_ptr(), names.len());
    // SAFETY: the kernel writes at most `length` bytes to `names`.
    count(unsafe { libc::syscall(libc::SYS_flistxattr, raw, to, length) })
}
