//! close_range(2), since Linux 5.9.

use super::{Result, done};

/// Unshare the descriptor table first (`linux/close_range.h`).
pub const CLOSE_RANGE_UNSHARE: u32 = 2;
/// Set close-on-exec instead of closing, since 5.11 (`linux/close_range.h`).
pub const CLOSE_RANGE_CLOEXEC: u32 = 4;

/// \[child\] close_range(2): closes `first..=last`, open or not. With `flags` 0 the caller
/// knows that it owns no descriptor in the range any more.
///
/// # Errors
/// EINVAL: `first` above `last`, or an unknown flag. ENOSYS: before 5.9.
pub fn close_range(first: u32, last: u32, flags: u32) -> Result<()> {
    // SAFETY: takes no memory; owners of descriptors in the range are the caller's concern,
    // the child calls this when it has none left.
    done(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) })
}

/// \[child\] Closes every descriptor that is not in `keep`, which is ascending. The three
/// standard streams stay only if they are named.
///
/// # Errors
/// As [`close_range`].
pub fn close_gaps(keep: &[u32]) -> Result<()> {
    let mut first = 0;
    for kept in keep {
        if *kept > first {
            close_range(first, kept - 1, 0)?;
        }
        first = kept.saturating_add(1);
    }
    close_range(first, u32::MAX, 0)
}
