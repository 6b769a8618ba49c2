//! The hierarchies of this machine, opened once and proven to be what they claim.

use std::cell::OnceCell;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};

use crate::error::{Call, Context, Error, Result};

use super::device_attach;
use super::dir::Dir;
use super::mountinfo::{self, Mounted};
use super::path::CgroupPath;

const USUAL_MOUNT: &str = "/sys/fs/cgroup";

/// What is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// cgroup v2 alone.
    Unified,
    /// v1 controllers, and a unified hierarchy beside them (for kill and freeze).
    Hybrid,
    /// v1 alone.
    Legacy,
    /// Nothing.
    None,
}

/// What a caller may want to know before it asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Bounds on memory.
    Memory,
    /// Bounds on swap.
    Swap,
    /// The whole group dying of an OOM kill.
    OomGroup,
    /// Bounds on tasks.
    Pids,
    /// Bounds on CPU time.
    Cpu,
    /// The set of CPUs and memory nodes.
    Cpuset,
    /// Bounds on block devices.
    Io,
    /// Bounds on huge pages.
    Hugetlb,
    /// Rules for device access.
    Devices,
    /// Freezing all processes.
    Freeze,
    /// Killing all processes in one step (Linux 5.14).
    Kill,
}

impl Control {
    /// The controller of v2 and of v1 that it needs.
    fn controllers(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Memory | Self::Swap | Self::OomGroup => Some(("memory", "memory")),
            Self::Pids => Some(("pids", "pids")),
            Self::Cpu => Some(("cpu", "cpu")),
            Self::Cpuset => Some(("cpuset", "cpuset")),
            Self::Io => Some(("io", "blkio")),
            Self::Hugetlb => Some(("hugetlb", "hugetlb")),
            Self::Devices | Self::Freeze | Self::Kill => None,
        }
    }
}

/// The root of a v1 hierarchy.
#[derive(Debug)]
pub(super) struct LegacyRoot {
    /// Its controllers, `name=systemd` among them.
    pub controllers: Vec<String>,
    pub root: Dir,
}

/// The roots of all hierarchies.
#[derive(Debug)]
pub struct Hierarchies {
    pub(super) unified: Option<Dir>,
    pub(super) unified_controllers: Vec<String>,
    pub(super) legacy: Vec<LegacyRoot>,
    /// See [`Hierarchies::offer`]; asked for at most once.
    offered: OnceCell<Vec<String>>,
}

impl Hierarchies {
    /// Opens what is mounted and can be reached. A hierarchy that another mount covers is as good as absent:
    /// what is asked of its controllers is then an error.
    pub fn open() -> Result<Self> {
        match statfs(USUAL_MOUNT) {
            // The usual case needs no look at mountinfo, which may be long.
            Ok(found) if found.filesystem_type() == CGROUP2_SUPER_MAGIC => {
                if let Some(root) = Dir::root(USUAL_MOUNT, CGROUP2_SUPER_MAGIC)? {
                    return Self::with_unified(root, vec![]);
                }
            }
            Ok(_) | Err(Errno::ENOENT | Errno::EACCES) => {}
            Err(errno) => return Err(Error::call("statfs", errno).object(USUAL_MOUNT)),
        }
        let mut unified = None;
        let mut legacy = vec![];
        for one in read_mountinfo()? {
            let magic = if one.unified { CGROUP2_SUPER_MAGIC } else { CGROUP_SUPER_MAGIC };
            let Some(root) = Dir::root(&one.path, magic)? else { continue };
            if root.device()? != one.device {
                continue;
            }
            if one.unified {
                unified.get_or_insert(root);
            } else {
                legacy.push(LegacyRoot { controllers: one.controllers, root });
            }
        }
        match unified {
            Some(unified) => Self::with_unified(unified, legacy),
            None => Ok(Self { unified: None, unified_controllers: vec![], legacy, offered: OnceCell::new() }),
        }
    }

    fn with_unified(unified: Dir, legacy: Vec<LegacyRoot>) -> Result<Self> {
        let controllers = unified.read("cgroup.controllers")?;
        let unified_controllers = controllers.split_whitespace().map(str::to_owned).collect();
        Ok(Self { unified: Some(unified), unified_controllers, legacy, offered: OnceCell::new() })
    }

    /// The root of the unified hierarchy on a pure v2 machine.
    pub fn unified_root(&self) -> Result<Option<OwnedFd>> {
        let root = self.unified.as_ref().filter(|_| self.mode() == Mode::Unified);
        root.map(|root| root.as_fd().try_clone_to_owned().call("fcntl")).transpose()
    }

    /// What is mounted.
    pub fn mode(&self) -> Mode {
        match (&self.unified, self.legacy.is_empty()) {
            (Some(_), true) => Mode::Unified,
            (Some(_), false) => Mode::Hybrid,
            (None, false) => Mode::Legacy,
            (None, true) => Mode::None,
        }
    }

    /// Whether the caller can make groups: at the top of every hierarchy, or in a part of the
    /// unified one that is delegated to it.
    pub fn writable(&self) -> bool {
        self.mode() != Mode::None
            && (self.roots().all(|root| root.may_write(".")) || self.delegated().is_some())
    }

    /// The topmost group that is delegated to the caller on pure v2 (cgroup-v2.rst, "Delegation"):
    /// the one below which an unprivileged caller can make its groups. `None` for a caller that
    /// owns the whole tree, and where nothing is delegated.
    pub fn delegated(&self) -> Option<CgroupPath> {
        let (Mode::Unified, Some(root)) = (self.mode(), &self.unified) else { return None };
        if root.may_write(".") {
            return None;
        }
        let own = self.own_group()?;
        let mut path = String::new();
        for component in own.components() {
            path.push('/');
            path.push_str(component);
            let group = root.below(path.trim_start_matches('/')).ok()??;
            if [".", "cgroup.procs", "cgroup.subtree_control"].iter().all(|file| group.may_write(file)) {
                return CgroupPath::parse(&path).ok();
            }
        }
        None
    }

    /// The caller's own group in the unified hierarchy; `None` at its root and where there is no such hierarchy.
    pub fn own_group(&self) -> Option<CgroupPath> {
        let text = crate::sys::file::whole_text("/proc/self/cgroup").ok()?;
        CgroupPath::parse(text.lines().find_map(|line| line.strip_prefix("0::"))?).ok()
    }

    /// The names of all controllers, those of v1 and those that the unified hierarchy offers at its root.
    pub fn controllers(&self) -> Vec<String> {
        let legacy = self.legacy.iter().flat_map(|legacy| &legacy.controllers);
        let mut names: Vec<String> = legacy.chain(&self.unified_controllers).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// Whether `control` can be applied by this caller on this kernel, so that a default can be
    /// left out and named. What is asked for all the same and fails is an error of [`super::Cgroup::create`].
    pub fn supports(&self, control: Control) -> bool {
        match control {
            Control::Swap => self.counts_swap(),
            Control::OomGroup => self.has_controller("memory"),
            Control::Devices => {
                self.legacy_root("devices").is_some() || (self.unified.is_some() && device_attach::loads())
            }
            Control::Freeze => self.unified.is_some() || self.legacy_root("freezer").is_some(),
            Control::Kill => self.unified.is_some(),
            _ => control.controllers().is_some_and(|(unified, legacy)| {
                self.has_controller(unified) || self.legacy_root(legacy).is_some()
            }),
        }
    }

    /// v1 says so at its root. v2 has no swap files there, so some group is asked; without any
    /// group, a kernel that knows swap is taken to count it (only `swapaccount=0` takes it away).
    fn counts_swap(&self) -> bool {
        if let Some(memory) = self.legacy_root("memory") {
            return memory.root.has("memory.memsw.limit_in_bytes").unwrap_or(false);
        }
        let Some(root) = self.unified.as_ref().filter(|_| self.has_controller("memory")) else {
            return false;
        };
        let groups = root.groups().unwrap_or_default();
        let mut counted = groups.iter().filter_map(|name| root.below(name.to_str().ok()?).ok()?);
        match counted.find(|group| group.has("memory.max").unwrap_or(false)) {
            Some(group) => group.has("memory.swap.max").unwrap_or(false),
            None => std::fs::metadata("/proc/swaps").is_ok(),
        }
    }

    fn has_controller(&self, name: &str) -> bool {
        self.offered.get_or_init(|| self.offer()).iter().any(|known| known == name)
    }

    /// The controllers that new groups of the caller's can have: those of the group they are made in,
    /// which hands down no more than it does already while it holds processes itself
    /// (cgroup-v2.rst, "No Internal Process Constraint"; the machine's root may).
    fn offer(&self) -> Vec<String> {
        let Some(root) = &self.unified else { return vec![] };
        let delegated = self.delegated().and_then(|path| root.below(path.relative()).ok().flatten());
        let above = delegated.as_ref().unwrap_or(root);
        let words = |file| -> Vec<String> {
            let text = above.read(file).unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        };
        let is_machines_root = !above.has("cgroup.type").unwrap_or(true);
        let holds_processes = || above.read("cgroup.procs").map_or(true, |text| !text.trim().is_empty());
        match !is_machines_root && holds_processes() {
            true => words("cgroup.subtree_control"),
            false => words("cgroup.controllers"),
        }
    }

    pub(super) fn legacy_root(&self, controller: &str) -> Option<&LegacyRoot> {
        self.legacy.iter().find(|legacy| legacy.controllers.iter().any(|known| known == controller))
    }

    fn roots(&self) -> impl Iterator<Item = &Dir> {
        self.unified.iter().chain(self.legacy.iter().map(|legacy| &legacy.root))
    }
}

fn read_mountinfo() -> Result<Vec<Mounted>> {
    let path = "/proc/self/mountinfo";
    Ok(mountinfo::hierarchies(&crate::sys::file::whole_text(path).call("read").on(path)?))
}
