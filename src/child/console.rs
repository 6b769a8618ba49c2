//! The pseudo-terminal of the program: pty(7), made in the container's own devpts.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};

use super::meet::await_go;
use super::{Done, place};
use crate::plan::{Meeting, Target};
use crate::sys::{self, mount};

/// statfs(2) magic of devpts (linux/magic.h).
const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// Opens a pty in the container's devpts, sends the master to the parent, puts the
/// slave on the three streams and, where asked for, on /dev/console.
pub(super) fn open(
    root: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
    console: Option<&Target>,
    size: Option<(u16, u16)>,
) -> Done {
    let how = OpenHow::new()
        .flags(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let master = nix::fcntl::openat2(root, c"dev/pts/ptmx", how)?;
    // A file that the image put there instead of the device (CVE-2025-52565).
    if sys::file::fstatfs_type(master.as_fd())? != DEVPTS_SUPER_MAGIC {
        return Err(Errno::ENODEV);
    }
    sys::tty::pty_unlock(master.as_fd())?;
    let slave = sys::tty::pty_peer(master.as_fd(), libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC)?;
    if let Some((height, width)) = size {
        let size = sys::tty::Winsize { rows: height, columns: width, ..sys::tty::Winsize::default() };
        sys::tty::set_winsize(slave.as_fd(), size)?;
    }
    if let Some(target) = console {
        bind_console(root, slave.as_fd(), target)?;
    }
    sys::socket::send_fd(socket, &[Meeting::Console as u8], Some(master.as_fd()))?;
    await_go(socket)?;
    for stream in [0, 1, 2] {
        sys::file::dup_onto(slave.as_fd(), stream)?;
    }
    Ok(())
}

/// The slave's own descriptor is what is mounted: no path, no race.
fn bind_console(root: BorrowedFd<'_>, slave: BorrowedFd<'_>, target: &Target) -> Done {
    let place = place::find_or_make(root, target)?;
    let flags = mount::OPEN_TREE_CLONE | mount::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH.cast_unsigned();
    let tree = mount::open_tree(slave, c"", flags)?;
    mount::move_mount(tree.as_fd(), place.as_fd(), c"", 0)
}

/// The program's session gets the terminal on stdin as its controlling one.
pub(super) fn take_control() -> Done {
    sys::tty::set_controlling_terminal(sys::file::borrow_stdio(0))
}
