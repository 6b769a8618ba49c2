//! User namespaces that exist only to carry the maps of id-mapped mounts
//! (mount_setattr(2), "ID-mapped mounts").
//!
//! The kernel takes such maps from a user namespace. One is made by a child that ends at
//! once; its maps are written and its namespace is opened while it is a zombie, so the
//! tree can be finished before the container's own clone.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::error::{Call, Context, Error, Result};
use crate::plan::{IdMaps, IdRange};
use crate::sys;

/// A user namespace with these maps.
///
/// # Errors
/// clone3(2), the writes of the maps, the open of the namespace.
pub(super) fn user_namespace(maps: &IdMaps) -> Result<OwnedFd> {
    let args =
        sys::clone::CloneArgs { flags: sys::clone::CLONE_NEWUSER, exit_signal: libc::SIGCHLD, cgroup: None };
    let (pid, pidfd) = match sys::clone::clone3(&args).call("clone3")? {
        sys::clone::Cloned::Child => sys::clone::exit_now(0),
        sys::clone::Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    let made = sys::wait::waitid_pidfd(pidfd.as_fd(), sys::wait::WEXITED | sys::wait::WNOWAIT)
        .call("waitid")
        .and_then(|_| write_and_open(pid.as_raw(), maps));
    let reaped = sys::wait::waitid_pidfd(pidfd.as_fd(), sys::wait::WEXITED).call("waitid");
    let namespace = made?;
    reaped?;
    Ok(namespace)
}

fn write_and_open(pid: i32, maps: &IdMaps) -> Result<OwnedFd> {
    write_map(pid, "uid_map", &maps.uids)?;
    write_map(pid, "gid_map", &maps.gids)?;
    let path = format!("/proc/{pid}/ns/user");
    nix::fcntl::open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).call("open").on(path)
}

fn write_map(pid: i32, name: &str, ranges: &[IdRange]) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    let file = nix::fcntl::open(path.as_str(), OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
        .call("open")
        .on(path.clone())?;
    sys::file::write_all(file.as_fd(), render(ranges).as_bytes()).call(name).on(path)
}

/// The lines of a map file: user_namespaces(7). One write takes all of them.
pub fn render(ranges: &[IdRange]) -> String {
    ranges.iter().map(|range| format!("{} {} {}\n", range.inside, range.outside, range.size)).collect()
}

/// A map that shows one owner as another: everything else stays unmapped.
pub(super) fn one_owner(source: (u32, u32), shown: (u32, u32)) -> Result<IdMaps> {
    match source.0 == u32::MAX || source.1 == u32::MAX {
        true => Err(Error::internal("an owner that is no id")),
        false => Ok(IdMaps::one(source, shown)),
    }
}
