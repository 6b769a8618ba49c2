//! Groups below a container's own, for further processes of it.

use std::ffi::CString;

use nix::errno::Errno;

use crate::error::{Error, Result};

use super::dir::Dir;
use super::group::{Cgroup, LegacyGroup};
use super::hierarchies::Mode;

/// A group below the container's, in some hierarchies or in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Below {
    /// Names of v1 controllers; empty for all hierarchies.
    pub controllers: Vec<String>,
    /// Relative to the container's group; empty for that itself.
    pub path: String,
}

impl Cgroup {
    /// A new group below this one for further processes of the container, so that they can be told apart,
    /// killed and frozen alone. It has a directory of its own in one hierarchy only and shares
    /// the container's limits and all other hierarchies. The container can see it and may have made one of
    /// that name itself (EEXIST), so the name should not be predictable.
    pub fn sub(&self, name: &str) -> Result<Self> {
        let path = self.path.child(name)?;
        let primary = self.primary()?;
        if !primary.make(name)? {
            return Err(Error::call("mkdir", Errno::EEXIST).object(primary.file(name)));
        }
        let dir = primary.below(name)?.ok_or_else(|| Error::call("openat2", Errno::ENOENT).object(&path))?;
        let mut legacy = vec![];
        for group in &self.legacy {
            legacy.push(LegacyGroup { controllers: group.controllers.clone(), dir: group.dir.again()? });
        }
        let mut sub = Self { path, mode: self.mode, unified: None, legacy, leaf: true };
        if self.unified.is_some() {
            sub.unified = Some(dir);
        } else {
            let at = sub.legacy.iter().position(|group| group.has("freezer")).unwrap_or(0);
            if let Some(group) = sub.legacy.get_mut(at) {
                group.dir = dir;
            }
        }
        Ok(sub)
    }

    /// The groups directly below whose name starts with `prefix`.
    pub fn subs(&self, prefix: &str) -> Result<Vec<String>> {
        let names = self.primary()?.groups()?;
        let names = names.into_iter().filter_map(|name| name.into_string().ok());
        Ok(names.filter(|name| name.starts_with(prefix)).collect())
    }

    /// Removes the group `name` directly below, if it is one of [`Cgroup::sub`] and holds nothing.
    pub fn remove_deserted(&self, name: &str) -> Result<()> {
        let refused = |errno| Error::call("rmdir", errno).object(&self.path);
        let text = CString::new(name).or(Err(Errno::EINVAL)).map_err(refused)?;
        match self.primary()?.unmake(&text) {
            // Its processes live on, or the container made groups below it.
            Ok(()) | Err(Errno::ENOENT | Errno::EBUSY | Errno::ENOTEMPTY) => Ok(()),
            Err(errno) => Err(refused(errno)),
        }
    }

    /// Whether the group hands controllers down, and so may hold no process itself
    /// (cgroup-v2.rst, "No Internal Process Constraint").
    pub fn is_inner(&self) -> Result<bool> {
        match &self.unified {
            Some(group) => {
                let handed = group.read_optional("cgroup.subtree_control")?;
                Ok(handed.is_some_and(|handed| !handed.trim().is_empty()))
            }
            None => Ok(false),
        }
    }

    /// Groups below this one that exist already, per hierarchy as asked for; where nothing is asked, this one.
    pub fn below(&self, asked: &[Below]) -> Result<Self> {
        let mut legacy = vec![];
        for group in &self.legacy {
            let dir = match asked.iter().find(|below| below.is_for(&group.controllers)) {
                Some(below) => existing(&group.dir, &below.path)?,
                None => group.dir.again()?,
            };
            legacy.push(LegacyGroup { controllers: group.controllers.clone(), dir });
        }
        let everywhere = asked.iter().find(|below| below.controllers.is_empty());
        let unified = match (&self.unified, everywhere) {
            (None, _) => None,
            (Some(group), None) => Some(group.again()?),
            (Some(group), Some(below)) => match existing(group, &below.path) {
                // Without controllers it says nothing of limits.
                Err(_) if self.mode == Mode::Hybrid => Some(group.again()?),
                found => Some(found?),
            },
        };
        self.check_known(asked)?;
        Ok(Self { path: self.path.clone(), mode: self.mode, unified, legacy, leaf: true })
    }

    fn check_known(&self, asked: &[Below]) -> Result<()> {
        let mut names = asked.iter().flat_map(|below| &below.controllers);
        match names.find(|name| self.legacy_dir(name).is_none()) {
            Some(name) => Err(Error::usage(format!("unknown controller {name}: no hierarchy of v1 has it"))),
            None => Ok(()),
        }
    }
}

impl Below {
    fn is_for(&self, controllers: &[String]) -> bool {
        self.controllers.is_empty() || self.controllers.iter().any(|name| controllers.contains(name))
    }
}

fn existing(group: &Dir, path: &str) -> Result<Dir> {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(Error::usage(format!("{path} is not a sub cgroup path")));
    }
    if parts.is_empty() {
        return group.again();
    }
    group.below(&parts.join("/"))?.ok_or_else(|| {
        Error::call("openat2", Errno::ENOENT).object(group.file(path)).hint("the sub-cgroup must exist")
    })
}
