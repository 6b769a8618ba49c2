//! Trying things in a child: what cannot be read from a file must be done to be known.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::WaitPidFlag;

use crate::sys::clone::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS,
    CloneArgs, Cloned, clone3, exit_now,
};
use crate::sys::mount::{fsconfig_create, fsmount, fsopen};
use crate::sys::wait::waitid_pidfd;

/// `CLD_EXITED` (waitid(2)).
const EXITED: i32 = 1;

/// Whether clone3(2) makes a process at all.
pub(super) fn plain_child() -> Result<(), Errno> {
    in_child(0, || Ok(()))
}

/// Whether a new user namespace gives its first process the right to use it.
///
/// Under AppArmor's restriction (Ubuntu 23.10 and later) the namespace is made, but its
/// capabilities are not granted: only using one shows it.
pub(super) fn user_namespace() -> Result<(), Errno> {
    in_child(CLONE_NEWUSER, || unshare(CloneFlags::CLONE_NEWNS))
}

/// Whether all the namespaces of a sandbox can be made together, and a fresh procfs in them.
///
/// The kernel refuses a procfs to a user namespace that sees only a masked one
/// (`mount_too_revealing`): inside a container whose /proc has masked paths.
pub(super) fn nested_proc() -> Result<(), Errno> {
    let all = CLONE_NEWUSER
        | CLONE_NEWNS
        | CLONE_NEWPID
        | CLONE_NEWNET
        | CLONE_NEWIPC
        | CLONE_NEWUTS
        | CLONE_NEWCGROUP;
    in_child(all, || {
        let context = fsopen(c"proc", 0)?;
        fsconfig_create(context.as_fd())?;
        fsmount(context.as_fd(), 0, 0).map(drop)
    })
}

/// Runs `attempt` in a new process and brings its errno back as an exit code.
///
/// `attempt` runs between clone3 and _exit: it may neither allocate nor lock.
fn in_child(flags: u64, attempt: fn() -> Result<(), Errno>) -> Result<(), Errno> {
    match clone3(&CloneArgs { flags, exit_signal: libc::SIGCHLD, cgroup: None })? {
        Cloned::Child => exit_now(attempt().map_or_else(|errno| errno as i32, |()| 0)),
        Cloned::Parent { pidfd, .. } => {
            let ended = waitid_pidfd(pidfd.as_fd(), WaitPidFlag::WEXITED.bits())?.ok_or(Errno::ECHILD)?;
            match (ended.code, ended.status) {
                (EXITED, 0) => Ok(()),
                (EXITED, errno) => Err(Errno::from_raw(errno)),
                // A seccomp filter that kills denies as surely as one that says EPERM.
                _ => Err(Errno::EPERM),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_s_errno_comes_back() {
        assert_eq!(in_child(0, || Ok(())), Ok(()));
        assert_eq!(in_child(0, || Err(Errno::EXDEV)), Err(Errno::EXDEV));
        assert_eq!(in_child(0, || exit_now(0)), Ok(()));
    }

    #[test]
    fn a_child_that_is_killed_counts_as_denied() {
        let killed =
            in_child(0, || nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::SIGKILL));
        assert_eq!(killed, Err(Errno::EPERM));
    }
}
