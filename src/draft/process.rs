//! The program: config.md "Process".

use std::ffi::CString;
use std::path::PathBuf;

use oci_spec::runtime::{PosixRlimit, PosixRlimitType};

use super::{Door, HostFacts, Process, capabilities, labels, scheduling};
use crate::error::{Context, Error, Result};
use crate::plan::{IdMaps, IdRange, Labels, Scheduling};
use crate::sys::caps::CapSets;

const NO_CHANGE: u32 = u32::MAX;
const DEFAULT_UMASK: u32 = 0o022;

/// Where the program will be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    pub door: Door,
    pub facts: &'a HostFacts,
    /// A user namespace of its own, in which it can have every capability.
    pub own_user_namespace: bool,
}

/// Reads `process`; absent `capabilities` means none. The second are warnings.
pub(super) fn process(
    process: &oci_spec::runtime::Process,
    setting: Setting<'_>,
) -> Result<(Process, Vec<String>)> {
    let Setting { door, facts, own_user_namespace } = setting;
    let grantable = if own_user_namespace { u64::MAX } else { facts.grantable_caps };
    let granted = capabilities::capabilities(process.capabilities().as_ref(), facts.last_cap, grantable);
    let args = strings(process.args().as_deref(), "/process/args")?;
    if args.first().is_none_or(|program| program.is_empty()) {
        return Err(Error::usage("at least one non-empty entry is needed").field("/process/args"));
    }
    if !process.cwd().is_absolute() {
        let cwd = process.cwd().display();
        return Err(Error::usage("must be an absolute path").field("/process/cwd").object(cwd));
    }
    let user = process.user();
    for (id, field) in [(user.uid(), "/process/user/uid"), (user.gid(), "/process/user/gid")] {
        check_id(id, field)?;
    }
    let groups = user.additional_gids().clone().unwrap_or_default();
    for (index, gid) in groups.iter().enumerate() {
        check_id(*gid, &format!("/process/user/additionalGids/{index}"))?;
    }
    let read = Process {
        args,
        env: super::environment::environment(process.env().as_deref())?,
        cwd: super::mounts::inside_root(process.cwd()).at("/process/cwd")?,
        uid: user.uid(),
        gid: user.gid(),
        groups,
        umask: user.umask().unwrap_or(DEFAULT_UMASK),
        caps: granted.sets,
        bounding: granted.bounding,
        ambient: granted.ambient,
        no_new_privs: process.no_new_privileges().unwrap_or(false),
        rlimits: rlimits(process.rlimits().as_deref())?,
        scheduling: scheduling::scheduling(process, door, facts)?,
        oom_score_adj: oom_score_adj(process)?,
        labels: labels::labels(process, facts)?,
        terminal: process.terminal().unwrap_or(false),
        console_size: console_size(process)?,
    };
    Ok((read, granted.warnings))
}

impl Process {
    /// What waits where the configuration has no process (config.md: `create` works without it,
    /// `start` does not): without a program, and without any right.
    pub fn none(id_maps: Option<&IdMaps>) -> Self {
        let first = |ranges: &[IdRange]| ranges.iter().map(|range| range.inside).min().unwrap_or(0);
        Self {
            args: vec![],
            env: vec![],
            cwd: PathBuf::from("/"),
            uid: id_maps.map_or(0, |maps| first(&maps.uids)),
            gid: id_maps.map_or(0, |maps| first(&maps.gids)),
            groups: vec![],
            umask: DEFAULT_UMASK,
            caps: CapSets::default(),
            bounding: 0,
            ambient: 0,
            no_new_privs: true,
            rlimits: vec![],
            scheduling: Scheduling::default(),
            oom_score_adj: None,
            labels: Labels::default(),
            terminal: false,
            console_size: None,
        }
    }
}

/// proc_pid_oom_score_adj(5). Absent, it stays as it is.
fn oom_score_adj(process: &oci_spec::runtime::Process) -> Result<Option<i32>> {
    match process.oom_score_adj() {
        Some(score) if !(-1000..=1000).contains(&score) => {
            Err(Error::usage("a score is -1000 to 1000").field("/process/oomScoreAdj").object(score))
        }
        score => Ok(score),
    }
}

fn check_id(id: u32, field: &str) -> Result<()> {
    match id {
        NO_CHANGE => {
            Err(Error::usage("4294967295 means \"no change\" to the kernel and is no id").field(field))
        }
        _ => Ok(()),
    }
}

fn strings(list: Option<&[String]>, field: &str) -> Result<Vec<CString>> {
    let one = |(index, text): (usize, &String)| {
        let nul =
            |error: std::ffi::NulError| Error::usage(error.to_string()).field(format!("{field}/{index}"));
        CString::new(text.as_bytes()).map_err(nul)
    };
    list.unwrap_or_default().iter().enumerate().map(one).collect()
}

fn console_size(process: &oci_spec::runtime::Process) -> Result<Option<(u16, u16)>> {
    let Some(size) = process.console_size() else { return Ok(None) };
    if !process.terminal().unwrap_or(false) {
        return Ok(None);
    }
    let side = |value: u64, field: &str| {
        u16::try_from(value)
            .map_err(|error| Error::usage(error.to_string()).field(format!("/process/consoleSize/{field}")))
    };
    Ok(Some((side(size.height(), "height")?, side(size.width(), "width")?)))
}

fn rlimits(list: Option<&[PosixRlimit]>) -> Result<Vec<(u32, u64, u64)>> {
    let mut seen: Vec<(u32, u64, u64)> = vec![];
    for (index, limit) in list.unwrap_or_default().iter().enumerate() {
        let field = format!("/process/rlimits/{index}");
        let resource = resource(limit.typ());
        if seen.iter().any(|(other, ..)| *other == resource) {
            return Err(Error::usage("the resource is listed twice").field(format!("{field}/type")));
        }
        if limit.soft() > limit.hard() {
            return Err(Error::usage("soft is above hard").field(format!("{field}/soft")));
        }
        seen.push((resource, limit.soft(), limit.hard()));
    }
    Ok(seen)
}

/// The kernel's numbers (asm-generic/resource.h); libc gives them different types per C library.
#[rustfmt::skip]
fn resource(typ: PosixRlimitType) -> u32 {
    match typ {
        PosixRlimitType::RlimitCpu => 0,
        PosixRlimitType::RlimitFsize => 1,
        PosixRlimitType::RlimitData => 2,
        PosixRlimitType::RlimitStack => 3,
        PosixRlimitType::RlimitCore => 4,
        PosixRlimitType::RlimitRss => 5,
        PosixRlimitType::RlimitNproc => 6,
        PosixRlimitType::RlimitNofile => 7,
        PosixRlimitType::RlimitMemlock => 8,
        PosixRlimitType::RlimitAs => 9,
        PosixRlimitType::RlimitLocks => 10,
        PosixRlimitType::RlimitSigpending => 11,
        PosixRlimitType::RlimitMsgqueue => 12,
        PosixRlimitType::RlimitNice => 13,
        PosixRlimitType::RlimitRtprio => 14,
        PosixRlimitType::RlimitRttime => 15,
    }
}
