//! The pseudo-terminal of the program: pty(7), made in the container's own devpts.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::sys::termios::{self, OutputFlags, SetArg};

use super::meet::await_go;
use super::{Child, Done, place, root};
use crate::plan::{Meeting, Target};
use crate::sys::{self, mount};

/// statfs(2) magic of devpts (linux/magic.h).
const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

impl Child<'_> {
    /// Opens a pty in the container's devpts, sends the master to the parent, puts the
    /// slave on the three streams and, where asked for, on /dev/console.
    ///
    /// The slave is the user's, who could not open /dev/stdout again otherwise; its group
    /// is what the mount says (`gid=5`). `lent`: in the foreground, where the caller's own
    /// terminal stands behind it.
    pub(super) fn console_pty(
        &self,
        console: Option<&Target>,
        size: Option<(u16, u16)>,
        owner: u32,
        lent: bool,
    ) -> Done {
        let joined;
        let inside = match &self.root {
            Some(root) => root.as_fd(),
            None => {
                joined = root::own_root()?;
                joined.as_fd()
            }
        };
        let master = open_master(inside)?;
        sys::tty::pty_unlock(master.as_fd())?;
        let slave = sys::tty::pty_peer(master.as_fd(), libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC)?;
        give(slave.as_fd(), owner)?;
        if lent {
            keep_line_feeds(slave.as_fd())?;
        }
        if let Some((height, width)) = size {
            let size = sys::tty::Winsize { rows: height, columns: width, ..sys::tty::Winsize::default() };
            sys::tty::set_winsize(slave.as_fd(), size)?;
        }
        if let Some(target) = console {
            bind_console(inside, slave.as_fd(), target)?;
        }
        sys::socket::send_fd(self.socket, &[Meeting::Console as u8], Some(master.as_fd()))?;
        await_go(self.socket)?;
        [0, 1, 2].into_iter().try_for_each(|stream| sys::file::dup_onto(slave.as_fd(), stream))
    }
}

/// A line feed does not turn into two characters (ONLCR, termios(3)): a caller that reads from
/// a pipe gets what was written, and a caller's terminal does it by itself. As runc, which
/// leaves the flag alone when the pty goes to a console socket. Before the program runs, so
/// here.
fn keep_line_feeds(slave: BorrowedFd<'_>) -> Done {
    let mut settings = termios::tcgetattr(slave)?;
    settings.output_flags.remove(OutputFlags::ONLCR);
    termios::tcsetattr(slave, SetArg::TCSANOW, &settings)
}

/// A devpts of another user namespace, bound from the host, keeps its owners.
fn give(slave: BorrowedFd<'_>, owner: u32) -> Done {
    if sys::file::stat(slave)?.uid == owner {
        return Ok(());
    }
    match sys::file::fchown_user(slave, owner) {
        Err(Errno::EPERM | Errno::EINVAL) => Ok(()),
        other => other,
    }
}

/// In two looks: first the directory, which must be a devpts, then `ptmx` of that very
/// mount. Whatever a container mounts over /dev/pts/ptmx or puts there instead of a devpts,
/// a file, a device or another tree, is neither opened nor followed (CVE-2025-52565).
fn open_master(inside: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let devpts = nix::fcntl::openat2(inside, c"dev/pts", how)?;
    if sys::file::fstatfs_type(devpts.as_fd())? != DEVPTS_SUPER_MAGIC {
        return Err(Errno::ENODEV);
    }
    let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let how = OpenHow::new()
        .flags(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)
        .resolve(beneath | ResolveFlag::RESOLVE_NO_XDEV);
    nix::fcntl::openat2(&devpts, c"ptmx", how)
}

/// The slave's own descriptor is what is mounted: no path, no race.
fn bind_console(root: BorrowedFd<'_>, slave: BorrowedFd<'_>, target: &Target) -> Done {
    let place = place::find_or_make(root, target)?;
    let flags = mount::OPEN_TREE_CLONE | mount::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH.cast_unsigned();
    let tree = mount::open_tree(slave, c"", flags)?;
    mount::move_mount(tree.as_fd(), place.fd.as_fd(), c"", 0)
}

/// The program's session gets the terminal on stdin as its controlling one.
pub(super) fn take_control() -> Done {
    sys::tty::set_controlling_terminal(sys::file::borrow_stdio(0))
}
