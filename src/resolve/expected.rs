//! What the kernel must say of the child: derived from the Draft alone, so that a step
//! that does too little is seen.

use std::os::fd::{AsFd, OwnedFd};

use super::Facts;
use crate::draft::{Draft, Join, MountOptions, MountSource, Process};
use crate::error::{Call, Result};
use crate::plan::{Expected, ExpectedMount, IdMaps, IdRange};
use crate::sys;
use crate::sys::clone;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};

const NAMES: &[(u64, &str)] = &[
    (clone::CLONE_NEWNS, "mnt"),
    (clone::CLONE_NEWPID, "pid"),
    (clone::CLONE_NEWNET, "net"),
    (clone::CLONE_NEWIPC, "ipc"),
    (clone::CLONE_NEWUTS, "uts"),
    (clone::CLONE_NEWUSER, "user"),
    (clone::CLONE_NEWCGROUP, "cgroup"),
    (clone::CLONE_NEWTIME, "time"),
];

/// The bits below all MPOL_F_* (linux/mempolicy.h).
const MPOL_MODE: i32 = 0xff;

/// The expectation for a Draft.
pub(super) fn expected(draft: &Draft, process: &Process, facts: &Facts) -> Result<Expected> {
    let namespace =
        |(join, fd): (&Join, &OwnedFd)| Ok((join.name, sys::file::stat(fd.as_fd()).call("fstat")?.ino));
    let joined_namespaces = draft.join.iter().zip(&facts.joins).map(namespace).collect::<Result<_>>()?;
    let maps = draft.id_maps.as_ref().or(facts.joined_maps.as_ref());
    Ok(Expected { joined_namespaces, ..within(draft, process, maps) })
}

/// The expectation for a process whose user namespace has these maps.
pub(super) fn within(draft: &Draft, process: &Process, maps: Option<&IdMaps>) -> Expected {
    let outside = |ranges: fn(&IdMaps) -> &Vec<IdRange>, id| match maps {
        Some(maps) => outside(ranges(maps), id),
        None => id,
    };
    let uid = outside(|maps| &maps.uids, process.uid);
    let gid = outside(|maps| &maps.gids, process.gid);
    let groups = process.groups.iter().map(|group| outside(|maps| &maps.gids, *group)).collect();
    let new =
        NAMES.iter().filter(|(bit, _)| draft.new_namespaces & bit != 0).map(|(_, name)| *name).collect();
    let mut mounts = mounts(draft);
    mounts.push(ExpectedMount {
        destination: "/".to_owned(),
        readonly: draft.root.readonly,
        nosuid: draft.root.attrs & MOUNT_ATTR_NOSUID != 0,
        nodev: draft.root.attrs & MOUNT_ATTR_NODEV != 0,
        noexec: false,
    });
    Expected {
        uid,
        gid,
        groups: (!draft.setgroups_denied).then_some(groups),
        caps: process.caps,
        bounding: process.bounding,
        ambient: process.ambient,
        no_new_privs: process.no_new_privs,
        labels: process.labels.clone(),
        seccomp_early: draft.seccomp.is_some() && !process.no_new_privs,
        joined_namespaces: vec![],
        new_namespaces: new,
        memory_policy: draft.memory_policy.as_ref().map(|policy| policy.mode & MPOL_MODE),
        mounts,
    }
}

fn mounts(draft: &Draft) -> Vec<ExpectedMount> {
    let mut mounts: Vec<ExpectedMount> = vec![];
    for mount in &draft.mounts {
        let destination = mount.destination.to_string_lossy().into_owned();
        match &mount.source {
            MountSource::Cgroup => {}
            // It is the same mount with other flags.
            MountSource::Present => match mounts.iter_mut().rfind(|known| known.destination == destination) {
                Some(known) => change(known, &mount.options),
                None => mounts.push(expect(destination, &mount.options)),
            },
            MountSource::Bind { .. } | MountSource::Fresh(_) => {
                mounts.push(expect(destination, &mount.options));
            }
        }
    }
    mounts
}

fn expect(destination: String, options: &MountOptions) -> ExpectedMount {
    let set = options.attr.set | options.recursive_attr.set;
    ExpectedMount {
        destination,
        readonly: options.readonly(),
        nosuid: set & MOUNT_ATTR_NOSUID != 0,
        nodev: set & MOUNT_ATTR_NODEV != 0,
        noexec: set & MOUNT_ATTR_NOEXEC != 0,
    }
}

fn change(mount: &mut ExpectedMount, options: &MountOptions) {
    let cleared = options.attr.clear | options.recursive_attr.clear;
    let set = options.attr.set | options.recursive_attr.set;
    let after = |before: bool, flag| (before && cleared & flag == 0) || set & flag != 0;
    mount.readonly = after(mount.readonly, MOUNT_ATTR_RDONLY);
    mount.nosuid = after(mount.nosuid, MOUNT_ATTR_NOSUID);
    mount.nodev = after(mount.nodev, MOUNT_ATTR_NODEV);
    mount.noexec = after(mount.noexec, MOUNT_ATTR_NOEXEC);
}

fn outside(ranges: &[IdRange], id: u32) -> u32 {
    let range = ranges.iter().find(|range| id >= range.inside && id - range.inside < range.size);
    range.map_or(OVERFLOW, |range| range.outside + (id - range.inside))
}

/// What the kernel shows for an id without a mapping (/proc/sys/kernel/overflowuid).
const OVERFLOW: u32 = 65534;
