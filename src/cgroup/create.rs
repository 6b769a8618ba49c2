//! Making a group: in all hierarchies and with all its limits, or not at all.

use std::ffi::CString;

use nix::errno::Errno;

use crate::error::{Error, Result};

use super::dir::Dir;
use super::event::{self, Event};
use super::group::{Cgroup, LegacyGroup};
use super::hierarchies::Hierarchies;
use super::limits::Limits;
use super::path::CgroupPath;

/// What was made, to be taken back: directories, each below a root.
struct Made<'a>(Vec<(&'a Dir, String)>);

impl Cgroup {
    /// Makes the group at `path` in every hierarchy and sets `limits`.
    ///
    /// A group that exists is taken only if it is empty and not frozen (runtime.md, "Create",
    /// runtime-spec#1125): a limit or a kill would otherwise reach processes that are not the container's.
    /// On failure nothing stays that was made here.
    pub fn create(hierarchies: &Hierarchies, path: &CgroupPath, limits: &Limits) -> Result<Self> {
        let mut made = Made(vec![]);
        build(hierarchies, path, limits, &mut made).map_err(|error| made.undo(error))
    }
}

fn build<'a>(
    hierarchies: &'a Hierarchies,
    path: &CgroupPath,
    limits: &Limits,
    made: &mut Made<'a>,
) -> Result<Cgroup> {
    let mut existed = false;
    let mut unified = None;
    let mut legacy = vec![];
    if let Some(root) = &hierarchies.unified {
        let (dir, new) = made.group(root, path)?;
        existed |= !new;
        unified = Some(dir);
    }
    for from in &hierarchies.legacy {
        let (dir, new) = made.group(&from.root, path)?;
        existed |= !new;
        let group = LegacyGroup { controllers: from.controllers.clone(), dir };
        if group.has("cpuset") {
            inherit_cpuset(&group.dir, path)?;
        }
        legacy.push(group);
    }
    if unified.is_none() && legacy.is_empty() {
        return Err(Error::setup("no cgroup hierarchy is mounted").field("/linux/cgroupsPath"));
    }
    let group = Cgroup { path: path.clone(), mode: hierarchies.mode(), unified, legacy, leaf: false };
    if existed {
        group.check_unused()?;
    }
    group.update(limits)?;
    Ok(group)
}

impl<'a> Made<'a> {
    /// Makes the group and what is missing above it; tells whether the group itself is new.
    fn group(&mut self, root: &'a Dir, path: &CgroupPath) -> Result<(Dir, bool)> {
        let new = match self.one(root, path.relative()) {
            Err(error) if error.errno() == Some(Errno::ENOENT) => {
                let mut way = String::new();
                let mut new = false;
                for component in path.components() {
                    way.push_str(component);
                    new = self.one(root, &way)?;
                    way.push('/');
                }
                new
            }
            result => result?,
        };
        match root.below(path.relative())? {
            Some(dir) => Ok((dir, new)),
            None => Err(Error::call("openat2", Errno::ENOENT).object(root.file(path.relative()))),
        }
    }

    fn one(&mut self, root: &'a Dir, relative: &str) -> Result<bool> {
        let new = root.make(relative).map_err(hint_make)?;
        if new {
            self.0.push((root, relative.to_owned()));
        }
        Ok(new)
    }

    /// Takes everything back; what cannot be is named in the hint.
    fn undo(self, error: Error) -> Error {
        let mut left = vec![];
        for (root, relative) in self.0.iter().rev() {
            let removed =
                CString::new(relative.as_str()).or(Err(Errno::EINVAL)).and_then(|name| root.unmake(&name));
            if !matches!(removed, Ok(()) | Err(Errno::ENOENT)) {
                left.push(root.file(relative));
            }
        }
        if left.is_empty() { error } else { error.hint(format!("left behind: {}", left.join(", "))) }
    }
}

fn hint_make(error: Error) -> Error {
    match error.errno() {
        Some(Errno::EACCES | Errno::EPERM) => {
            error.hint("no part of the tree is delegated to this user here; `pinfold doctor` shows what is")
        }
        Some(Errno::EROFS) => error.hint("the cgroup filesystem is mounted read-only here"),
        Some(Errno::EAGAIN) => {
            error.hint("cgroup.max.descendants or cgroup.max.depth of a group above is reached")
        }
        _ => error,
    }
}

/// A v1 cpuset is born empty and takes no process (ENOSPC) before it has CPUs and nodes,
/// and none that the group above does not have (cgroup-v1/cpusets.rst). A group above that is
/// still empty gets them too, as with runc.
fn inherit_cpuset(group: &Dir, path: &CgroupPath) -> Result<()> {
    let mut chain = vec![group.again()?];
    for _ in path.components() {
        let above = chain.last().map_or_else(|| group.parent(), Dir::parent)?;
        chain.push(above);
    }
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let mut inherited = String::new();
        for dir in chain.iter().rev() {
            let own = dir.read(file)?;
            if own.trim().is_empty() {
                dir.write(file, inherited.trim())?;
            } else {
                inherited = own;
            }
        }
    }
    Ok(())
}

impl Cgroup {
    /// That nothing lives in a group that is there already, and that it is not frozen.
    ///
    /// # Errors
    /// It is in use.
    pub fn check_unused(&self) -> Result<()> {
        check_fitness(self)
    }
}

fn check_fitness(group: &Cgroup) -> Result<()> {
    let processes = group.processes()?.len();
    if processes != 0 {
        let text = format!("the container's cgroup is not empty: {processes} process(es) found");
        return Err(Error::setup(text).object(&group.path).field("/linux/cgroupsPath"));
    }
    let populated = match &group.unified {
        Some(unified) => event::holds(unified, Event::Populated)?.unwrap_or(false),
        None => false,
    };
    if populated {
        let text = "the container's cgroup is not empty: it holds processes of another pid namespace";
        return Err(Error::setup(text).object(&group.path).field("/linux/cgroupsPath"));
    }
    if group.is_frozen()? {
        let text = "the container's cgroup unexpectedly frozen";
        return Err(Error::setup(text).object(&group.path).field("/linux/cgroupsPath"));
    }
    Ok(())
}
