//! Session, joined namespaces, the cgroup namespace. setns(2), unshare(2).

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;

use super::{Child, Done};
use crate::sys;
use crate::sys::clone::{CloneArgs, Cloned};

/// A session of its own: no controlling terminal of the caller's (CVE-2017-5226).
pub(super) fn new_session() -> Done {
    nix::unistd::setsid().map(|_| ())
}

/// Enters the container's group in each v1 hierarchy. A task moves itself at no cost; moved
/// by its parent, it would wait for an RCU grace period (5 to 14 ms). The kernel judges by
/// who opened the file (cgroups(7)).
pub(super) fn join_cgroup(files: &[OwnedFd]) -> Done {
    files.iter().try_for_each(|file| sys::file::write_all(file.as_fd(), b"0"))
}

/// Joins a namespace that the parent opened, or several of a process at once (setns(2) with
/// a pidfd, since Linux 5.8).
pub(super) fn join(fd: &OwnedFd, nstype: u64) -> Done {
    let bits = i32::try_from(nstype).map_err(|_too_wide| Errno::EINVAL)?;
    nix::sched::setns(fd.as_fd(), CloneFlags::from_bits_retain(bits))
}

/// After the parent attached the child by pid, so that the namespace's root is the
/// container's own cgroup (cgroup_namespaces(7)).
pub(super) fn unshare_cgroup() -> Done {
    nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP)
}

/// The next child is in a new time namespace, whose clocks are set before anybody is in it
/// (time_namespaces(7)). The host's /proc is still there.
pub(super) fn time_offsets(text: &CStr) -> Done {
    nix::sched::unshare(CloneFlags::from_bits_retain(TIME))?;
    let file =
        nix::fcntl::open(c"/proc/self/timens_offsets", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    sys::file::write_all(file.as_fd(), text.to_bytes())
}

/// CLONE_NEWTIME, which nix does not name.
const TIME: i32 = 0x80;

impl Child<'_> {
    /// In a joined user namespace: what is made new there belongs to it. The clone is a child of
    /// pinfold, too.
    pub(super) fn clone_again(&self, flags: u64) -> Done {
        let args = CloneArgs { flags: flags | sys::clone::CLONE_PARENT, ..CloneArgs::default() };
        match sys::clone::clone3(&args)? {
            Cloned::Child => Ok(()),
            Cloned::Parent { pid, .. } => {
                self.records.stage_cloned(pid.as_raw());
                sys::clone::exit_now(0)
            }
        }
    }

    /// A task never changes its own pid namespace: its child is born in the joined one,
    /// already weak, as a child of pinfold (CLONE_PARENT).
    pub(super) fn enter_pid_namespace(&self) -> Done {
        match sys::clone::fork_plain(sys::clone::CLONE_PARENT)? {
            None => Ok(()),
            Some(pid) => {
                self.records.main_started(pid);
                sys::clone::exit_now(0)
            }
        }
    }
}
