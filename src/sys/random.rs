//! getrandom(2), since Linux 3.17.

use super::{Result, count, uninterrupted};

/// \[child\] Fills `buffer` with random bytes; at most 256 bytes are never interrupted.
///
/// # Errors
/// ENOSYS: before 3.17.
pub fn fill(buffer: &mut [u8]) -> Result<()> {
    let filled = uninterrupted(|| {
        // SAFETY: the kernel writes at most `len` bytes to `buffer`, which outlives the call.
        count(unsafe { libc::syscall(libc::SYS_getrandom, buffer.as_mut_ptr(), buffer.len(), 0) })
    })?;
    match filled == buffer.len() {
        true => Ok(()),
        false => Err(nix::errno::Errno::EIO),
    }
}
