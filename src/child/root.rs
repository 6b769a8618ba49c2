//! Attaching the new root, pivoting into it, closing what does not belong inside.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};

use super::{Child, Done, mounts, overlay};
use crate::plan::{Reopened, RootFrom, Step};
use crate::sys::{self, mount};

impl Child<'_> {
    /// Attaches the root on top of this namespace's own `/`: no path of the host is
    /// needed as a mount point, and pivot_root(2) wants a mount point.
    ///
    /// `attrs` are for all of it, read-only for what came with it from below: the root
    /// itself takes mount points until it turns read-only in a step of its own.
    ///
    /// `onto`: where hooks look at it before the pivot, it lies on its own directory instead.
    pub(super) fn attach_root(&mut self, from: &RootFrom, attrs: u64, onto: Option<&Reopened>) -> Done {
        let old = match onto {
            Some(directory) => mounts::same_object(directory)?,
            None => own_root()?,
        };
        let tree = match from {
            RootFrom::Tree(tree) => sys::file::duplicate(tree.as_fd())?,
            RootFrom::Path(reopened) => mounts::reopen(reopened, mount::MS_PRIVATE)?,
            RootFrom::Tmpfs(fresh) => mounts::make_root(fresh)?,
            RootFrom::Overlay(overlay) => overlay::make(overlay, old.as_fd())?,
        };
        mount::move_mount(tree.as_fd(), old.as_fd(), c"", 0)?;
        if !matches!(from, RootFrom::Tmpfs(_) | RootFrom::Overlay(_)) && attrs != 0 {
            mounts::set_attrs_below(tree.as_fd(), attrs)?;
        }
        self.root = Some(tree);
        Ok(())
    }

    /// pivot_root(".", ".") stacks the old root on the new one; detaching `.` then leaves
    /// nothing of the host reachable (pivot_root(2), NOTES).
    pub(super) fn pivot(&mut self) -> Done {
        nix::unistd::fchdir(self.root()?)?;
        sys::file::pivot_root_dot()?;
        sys::file::umount_detach_dot()?;
        nix::unistd::chdir(c"/")
    }

    /// `--no-pivot`: on a ramdisk `/` is the mount that all others stand on, which
    /// pivot_root(2) cannot move. The old root stays below the new one, where a container that
    /// may unmount its own root finds it again: at least without its procfs and sysfs, as
    /// with runc.
    pub(super) fn chroot(&mut self) -> Done {
        for place in [c"/proc", c"/sys"] {
            match nix::mount::umount2(place, nix::mount::MntFlags::MNT_DETACH) {
                // No mount, or one that a user namespace may not take away.
                Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        // A root that hooks looked at lies on its own directory: a way out of the chroot would
        // lead to the host's `/`, and not to itself.
        let elsewhere = |step: &Step| matches!(step, Step::AttachRoot { onto: Some(_), .. });
        if self.plan.steps.iter().any(|planned| elsewhere(&planned.step)) {
            mount::move_mount(self.root()?, own_root()?.as_fd(), c"", 0)?;
        }
        nix::unistd::fchdir(self.root()?)?;
        nix::unistd::chroot(c".")?;
        nix::unistd::chdir(c"/")
    }

    /// Closes, not marks: execve resolves its path and `#!` before CLOEXEC closes
    /// anything (CVE-2024-21626). What stays is a socket or a memfd.
    pub(super) fn close_fds(&mut self) -> Done {
        (self.root, self.cover) = (None, None);
        sys::close_range::close_gaps(&self.plan.keep_fds)
    }
}

/// `/` of this task: before the pivot the old root, in a joined container its own.
pub(super) fn own_root() -> Result<std::os::fd::OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    nix::fcntl::openat2(nix::fcntl::AT_FDCWD, c"/", how)
}

/// Puts the parent's pipes on stdin, stdout and stderr.
pub(super) fn redirect_stdio(streams: &[Option<std::os::fd::OwnedFd>; 3]) -> Done {
    for (number, stream) in (0..).zip(streams) {
        if let Some(stream) = stream {
            sys::file::dup_onto(stream.as_fd(), number)?;
        }
    }
    Ok(())
}
