//! Giving a group to the container's user, who may then make groups below it (cgroup-v2.rst, "Delegation").

use nix::errno::Errno;
use nix::unistd::Uid;

use crate::error::{Error, Result};

use super::group::Cgroup;
use super::hierarchies::Mode;

/// What kernels before 4.15, which have no list, let be delegated (config-linux.md, "Cgroup ownership").
const FALLBACK: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

impl Cgroup {
    /// Makes `uid` the owner of the group's directory and of the files that the kernel names for it.
    /// The limits stay the host's. Of v1 nothing is delegated: its hierarchies are not safe to be.
    pub fn delegate(&self, uid: Uid) -> Result<()> {
        let (Mode::Unified, Some(group)) = (self.mode, &self.unified) else {
            return Err(Error::setup("only groups of pure cgroup v2 can be delegated").object(&self.path));
        };
        let list =
            std::fs::read_to_string("/sys/kernel/cgroup/delegate").unwrap_or_else(|_| FALLBACK.to_owned());
        group.give(".", uid).map_err(|errno| Error::call("fchownat", errno).object(group))?;
        for file in list.lines().filter(|file| !file.is_empty() && !file.contains('/')) {
            match group.give(file, uid) {
                // The list names files of controllers that this group does not have.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(Error::call("fchownat", errno).object(group.file(file))),
            }
        }
        Ok(())
    }
}
