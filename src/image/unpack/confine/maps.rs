//! The user namespace of the unpacker: user_namespaces(7), newuidmap(1).
//!
//! The kernel maps the ids that a layer names; the unpacker itself never counts.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use crate::error::{Call, Context, Error, Result};
use crate::image::unpack::{IdMap, Owners};
use crate::sys;

/// The maps, and who writes them.
pub(super) struct Maps {
    uids: Vec<IdMap>,
    gids: Vec<IdMap>,
    writer: Writer,
}

enum Writer {
    /// This process, which has the right to map any id.
    Privileged,
    /// This process, one id of its own; setgroups(2) has to be given up (CVE-2014-8989).
    Own,
    /// newuidmap(1) and newgidmap(1).
    Tools,
}

impl Maps {
    /// The maps for these owners.
    pub(super) fn of(owners: &Owners) -> Result<Self> {
        let root = nix::unistd::geteuid().is_root();
        match owners {
            Owners::Keep if root => Ok(Self {
                uids: identity("/proc/self/uid_map")?,
                gids: identity("/proc/self/gid_map")?,
                writer: Writer::Privileged,
            }),
            Owners::Keep => Err(Error::usage("only root can keep the owners that a layer names")),
            Owners::Map { uids, gids } => {
                let writer = if root { Writer::Privileged } else { Writer::Tools };
                Ok(Self { uids: uids.clone(), gids: gids.clone(), writer })
            }
            Owners::Caller => {
                let one = |outside| vec![IdMap { inside: 0, outside, count: 1 }];
                let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
                let writer = if root { Writer::Privileged } else { Writer::Own };
                Ok(Self { uids: one(uid), gids: one(gid), writer })
            }
        }
    }

    /// Whether the process may drop its supplementary groups.
    pub(super) fn allows_setgroups(&self) -> bool {
        !matches!(self.writer, Writer::Own)
    }

    /// Writes them for the waiting process. Its pid cannot be another's: it was not waited for.
    pub(super) fn write(self, pid: Pid) -> Result<()> {
        if matches!(self.writer, Writer::Tools) {
            by_tool("newuidmap", pid, &self.uids)?;
            return by_tool("newgidmap", pid, &self.gids);
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let path = format!("/proc/{pid}");
        let process = nix::fcntl::open(path.as_str(), flags, Mode::empty()).call("open").on(&path)?;
        if matches!(self.writer, Writer::Own) {
            put(&process, "setgroups", "deny")?;
        }
        put(&process, "uid_map", &lines(&self.uids))?;
        put(&process, "gid_map", &lines(&self.gids))
    }
}

fn put(process: &OwnedFd, name: &str, text: &str) -> Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let file = openat(process, name, flags, Mode::empty()).call("openat").on(name)?;
    sys::file::write_all(file.as_fd(), text.as_bytes()).call(name)
}

fn lines(maps: &[IdMap]) -> String {
    maps.iter().map(|map| format!("{} {} {}\n", map.inside, map.outside, map.count)).collect()
}

fn by_tool(tool: &str, pid: Pid, maps: &[IdMap]) -> Result<()> {
    let numbers = maps.iter().flat_map(|map| [map.inside, map.outside, map.count]);
    let output = std::process::Command::new(tool)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .output()
        .call("execve")
        .on(tool)
        .map_err(|error| error.hint("several ids need newuidmap and newgidmap (package uidmap)"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(Error::setup(format!("{tool}: {said}"))
                .hint("the ranges must be in /etc/subuid and /etc/subgid"))
        }
    }
}

/// Every id of this process's own namespace, as itself.
fn identity(path: &str) -> Result<Vec<IdMap>> {
    let text = std::fs::read_to_string(path).call("read").on(path)?;
    let map = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (Some(Ok(inside)), Some(Ok(_)), Some(Ok(count))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return Err(Error::internal(format!("{path} has the line {line:?}")));
        };
        Ok(IdMap { inside, outside: inside, count })
    };
    text.lines().map(map).collect()
}
