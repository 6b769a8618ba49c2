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
