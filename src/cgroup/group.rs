//! One container's group, in every hierarchy.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::error::{Call, Error, Result};

use super::dir::Dir;
use super::event::{self, Event};
use super::family::Family;
use super::hierarchies::{Hierarchies, Mode};
use super::limits::Limits;
use super::path::CgroupPath;
use super::{enable, tree, v1, v2};

/// A group in a v1 hierarchy.
#[derive(Debug)]
pub(super) struct LegacyGroup {
    /// The controllers of its hierarchy.
    pub controllers: Vec<String>,
    pub dir: Dir,
}

impl LegacyGroup {
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|known| known == controller)
    }
}

/// A group that is there in all hierarchies, by directory descriptors.
#[derive(Debug)]
pub struct Cgroup {
    pub(super) path: CgroupPath,
    pub(super) mode: Mode,
    pub(super) unified: Option<Dir>,
    pub(super) legacy: Vec<LegacyGroup>,
    /// Whether only the directory that tells its processes apart is its own; see [`Cgroup::sub`].
    pub(super) leaf: bool,
}

/// Where a family of limits is applied.
enum Home<'a> {
    Unified(&'a Dir),
    Legacy(&'a Dir),
    Nowhere,
}

impl Cgroup {
    /// The group at `path`, or `None` where no hierarchy has it (any more).
    pub fn open(hierarchies: &Hierarchies, path: &CgroupPath) -> Result<Option<Self>> {
        let relative = path.relative();
        let unified = hierarchies.unified.as_ref().map(|root| root.below(relative)).transpose()?.flatten();
        let mut legacy = vec![];
        for from in &hierarchies.legacy {
            if let Some(dir) = from.root.below(relative)? {
                legacy.push(LegacyGroup { controllers: from.controllers.clone(), dir });
            }
        }
        let found = unified.is_some() || !legacy.is_empty();
        let mode = hierarchies.mode();
        Ok(found.then(|| Self { path: path.clone(), mode, unified, legacy, leaf: false }))
    }

    /// Where the group lies.
    pub fn path(&self) -> &CgroupPath {
        &self.path
    }

    /// For CLONE_INTO_CGROUP where that places a process entirely: on pure v2.
    pub fn clone_fd(&self) -> Option<BorrowedFd<'_>> {
        if self.mode == Mode::Unified { self.unified_fd() } else { None }
    }

    /// The group in the unified hierarchy, on a hybrid machine too: CLONE_INTO_CGROUP works there, and
    /// [`Cgroup::join_files`] then place the child in the v1 hierarchies.
    pub fn unified_fd(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    /// The descriptors of the group itself, which [`Cgroup::kill`] works by.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.unified.iter().chain(self.legacy.iter().map(|group| &group.dir)).map(AsFd::as_fd)
    }

    /// One `tasks` file per v1 hierarchy, open for writing: a child of one thread that writes `0` to each is
    /// in the group. The kernel judges by who opened the file. Unlike [`Cgroup::attach`] this
    /// takes no lock over all processes, whose first taker waits for an RCU grace period
    /// (5 to 14 ms, cgroup_attach_lock in kernel/cgroup/cgroup.c).
    pub fn join_files(&self) -> Result<Vec<OwnedFd>> {
        self.legacy.iter().map(|group| group.dir.open_to_hand_out("tasks")).collect()
    }

    /// The directory in each v1 hierarchy, with the names of its controllers.
    pub fn legacy_dirs(&self) -> Result<Vec<(String, OwnedFd)>> {
        let named = |group: &LegacyGroup| {
            let fd = group.dir.as_fd().try_clone_to_owned().call("fcntl")?;
            Ok((group.controllers.join(","), fd))
        };
        self.legacy.iter().map(named).collect()
    }

    /// Moves a process, with all its threads, into the group in every hierarchy.
    pub fn attach(&self, pid: Pid) -> Result<()> {
        let dirs = self.legacy.iter().map(|group| &group.dir).chain(&self.unified);
        for dir in dirs {
            dir.write("cgroup.procs", &pid.to_string()).map_err(hint_attach)?;
        }
        Ok(())
    }

    /// Changes the limits that are set in `limits`; the others stay.
    pub fn update(&self, limits: &Limits) -> Result<()> {
        if self.leaf {
            return Err(Error::internal("limits belong to the container's group").object(&self.path));
        }
        if self.mode != Mode::Unified && !limits.unified.is_empty() {
            return Err(Error::setup("invalid configuration: needs a machine with cgroup v2 alone")
                .field("/linux/resources/unified"));
        }
        if let Some(group) = &self.unified {
            let mut needed = enable::needed(limits);
            // A controller that is mounted as v1 does its work there.
            needed.retain(|needed| !self.in_legacy(&needed.controller));
            if self.mode != Mode::Unified {
                needed.retain(|needed| needed.field.is_some());
            }
            enable::hand_down(group, self.path.components().count(), &needed, limits.all_controllers)?;
        }
        for family in Family::ALL {
            if let Some(field) = family.asked(limits) {
                self.apply(family, field, limits)?;
            }
        }
        match &self.unified {
            Some(group) => v2::unified(group, limits),
            None => Ok(()),
        }
    }

    fn apply(&self, family: Family, field: &str, limits: &Limits) -> Result<()> {
        match self.home(family) {
            Home::Unified(group) => v2::apply(family, group, limits),
            Home::Legacy(group) => v1::apply(family, group, limits),
            Home::Nowhere => {
                let controller = family.legacy();
                Err(Error::setup(format!("the controller {controller} is not mounted on this machine"))
                    .field(field))
            }
        }
    }

    fn home(&self, family: Family) -> Home<'_> {
        match (self.legacy_dir(family.legacy()), &self.unified) {
            (Some(group), _) => Home::Legacy(group),
            (None, Some(group)) => Home::Unified(group),
            (None, None) => Home::Nowhere,
        }
    }

    /// Whether the v2 controller of that name does its work in a v1 hierarchy.
    fn in_legacy(&self, unified_name: &str) -> bool {
        let name = if unified_name == "io" { "blkio" } else { unified_name };
        self.legacy_dir(name).is_some()
    }

    pub(super) fn legacy_dir(&self, controller: &str) -> Option<&Dir> {
        self.legacy.iter().find(|group| group.has(controller)).map(|group| &group.dir)
    }

    /// The hierarchy that tells the group's processes: the unified one, else the v1 freezer, else any.
    pub(super) fn primary(&self) -> Result<&Dir> {
        let legacy = || self.legacy_dir("freezer").or(self.legacy.first().map(|group| &group.dir));
        self.unified.as_ref().or_else(legacy).ok_or_else(|| Error::internal("a group in no hierarchy"))
    }

    /// Whether the group has not been removed since it was opened.
    pub fn exists(&self) -> Result<bool> {
        // Every group has this file, and a removed directory has none.
        self.primary()?.has("cgroup.procs")
    }

    /// The processes of the group and of all groups below it that the caller's pid namespace knows.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        Ok(tree::processes(self.primary()?)?.into_iter().map(Pid::from_raw).collect())
    }

    /// Whether any process is left in the group or below. Zombies do not count.
    pub fn is_populated(&self) -> Result<bool> {
        match &self.unified {
            Some(group) => Ok(event::holds(group, Event::Populated)?.unwrap_or(false)),
            None => Ok(!tree::processes(self.primary()?)?.is_empty()),
        }
    }

    /// Waits until no process is left, at most for `limit`; false when the time is up.
    pub fn wait_empty(&self, limit: Duration) -> Result<bool> {
        let deadline = std::time::Instant::now() + limit;
        match &self.unified {
            Some(group) => event::wait(group, Event::Populated, false, deadline),
            None => event::look_until(deadline, || Ok(!self.is_populated()?)),
        }
    }

    /// The text of one of the group's files, for statistics: `controller` in v1's name (`blkio`,
    /// `cpuacct`), or empty for the core files of the unified hierarchy. `None` where there is no such file.
    pub fn read(&self, controller: &str, file: &str) -> Result<Option<String>> {
        match self.legacy_dir(controller).or(self.unified.as_ref()) {
            Some(group) => group.read_optional(file),
            None => Ok(None),
        }
    }
}

fn hint_attach(error: Error) -> Error {
    match error.errno() {
        Some(Errno::EBUSY) => error.hint(
            "the group hands controllers down to groups below it and may hold no process itself \
             (cgroup-v2.rst, \"No Internal Process Constraint\")",
        ),
        Some(Errno::EOPNOTSUPP) => error.hint("the group, or one above it, is threaded"),
        Some(Errno::EACCES | Errno::EPERM) => {
            error.hint("the process, the group and what lies above both must be delegated to this user")
        }
        _ => error,
    }
}
