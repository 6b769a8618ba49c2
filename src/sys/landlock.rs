//! landlock(7), since Linux 5.13: what the child needs of a ruleset that the parent made
//! with the `landlock` crate. All \[child\].

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::{Result, done, value};

/// `linux/landlock.h`
const LANDLOCK_CREATE_RULESET_VERSION: u32 = 1;
const LANDLOCK_RULE_PATH_BENEATH: u32 = 1;

/// `struct landlock_path_beneath_attr`, packed in `linux/landlock.h`.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// \[child\] landlock_restrict_self(2): puts the calling thread under the ruleset for good.
///
/// # Errors
/// EPERM: neither no_new_privs nor CAP_SYS_ADMIN. E2BIG: 16 layers already. EBADFD: not a
/// ruleset. EINVAL: a flag this kernel does not know (flags are of ABI 7).
pub fn landlock_restrict_self(ruleset: BorrowedFd<'_>, flags: u32) -> Result<()> {
    // SAFETY: takes no memory; the descriptor stays the caller's.
    done(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), flags) })
}

/// \[child\] landlock_add_rule(2) for the tree below `parent` (any O_PATH descriptor).
///
/// # Errors
/// EINVAL: `access` has a right that the ruleset does not handle, or a directory's right
/// for a file. ENOMSG: no right. EBADFD: `parent` is no path.
pub fn landlock_add_path_rule(ruleset: BorrowedFd<'_>, parent: BorrowedFd<'_>, access: u64) -> Result<()> {
    let rule = PathBeneath { allowed_access: access, parent_fd: parent.as_raw_fd() };
    let (ruleset, kind) = (ruleset.as_raw_fd(), LANDLOCK_RULE_PATH_BENEATH);
    // SAFETY: the kernel reads one packed `PathBeneath`; both descriptors stay the caller's.
    done(unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, kind, &raw const rule, 0) })
}

/// \[child\] The Landlock ABI version (landlock_create_ruleset(2)).
///
/// # Errors
/// ENOSYS: not built. EOPNOTSUPP: not enabled at boot.
pub fn landlock_abi() -> Result<u32> {
    let (no_attr, no_size) = (std::ptr::null::<u8>(), 0_usize);
    let flags = LANDLOCK_CREATE_RULESET_VERSION;
    // SAFETY: with this flag the attribute is NULL, and no descriptor is made.
    let version =
        value(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, no_attr, no_size, flags) })?;
    u32::try_from(version).or(Err(Errno::EOVERFLOW))
}
