//! Writing the maps of the child's user namespace: user_namespaces(7), newuidmap(1).

use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use crate::error::{Call, Context, Error, Result};
use crate::plan::{IdMaps, IdRange, ParentPlan};
use crate::sys;

/// Writes `setgroups`, `uid_map` and `gid_map` of the waiting child.
///
/// # Errors
/// EPERM where the ids are not this caller's to map.
pub(super) fn write(pid: i32, proc: BorrowedFd<'_>, plan: &ParentPlan) -> Result<()> {
    let Some(maps) = &plan.id_maps else { return Ok(()) };
    if plan.by_own_right && !maps.has_one_id() {
        return by_tool(pid, maps);
    }
    if plan.setgroups_denied {
        // An own map of groups is only allowed when none can be dropped any more
        // (CVE-2014-8989).
        put(proc, "setgroups", b"deny")?;
    }
    put(proc, "uid_map", render(&maps.uids).as_bytes())?;
    put(proc, "gid_map", render(&maps.gids).as_bytes())
}

fn put(proc: BorrowedFd<'_>, name: &str, text: &[u8]) -> Result<()> {
    let file = openat(proc, name, OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty())
        .call("openat")
        .on(format!("/proc/PID/{name}"))?;
    sys::file::write_all(file.as_fd(), text).call(name).on(format!("/proc/PID/{name}"))
}

fn render(ranges: &[IdRange]) -> String {
    ranges.iter().map(|range| format!("{} {} {}\n", range.inside, range.outside, range.size)).collect()
}

/// newuidmap and newgidmap check the ranges against /etc/subuid and /etc/subgid.
fn by_tool(pid: i32, maps: &IdMaps) -> Result<()> {
    for (tool, ranges) in [("newuidmap", &maps.uids), ("newgidmap", &maps.gids)] {
        let mut command = std::process::Command::new(tool);
        command.arg(pid.to_string());
        for range in ranges {
            command.args([range.inside.to_string(), range.outside.to_string(), range.size.to_string()]);
        }
        let output = command.output().call("execve").on(tool).map_err(|error| {
            error.hint("several id ranges need newuidmap and newgidmap (package uidmap) and entries in /etc/subuid, /etc/subgid")
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::setup(format!("{tool}: {said}")).field("/linux/uidMappings"));
        }
    }
    Ok(())
}
