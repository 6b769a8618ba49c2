//! What the kernel must say of the child: derived from the Draft alone, so that a step
//! that does too little is seen.

use crate::draft::{Draft, DraftMount, Process};
use crate::plan::{Expected, ExpectedMount, IdRange};
use crate::sys::clone;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID};

const NAMES: &[(u64, &str)] = &[
    (clone::CLONE_NEWNS, "mnt"),
    (clone::CLONE_NEWPID, "pid"),
    (clone::CLONE_NEWNET, "net"),
    (clone::CLONE_NEWIPC, "ipc"),
    (clone::CLONE_NEWUTS, "uts"),
    (clone::CLONE_NEWUSER, "user"),
    (clone::CLONE_NEWCGROUP, "cgroup"),
];

/// The expectation for a Draft.
pub(super) fn expected(draft: &Draft, process: &Process) -> Expected {
    let outside = |ranges: fn(&crate::plan::IdMaps) -> &Vec<IdRange>, id| match &draft.id_maps {
        Some(maps) => outside(ranges(maps), id),
        None => id,
    };
    let uid = outside(|maps| &maps.uids, process.uid);
    let gid = outside(|maps| &maps.gids, process.gid);
    let groups = process.groups.iter().map(|group| outside(|maps| &maps.gids, *group)).collect();
    let new =
        NAMES.iter().filter(|(bit, _)| draft.new_namespaces & bit != 0).map(|(_, name)| *name).collect();
    let mut mounts: Vec<_> = draft.mounts.iter().filter(|mount| !is_cgroup(mount)).map(mount).collect();
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
        seccomp_early: draft.seccomp.is_some() && !process.no_new_privs,
        new_namespaces: new,
        mounts,
    }
}

fn is_cgroup(mount: &DraftMount) -> bool {
    matches!(mount.source, crate::draft::MountSource::Cgroup)
}

fn mount(mount: &DraftMount) -> ExpectedMount {
    let set = mount.options.attr.set | mount.options.recursive_attr.set;
    ExpectedMount {
        destination: mount.destination.to_string_lossy().into_owned(),
        readonly: mount.options.readonly(),
        nosuid: set & MOUNT_ATTR_NOSUID != 0,
        nodev: set & MOUNT_ATTR_NODEV != 0,
        noexec: set & MOUNT_ATTR_NOEXEC != 0,
    }
}

fn outside(ranges: &[IdRange], id: u32) -> u32 {
    let range = ranges.iter().find(|range| id >= range.inside && id - range.inside < range.size);
    range.map_or(OVERFLOW, |range| range.outside + (id - range.inside))
}

/// What the kernel shows for an id without a mapping (/proc/sys/kernel/overflowuid).
const OVERFLOW: u32 = 65534;
