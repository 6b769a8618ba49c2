//! Who the program is: ids, groups, capabilities. credentials(7), capabilities(7).
//!
//! The order is the kernel's: PR_CAPBSET_DROP needs CAP_SETPCAP, so it comes before
//! setuid; setuid clears the ambient set, dumpable and PDEATHSIG, so these come after.

use std::ffi::CStr;

use nix::errno::Errno;

use super::{Child, Done};
use crate::sys::{self, caps::CapSets};

/// Highest capability number that a kernel could know (64 bit sets).
const CAPS: u8 = 64;

/// Root of the new user namespace, before any fresh filesystem is made: a tmpfs mounted
/// by an unmapped id answers EOVERFLOW to mkdir.
pub(super) fn become_root(setgroups: bool) -> Done {
    if setgroups {
        sys::ids::setgroups(&[])?;
    }
    sys::ids::setresgid(0)?;
    sys::ids::setresuid(0)
}

/// Drops every capability outside `keep` from the bounding set.
pub(super) fn drop_bounding(keep: u64) -> Done {
    for cap in (0..CAPS).filter(|cap| keep & (1 << cap) == 0) {
        match sys::caps::bounding_drop(cap) {
            // The first number that the kernel does not know.
            Err(Errno::EINVAL) if cap > 0 => return Ok(()),
            other => other?,
        }
    }
    Ok(())
}

/// Permitted, effective and inheritable at once, then the flag that kept them is
/// taken back.
pub(super) fn capabilities(sets: &CapSets) -> Done {
    sys::caps::capset(sets)?;
    sys::prctl::set_keepcaps(false)
}

/// Clears the ambient set and raises what was asked for.
pub(super) fn ambient(raise: u64) -> Done {
    sys::caps::ambient_clear_all()?;
    for cap in (0..CAPS).filter(|cap| raise & (1 << cap) != 0) {
        sys::caps::ambient_raise(cap)?;
    }
    Ok(())
}

/// stdin, stdout and stderr belong to the program's user, where pinfold may give them:
/// a terminal or a pipe that stays root's could not be reopened through /dev/stdout.
/// Only pipes and terminals: the owner of a regular file or a device of the host is not
/// the sandbox's to change (runc skips /dev/null for the same reason).
pub(super) fn chown_stdio(uid: u32, gid: u32) -> Done {
    for fd in [0, 1, 2] {
        let stdio = sys::file::borrow_stdio(fd);
        let Ok(stat) = sys::file::stat(stdio) else { continue };
        if !is_private_stream(stat.mode) || (stat.uid, stat.gid) == (uid, gid) {
            continue;
        }
        match sys::file::fchown(stdio, uid, gid) {
            // An id that this user namespace does not map, or a caller without the right.
            Err(Errno::EINVAL | Errno::EPERM | Errno::EROFS) => {}
            other => other?,
        }
    }
    Ok(())
}

fn is_private_stream(mode: u32) -> bool {
    mode & libc::S_IFMT == libc::S_IFIFO
}

/// The working directory, entered as the program's user.
pub(super) fn chdir(path: &CStr) -> Done {
    nix::unistd::chdir(path)
}

impl Child<'_> {
    /// As root first, as runc does: a directory that only root may enter is a working directory that
    /// configurations name. What root may not enter (root of a user namespace, NFS), the user may.
    pub(super) fn try_chdir(&mut self, path: &CStr) -> Done {
        match chdir(path) {
            Ok(()) => self.at_cwd = true,
            Err(Errno::EACCES | Errno::EPERM) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }
}

/// The raw getcwd(2) says "(unreachable)" when the directory lies outside the root: an
/// escape by a leaked descriptor (CVE-2024-21626).
pub(super) fn prove_cwd() -> Done {
    let mut buffer = [0_u8; 4096];
    match sys::file::getcwd_raw(&mut buffer)?.first() {
        Some(b'/') => Ok(()),
        _ => Err(Errno::EXDEV),
    }
}
