//! keyctl(2): a session keyring of one's own. All \[child\].

use super::{Result, count, done, int};

// linux/keyctl.h
const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
const KEYCTL_SETPERM: i32 = 5;
const KEYCTL_DESCRIBE: i32 = 6;
const KEY_SPEC_SESSION_KEYRING: i32 = -3;

/// \[child\] KEYCTL_JOIN_SESSION_KEYRING with no name: a new, anonymous session keyring; its
/// id comes back. The caller's keys are no longer reached through the session.
///
/// # Errors
/// ENOSYS: the kernel has no keyrings, or a filter hides them. EDQUOT: the user's quota of
/// keys (`/proc/sys/kernel/keys`). ENOMEM.
pub fn join_session_keyring() -> Result<i32> {
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: a NULL name is allowed.
    int(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, anonymous) })
}

/// \[child\] KEYCTL_SETPERM: the permission mask of a key or keyring (keyrings(7)).
///
/// # Errors
/// EACCES: not the owner, or no `setattr` permission. ENOKEY: no such key.
pub fn keyctl_setperm(key: i32, mask: u32) -> Result<()> {
    // SAFETY: takes no memory.
    done(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, key, mask) })
}

/// KEYCTL_JOIN_SESSION_KEYRING by name: a session keyring that can be told by it in /proc/keys.
///
/// # Errors
/// As [`join_session_keyring`].
pub fn join_named_keyring(name: &std::ffi::CStr) -> Result<i32> {
    // SAFETY: the name is terminated by a zero and outlives the call, which only reads it.
    int(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) })
}

/// KEYCTL_DESCRIBE of the session keyring: type, ids, permissions, name (keyctl_describe(3)).
///
/// # Errors
/// As [`join_session_keyring`]; EACCES: it may not be seen.
pub fn describe_session_keyring(buffer: &mut [u8]) -> Result<usize> {
    let (start, size) = (buffer.as_mut_ptr(), buffer.len());
    // SAFETY: the kernel writes at most `size` bytes into the buffer, which outlives the call.
    count(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, start, size) })
}
