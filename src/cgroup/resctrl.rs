//! `linux.intelRdt`: classes of service for caches and memory bandwidth, in the resctrl
//! filesystem (Documentation/filesystems/resctrl.rst; config-linux.md, "IntelRdt").
//!
//! A group is a directory with `tasks` and `schemata`; one that the configuration names by
//! `closID` belongs to the host and stays, one named after the container goes with it.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::statfs::FsType;
use oci_spec::runtime::LinuxIntelRdt;
use serde::{Deserialize, Serialize};

use crate::error::{Call, Context, Error, Result};
use crate::sys;

use super::dir::Dir;
use super::mountinfo;
use super::schemata::{self, Schemata};

const FIELD: &str = "/linux/intelRdt";
/// linux/magic.h.
const RDTGROUP_SUPER_MAGIC: FsType = FsType(0x0765_5821);

/// What a configuration asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rdt {
    /// The class of service; the container's own where it is absent, `/` is the default one.
    pub clos_id: Option<String>,
    /// Lines of `l3CacheSchema` and `memBwSchema`, and those of `schemata`, which come last.
    pub lines: [Vec<String>; 2],
    /// Whether the container is counted by itself.
    pub monitoring: bool,
}

/// What was made for a container, as state.json keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RdtRecord {
    /// The directory of its class; empty for the default one.
    pub group: String,
    /// Whether that directory goes with the container.
    pub own: bool,
    /// The container's directory in `mon_groups`, which goes in any case.
    pub monitor: Option<String>,
    /// Whether it was written down before anything was made: what has these names may be somebody else's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begun: bool,
}

impl RdtRecord {
    /// The record for who is about to make it.
    #[must_use]
    pub fn begun(&self) -> Self {
        Self { begun: true, ..self.clone() }
    }
}

/// What kept a group from being made.
#[derive(Debug)]
struct Unmade {
    error: Error,
    /// What was made and could not be taken back.
    left: Option<RdtRecord>,
}

impl Rdt {
    /// Reads `linux.intelRdt`.
    ///
    /// # Errors
    /// A value that config-linux.md forbids, with its field.
    pub fn from_oci(given: &LinuxIntelRdt) -> Result<Self> {
        let clos_id = given.clos_id().clone().filter(|id| !id.is_empty());
        if let Some(id) = clos_id.as_deref().filter(|id| *id != "/") {
            check_name(id)?;
        }
        let first =
            schemata::of_schemas(given.l3_cache_schema().as_deref(), given.mem_bw_schema().as_deref())?;
        let last = given.schemata().clone().unwrap_or_default();
        if let Some(at) = last.iter().position(|line| line.contains('\n')) {
            return Err(Error::usage("contains a newline").field(format!("{FIELD}/schemata/{at}")));
        }
        Ok(Self { clos_id, lines: [first, last], monitoring: given.enable_monitoring().unwrap_or(false) })
    }

    /// The schemas of `update`, for a group of the container's own.
    ///
    /// # Errors
    /// As [`Rdt::from_oci`].
    pub fn of_schemas(l3: Option<&str>, mem_bw: Option<&str>) -> Result<Self> {
        Ok(Self { lines: [schemata::of_schemas(l3, mem_bw)?, vec![]], ..Self::default() })
    }

    /// The directories for container `id`.
    pub fn record(&self, id: &str) -> RdtRecord {
        let group = match self.clos_id.as_deref() {
            None => id.to_owned(),
            Some("/") => String::new(),
            Some(clos_id) => clos_id.to_owned(),
        };
        let monitor = self.monitoring.then(|| id.to_owned());
        RdtRecord { group, own: self.clos_id.is_none(), monitor, begun: false }
    }

    fn says_schemata(&self) -> bool {
        self.lines.iter().any(|lines| !lines.is_empty())
    }
}

/// One component, as it becomes a directory's name.
fn check_name(id: &str) -> Result<()> {
    match matches!(id, "." | "..") || id.contains(['/', '\n', '\0']) {
        true => Err(Error::usage("is no name of a directory")
            .field(format!("{FIELD}/closID"))
            .object(format!("{id:?}"))),
        false => Ok(()),
    }
}

/// The mounted filesystem.
#[derive(Debug)]
pub struct Resctrl {
    root: Dir,
}

/// The files of a container's group, open for its first process.
#[derive(Debug, Default)]
pub struct RdtTasks(pub Vec<OwnedFd>);

impl RdtTasks {
    /// Moves a task into the group; those that it makes afterwards are born in it.
    ///
    /// # Errors
    /// ESRCH; EPERM.
    pub fn add(&self, pid: i32) -> Result<()> {
        self.0.iter().try_for_each(|file| {
            sys::file::write_all(file.as_fd(), pid.to_string().as_bytes()).call("write").on("tasks").at(FIELD)
        })
    }
}

impl Resctrl {
    /// Opens it where it is mounted.
    ///
    /// # Errors
    /// It is not mounted (config-linux.md: an error), or cannot be read.
    pub fn open() -> Result<Self> {
        Self::open_if_mounted()?.ok_or_else(|| {
            Error::setup("no resctrl filesystem is mounted").field(FIELD).hint(
                "the CPU, the kernel and the mount (`mount -t resctrl resctrl /sys/fs/resctrl`) must all have it",
            )
        })
    }

    /// As [`Resctrl::open`], where its absence is an answer.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open_if_mounted() -> Result<Option<Self>> {
        let text = std::fs::read_to_string("/proc/self/mountinfo").call("read").on("/proc/self/mountinfo")?;
        for path in mountinfo::of_type(&text, "resctrl") {
            if let Some(root) = Dir::root(&path, RDTGROUP_SUPER_MAGIC)? {
                return Ok(Some(Self { root }));
            }
        }
        Ok(None)
    }

    /// Makes what container `id` needs, and has `keep` write it down: first, so that what a launch leaves that
    /// is killed in between is found.
    ///
    /// # Errors
    /// A class of service that does not exist or has other schemata; what the kernel says; those of `keep`.
    pub fn make_recorded(
        &self,
        rdt: &Rdt,
        id: &str,
        mut keep: impl FnMut(Option<RdtRecord>) -> Result<()>,
    ) -> Result<RdtTasks> {
        let record = rdt.record(id);
        keep(Some(record.begun()))?;
        match self.make(rdt, &record) {
            Ok(tasks) => keep(Some(record)).map(|()| tasks),
            Err(unmade) => keep(unmade.left).and(Err(unmade.error)),
        }
    }

    /// Makes what the container needs, writes its schemata, and opens its `tasks`. On failure
    /// what was made here is taken back.
    ///
    /// # Errors
    /// A class of service that does not exist or has other schemata; what the kernel says.
    fn make(&self, rdt: &Rdt, record: &RdtRecord) -> std::result::Result<RdtTasks, Unmade> {
        let mut made = vec![];
        self.try_make(rdt, record, &mut made).map_err(|error| undo(&made, record, error))
    }

    fn try_make(&self, rdt: &Rdt, record: &RdtRecord, made: &mut Vec<(Dir, String)>) -> Result<RdtTasks> {
        let group = self.class(rdt, record, made)?;
        let mut tasks = vec![group.open_to_hand_out("tasks").at(FIELD)?];
        if let Some(name) = &record.monitor {
            let field = format!("{FIELD}/enableMonitoring");
            let groups = group.below("mon_groups").at(&field)?.ok_or_else(|| {
                Error::setup("this machine cannot monitor").field(&field).object(group.file("mon_groups"))
            })?;
            let own = new(groups, name, made).at(&field)?;
            tasks.push(own.open_to_hand_out("tasks").at(field)?);
        }
        Ok(RdtTasks(tasks))
    }

    /// The class of service, made or compared.
    fn class(&self, rdt: &Rdt, record: &RdtRecord, made: &mut Vec<(Dir, String)>) -> Result<Dir> {
        let field = format!("{FIELD}/closID");
        let name = record.group.as_str();
        if name.is_empty() {
            let root = self.root.again()?;
            return write_schemata(&root, rdt).map(|()| root);
        }
        match (self.root.below(name).at(&field)?, record.own) {
            (Some(group), false) => compare(&group, rdt).map(|()| group),
            (None, false) if !rdt.says_schemata() => {
                let text = "this class of service does not exist, and no schema says how to make it";
                Err(Error::setup(text).field(field).object(self.root.file(name)))
            }
            _ => {
                let group = new(self.root.again()?, name, made).at(field).map_err(hint_full)?;
                write_schemata(&group, rdt).map(|()| group)
            }
        }
    }

    /// Changes lines of the schemata of a container's group.
    ///
    /// # Errors
    /// The group is gone; what the kernel says.
    pub fn update(&self, record: &RdtRecord, rdt: &Rdt) -> Result<()> {
        write_schemata(&self.group(record)?, rdt)
    }

    fn group(&self, record: &RdtRecord) -> Result<Dir> {
        match record.group.as_str() {
            "" => self.root.again(),
            name => existing(&self.root, name),
        }
    }

    /// The `tasks` of a container that was made before.
    ///
    /// # Errors
    /// Its group is gone.
    pub fn tasks(&self, record: &RdtRecord) -> Result<RdtTasks> {
        let group = self.group(record)?;
        let mut tasks = vec![group.open_to_hand_out("tasks").at(FIELD)?];
        if let Some(name) = &record.monitor {
            let own = existing(&group, &format!("mon_groups/{name}"))?;
            tasks.push(own.open_to_hand_out("tasks").at(FIELD)?);
        }
        Ok(RdtTasks(tasks))
    }

    /// Removes what was made for a container; what is gone already is no error. Of what was only begun, a
    /// group that is in use stays: its name was taken before.
    ///
    /// # Errors
    /// rmdir(2).
    pub fn remove(&self, record: &RdtRecord) -> Result<()> {
        let class = match record.group.as_str() {
            "" => Some(self.root.again()?),
            name => self.root.below(name)?,
        };
        if let (Some(class), Some(monitor)) = (class, &record.monitor)
            && let Some(groups) = class.below("mon_groups")?
        {
            record.take_away(&groups, monitor)?;
        }
        match record.own {
            true => record.take_away(&self.root, &record.group),
            false => Ok(()),
        }
    }

    /// The lines of a container's schemata and of the default class, for statistics.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn schemata(&self, record: &RdtRecord) -> Result<[Schemata; 2]> {
        let root = Schemata::parse(&self.root.read("schemata")?);
        let group = match record.group.as_str() {
            "" => None,
            name => self.root.below(name)?,
        };
        let own = group.map(|group| group.read("schemata")).transpose()?;
        Ok([own.map_or_else(|| root.clone(), |text| Schemata::parse(&text)), root])
    }
}

/// A directory that nobody else has made.
fn new(parent: Dir, name: &str, made: &mut Vec<(Dir, String)>) -> Result<Dir> {
    if !parent.make(name)? {
        return Err(Error::call("mkdir", Errno::EEXIST).object(parent.file(name)));
    }
    let group = existing(&parent, name);
    made.push((parent, name.to_owned()));
    group
}

/// Takes back what was made, the group with its monitoring groups last; what cannot be is told.
fn undo(made: &[(Dir, String)], record: &RdtRecord, error: Error) -> Unmade {
    let undone = made.iter().rev().try_for_each(|(parent, name)| unmake(parent, name));
    let Err(left) = undone else { return Unmade { error, left: None } };
    // A group of its own is the first that was made, and the last that goes.
    let own = record.own && !made.is_empty();
    let monitor = record.monitor.clone().filter(|_| made.len() > usize::from(own));
    let error = error.besides(&format!("left behind: {left}"));
    Unmade { error, left: Some(RdtRecord { own, monitor, ..record.clone() }) }
}

impl RdtRecord {
    fn take_away(&self, parent: &Dir, name: &str) -> Result<()> {
        match self.begun && is_in_use(parent, name)? {
            true => Ok(()),
            false => unmake(parent, name),
        }
    }
}

/// Whether a group has tasks, or processors.
fn is_in_use(parent: &Dir, name: &str) -> Result<bool> {
    let Some(group) = parent.below(name)? else { return Ok(false) };
    let has = |file| Ok(group.read_optional(file)?.is_some_and(|text| !text.trim().is_empty()));
    Ok(has("tasks")? || has("cpus_list")?)
}

fn existing(parent: &Dir, name: &str) -> Result<Dir> {
    let missing = || Error::call("openat2", Errno::ENOENT).object(parent.file(name)).field(FIELD);
    parent.below(name)?.ok_or_else(missing)
}

fn unmake(parent: &Dir, name: &str) -> Result<()> {
    let c_name = CString::new(name).or(Err(Error::internal("a NUL in a checked name")))?;
    match parent.unmake(&c_name) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(Error::call("rmdir", errno).object(parent.file(name))),
    }
}

/// `schemata` last, so that it has the last word.
fn write_schemata(group: &Dir, rdt: &Rdt) -> Result<()> {
    rdt.lines.iter().try_for_each(|lines| write_lines(group, lines))
}

/// The kernel takes whole lines, several in one write (rdtgroup_schemata_write).
fn write_lines(group: &Dir, lines: &[String]) -> Result<()> {
    match lines.is_empty() {
        true => Ok(()),
        false => {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            group.write("schemata", &text).at(FIELD).map_err(|error| {
                error.hint("info/last_cmd_status of the resctrl filesystem says what the kernel did not like")
            })
        }
    }
}

/// A class that exists is the host's: the configuration must say what it has.
fn compare(group: &Dir, rdt: &Rdt) -> Result<()> {
    let found = Schemata::parse(&group.read("schemata").at(FIELD)?);
    match rdt.lines.iter().flatten().find(|line| !found.has(line)) {
        None => Ok(()),
        Some(line) => Err(Error::setup(format!("this class of service exists and does not have `{line}`"))
            .field(format!("{FIELD}/closID"))
            .object(group.file("schemata"))),
    }
}

fn hint_full(error: Error) -> Error {
    match error.errno() {
        Some(Errno::ENOSPC) => error.hint("the CPU has no further class of service; see info/*/num_closids"),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
