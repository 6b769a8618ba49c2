//! personality(2). \[child\]

use nix::errno::Errno;

use super::{Result, value};

/// The execution domain of 64-bit Linux (`linux/personality.h`).
pub const PER_LINUX: u32 = 0;
/// uname(2) shows a 32-bit machine (`linux/personality.h`).
pub const PER_LINUX32: u32 = 8;
/// Ask only (personality(2)).
pub const QUERY: u32 = u32::MAX;

/// \[child\] personality(2): sets the execution domain and returns the one before.
///
/// # Errors
/// EINVAL: a kernel that cannot.
pub fn personality(persona: u32) -> Result<u32> {
    // SAFETY: takes no memory.
    let before = value(unsafe { libc::syscall(libc::SYS_personality, libc::c_ulong::from(persona)) })?;
    u32::try_from(before).or(Err(Errno::EOVERFLOW))
}
