//! renameat2(2), since Linux 3.15: nix has it for glibc alone.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Result, done};

/// \[child\] renameat2(2) with RENAME_NOREPLACE: what has the new name already stays.
///
/// # Errors
/// EEXIST: there is one. EXDEV: another filesystem. EINVAL: the filesystem cannot.
pub fn rename_noreplace(
    old_dir: BorrowedFd<'_>,
    old: &CStr,
    new_dir: BorrowedFd<'_>,
    new: &CStr,
) -> Result<()> {
    let (old_dir, new_dir) = (old_dir.as_raw_fd(), new_dir.as_raw_fd());
    let flags = libc::RENAME_NOREPLACE;
    // SAFETY: the kernel reads two strings; both descriptors stay the caller's.
    done(unsafe { libc::syscall(libc::SYS_renameat2, old_dir, old.as_ptr(), new_dir, new.as_ptr(), flags) })
}

/// renameat2(2) with RENAME_EXCHANGE: two names of this process change places at once.
///
/// # Errors
/// ENOENT: one of them is not there. EINVAL: the filesystem cannot, or one lies below the other.
pub fn rename_exchange(one: &CStr, other: &CStr) -> Result<()> {
    let (here, flags) = (libc::AT_FDCWD, libc::RENAME_EXCHANGE);
    // SAFETY: the kernel reads two strings.
    done(unsafe { libc::syscall(libc::SYS_renameat2, here, one.as_ptr(), here, other.as_ptr(), flags) })
}
