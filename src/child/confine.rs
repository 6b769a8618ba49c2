//! Sysctls, keyring, seccomp, Landlock.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};

use super::{Child, Done};
use crate::sys;

/// Writes one sysctl through a procfs that is made here and attached nowhere, so that
/// nothing in the container's tree can stand in its place (CVE-2025-52881).
pub(super) fn sysctl(key: &CStr, value: &CStr) -> Done {
    let context = sys::mount::fsopen(c"proc", sys::mount::FSOPEN_CLOEXEC)?;
    sys::mount::fsconfig_create(context.as_fd())?;
    let proc = sys::mount::fsmount(context.as_fd(), sys::mount::FSMOUNT_CLOEXEC, 0)?;
    let how = OpenHow::new().flags(OFlag::O_WRONLY | OFlag::O_CLOEXEC).resolve(
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV,
    );
    let file = nix::fcntl::openat2(proc.as_fd(), key, how)?;
    sys::file::write_all(file.as_fd(), value.to_bytes())
}

/// An own session keyring: the caller's keys stay out (keyrings(7)).
pub(super) fn session_keyring() -> Done {
    match sys::keyctl::join_session_keyring() {
        // A kernel without keyrings has none to leak.
        Err(Errno::ENOSYS) => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Tells a security module what to make of the program. Only this process may, through a file
/// that it opened itself (proc_pid_attr_write in the kernel's fs/proc/base.c); nothing may be mounted over it.
pub(super) fn exec_label(proc: BorrowedFd<'_>, file: &CStr, text: &CStr) -> Done {
    let how = OpenHow::new().flags(OFlag::O_WRONLY | OFlag::O_CLOEXEC).resolve(
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV,
    );
    let file = nix::fcntl::openat2(proc, file, how)?;
    sys::file::write_all(file.as_fd(), text.to_bytes())
}

/// Loads a filter that the parent compiled; its listener, where the flags ask for one.
pub(super) fn seccomp(filter: &[seccompiler::sock_filter], flags: u64) -> Result<Option<OwnedFd>, Errno> {
    sys::seccomp::seccomp_set_mode_filter(flags, filter)
}

impl Child<'_> {
    /// Loads a filter that the parent compiled. Its listener, where a rule asks a supervisor, is
    /// fetched by who waits at the other end: from here on write(2) and read(2) are all that is
    /// called until the supervisor has it, and then it may decide about any call.
    pub(super) fn seccomp(&self, filter: &[seccompiler::sock_filter], flags: u64) -> Done {
        match seccomp(filter, flags)? {
            None => Ok(()),
            Some(listener) => {
                let handed = self.hand_over(listener.as_fd());
                // Closed by execve; close(2) is one of the calls that may be asked about.
                std::mem::forget(listener);
                handed
            }
        }
    }
}

/// Adds the places that exist only here to the parent's ruleset and enforces it.
/// Last of the restrictions: a landlocked task can neither mount nor pivot.
pub(super) fn landlock(ruleset: &OwnedFd, rules: &[(CString, u64)], flags: u32) -> Done {
    for (path, access) in rules {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let place = match sys::openat2::openat2(nix::fcntl::AT_FDCWD, path.as_c_str(), how) {
            // A later mount covers it: no rule is no right.
            Err(Errno::ENOENT | Errno::ENOTDIR) => continue,
            place => place?,
        };
        let is_dir = sys::file::stat(place.as_fd())?.mode & libc::S_IFMT == libc::S_IFDIR;
        let granted = if is_dir { *access } else { *access & FILE_RIGHTS };
        sys::landlock::landlock_add_path_rule(ruleset.as_fd(), place.as_fd(), granted)?;
    }
    sys::landlock::landlock_restrict_self(ruleset.as_fd(), flags)
}

/// Rights that make sense for a single file: execute, write, read, truncate, ioctl_dev
/// (linux/landlock.h); the kernel answers EINVAL to the others.
const FILE_RIGHTS: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15;
