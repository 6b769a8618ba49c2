//! pinfold's own binary (CVE-2019-5736): a process of the container that opens
//! /proc/PID/exe, or an entrypoint `#!/proc/self/exe`, must not be able to write it.
//!
//! Where it could be written, pinfold executes itself again from a read-only clone of the
//! mount it lies on. The clone's descriptor closes with execve: while it is open, the flag
//! could be cleared through it.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, fstatvfs};

use crate::error::{Call, Context, Error, Result};
use crate::sys::exec::CStringArray;
use crate::sys::mount::{self, AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, MountAttr};

const SELF: &str = "/proc/self/exe";

/// Makes sure that this process's executable lies on a read-only mount.
///
/// # Errors
/// The clone cannot be made: without privilege on the host a container has a user
/// namespace of its own, in which the binary's owner is nobody.
pub fn own_binary() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let exe =
        nix::fcntl::open(SELF, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).call("open").on(SELF)?;
    if fstatvfs(&exe).call("fstatvfs").on(SELF)?.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(());
    }
    match read_only_clone(&exe) {
        // Inside a user namespace that does not own the mounts.
        Err(error) if error.errno() == Some(Errno::EPERM) => Ok(()),
        other => Err(again(&other?)),
    }
}

fn read_only_clone(exe: &OwnedFd) -> Result<OwnedFd> {
    let flags = mount::OPEN_TREE_CLONE | mount::OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
    let tree = mount::open_tree(exe.as_fd(), c"", flags).call("open_tree").on(SELF)?;
    let attr = MountAttr { set: MOUNT_ATTR_RDONLY, propagation: mount::MS_PRIVATE, ..MountAttr::default() };
    mount::mount_setattr(tree.as_fd(), c"", AT_EMPTY_PATH, &attr, None).call("mount_setattr").on(SELF)?;
    Ok(tree)
}

fn again(tree: &OwnedFd) -> Error {
    let owned = |words: Vec<std::ffi::OsString>| {
        words.into_iter().filter_map(|word| CString::new(word.into_vec()).ok()).collect::<Vec<_>>()
    };
    let environment = std::env::vars_os().map(|(key, value)| {
        let mut entry = key;
        entry.push("=");
        entry.push(value);
        entry
    });
    let argv = CStringArray::new(owned(std::env::args_os().collect()));
    let envp = CStringArray::new(owned(environment.collect()));
    let flags = i32::try_from(AT_EMPTY_PATH).unwrap_or(0);
    Error::call("execveat", crate::sys::exec::execveat(tree.as_fd(), c"", &argv, &envp, flags)).object(SELF)
}
