//! Reading directories and links, and copying files, without allocating. All \[child\].

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::{Result, count, uninterrupted};

/// Where `d_reclen` stands in `struct linux_dirent64` (getdents64(2)).
const LENGTH_AT: usize = 16;
/// Where `d_name` begins.
const NAME_AT: usize = 19;

/// \[child\] getdents64(2): fills `buffer` with whole entries; 0 is the end.
///
/// # Errors
/// EINVAL: `buffer` is too small for one entry. ENOENT: the directory was removed.
pub fn getdents64(directory: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    let raw = directory.as_raw_fd();
    // SAFETY: the kernel writes at most the length of `buffer`, which we hold.
    count(unsafe { libc::syscall(libc::SYS_getdents64, raw, buffer.as_mut_ptr(), buffer.len()) })
}

/// \[child\] The name of the first entry that [`getdents64`] wrote, and the entries after it.
pub fn dirent_name(entries: &[u8]) -> Option<(&CStr, &[u8])> {
    let length = entries.get(LENGTH_AT..LENGTH_AT + 2)?;
    let length = usize::from(u16::from_ne_bytes(length.try_into().ok()?));
    let name = CStr::from_bytes_until_nul(entries.get(NAME_AT..length)?).ok()?;
    Some((name, entries.get(length..)?))
}

/// \[child\] readlinkat(2) of the link that a descriptor is, with a NUL behind it.
///
/// # Errors
/// EINVAL: no link. ENAMETOOLONG: `buffer` is too small.
pub fn readlink_empty<'b>(link: BorrowedFd<'_>, buffer: &'b mut [u8]) -> Result<&'b CStr> {
    let (raw, empty) = (link.as_raw_fd(), c"".as_ptr());
    // SAFETY: the kernel reads a static string and writes at most the length of `buffer`.
    let length =
        count(unsafe { libc::syscall(libc::SYS_readlinkat, raw, empty, buffer.as_mut_ptr(), buffer.len()) })?;
    *buffer.get_mut(length).ok_or(Errno::ENAMETOOLONG)? = 0;
    CStr::from_bytes_until_nul(buffer).or(Err(Errno::EINVAL))
}

/// \[child\] sendfile(2) from the position of `from` to that of `to`; 0 is the end of the file.
///
/// # Errors
/// ENOSPC: no room. EINVAL: `from` is nothing that can be mapped.
pub fn sendfile(to: BorrowedFd<'_>, from: BorrowedFd<'_>) -> Result<usize> {
    // The most that one call moves (sendfile(2), NOTES).
    const MOST: usize = 0x7fff_f000;
    let (to, from) = (to.as_raw_fd(), from.as_raw_fd());
    let none = std::ptr::null_mut::<libc::off_t>();
    // SAFETY: without an offset the call takes no memory; both descriptors stay the caller's.
    uninterrupted(|| count(unsafe { libc::syscall(libc::SYS_sendfile, to, from, none, MOST) }))
}
