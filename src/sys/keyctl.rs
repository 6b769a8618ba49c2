//! keyctl(2): a session keyring of one's own. All \[child\].

use super::{Result, done, int};

// linux/keyctl.h
const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
const KEYCTL_SETPERM: i32 = 5;

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
