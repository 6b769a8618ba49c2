//! Mounts beside what they show: their type, their flags, their propagation.

use std::path::Path;

use super::Severity::{Critical, High, Low, Medium, Note};
use super::{Bench, Rule, rule};
use crate::draft::{DraftMount, MountSource, OwnerMap};
use crate::plan::IdRange;
use crate::sys::mount::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID};

pub(super) const RULES: &[&Rule] =
    &[&CGROUP, &SYSFS, &KERNEL, &DISK, &DEVTMPFS, &PROPAGATION, &NOSUID, &NODEV, &OVER_PROC, &SIZE, &IDMAP];

#[rustfmt::skip]
mod table {
    use super::*;

    pub(super) const CGROUP: Rule = rule("mount.cgroup", High, Low, "cgroups can be written", "add \"ro\" to the options, and {\"type\": \"cgroup\"} to linux.namespaces");
    pub(super) const SYSFS: Rule = rule("mount.sysfs", High, Low, "sysfs can be written", "add \"ro\" to the options");
    pub(super) const KERNEL: Rule = rule("mount.kernel", High, Medium, "a filesystem that is a door into the kernel", "leave it out: it belongs to no namespace");
    pub(super) const DISK: Rule = rule("mount.disk", High, High, "a filesystem of a block device", "let the host mount it, and bind a directory of it: a crafted image attacks the kernel");
    pub(super) const DEVTMPFS: Rule = rule("mount.devtmpfs", Critical, High, "the host's devices", "mount a tmpfs on /dev");
    pub(super) const PROPAGATION: Rule = rule("mount.propagation", High, Medium, "mounts get out of the container, or into it", "leave out shared and slave, or write rprivate");
    pub(super) const NOSUID: Rule = rule("mount.nosuid", Medium, Low, "setuid files count there", "add \"nosuid\" to the options");
    pub(super) const NODEV: Rule = rule("mount.nodev", Low, Note, "device files count there", "add \"nodev\" to the options");
    pub(super) const OVER_PROC: Rule = rule("mount.over_proc", Critical, Critical, "something else in the place of procfs", "mount nothing but a proc on /proc, and nothing below it (CVE-2019-16884, CVE-2023-28642)");
    pub(super) const SIZE: Rule = rule("mount.size", Low, Low, "a tmpfs without a size", "add \"size=64m\" to the options: half of the memory is its size otherwise");
    pub(super) const IDMAP: Rule = rule("mount.idmap", High, High, "writes belong to root of the host", "map the container's ids to ids that own nothing else");
}
use table::*;

/// Types whose files reach the kernel of all namespaces.
const KERNEL_TYPES: &[&str] = &[
    "debugfs",
    "tracefs",
    "securityfs",
    "configfs",
    "pstore",
    "efivarfs",
    "binfmt_misc",
    "fusectl",
    "bpf",
    "selinuxfs",
    "smackfs",
    "nfsd",
    "rpc_pipefs",
    "binder",
    "hugetlbfs",
];
/// Types that belong to a namespace, or hold nothing but what the container writes.
const OWN_TYPES: &[&str] = &["proc", "sysfs", "tmpfs", "ramfs", "devpts", "mqueue", "overlay"];

pub(super) fn mounts(bench: &mut Bench<'_>) {
    for mount in &bench.subject.draft.mounts {
        match &mount.source {
            MountSource::Cgroup => cgroup(bench, mount),
            MountSource::Fresh(fstype) => fresh(bench, mount, fstype),
            MountSource::Bind { owner, .. } => bind(bench, mount, owner),
            MountSource::Present => {}
        }
        if mount.options.propagates() {
            let text = "shared lets mounts out to the host, slave lets the host's in";
            bench.find(&PROPAGATION, options(mount), text);
        }
    }
}

fn options(mount: &DraftMount) -> String {
    format!("{}/options", mount.field)
}

fn cgroup(bench: &mut Bench<'_>, mount: &DraftMount) {
    if !mount.options.readonly() {
        let text = "limits can be lifted, and on v1 release_agent be set (CVE-2022-0492)";
        bench.find(&CGROUP, options(mount), text);
    }
}

fn fresh(bench: &mut Bench<'_>, mount: &DraftMount, fstype: &str) {
    let field = format!("{}/type", mount.field);
    match fstype {
        "sysfs" if !mount.options.readonly() => {
            bench.find(&SYSFS, options(mount), "uevent_helper, modules and devices of the host");
        }
        "devtmpfs" => bench.find(&DEVTMPFS, field, "every device node of the host"),
        "tmpfs" | "ramfs" => memory(bench, mount),
        kernel if KERNEL_TYPES.contains(&kernel) => {
            bench.find(&KERNEL, field, format!("{kernel} is the whole host's"));
        }
        own if OWN_TYPES.contains(&own) => {}
        other => {
            bench.find(&DISK, field, format!("{other} is read by the kernel itself"));
            flags(bench, mount);
        }
    }
}

fn memory(bench: &mut Bench<'_>, mount: &DraftMount) {
    flags(bench, mount);
    let bounded = mount.options.data.iter().any(|(key, _)| key == "size" || key == "nr_blocks");
    if !bounded && !mount.options.readonly() {
        bench.find(&SIZE, options(mount), "it fills the memory up to the cgroup's limit, if there is one");
    }
}

fn bind(bench: &mut Bench<'_>, mount: &DraftMount, owner: &OwnerMap) {
    flags(bench, mount);
    match owner {
        OwnerMap::Maps(maps)
            if maps.uids.iter().chain(&maps.gids).any(|range: &IdRange| range.outside == 0) =>
        {
            bench.find(
                &IDMAP,
                format!("{}/uidMappings", mount.field),
                "id 0 of the host is mapped for files",
            );
        }
        OwnerMap::OfJoined => {
            let text = "files are mapped as in the joined namespace, which may map id 0 of the host";
            bench.find(&IDMAP, options(mount), text);
        }
        _ => {}
    }
}

fn flags(bench: &mut Bench<'_>, mount: &DraftMount) {
    let set = mount.options.attr.set | mount.options.recursive_attr.set;
    let readonly = mount.options.readonly();
    let place = mount.destination.display();
    if set & MOUNT_ATTR_NOSUID == 0 {
        let text = format!("a setuid file on {place} gives its owner's rights, outside too");
        bench.find_bind(&NOSUID, readonly, options(mount), text);
    }
    if set & MOUNT_ATTR_NODEV == 0 && !mount.destination.starts_with(Path::new("/dev")) {
        bench.find_bind(&NODEV, readonly, options(mount), format!("a device file on {place} can be opened"));
    }
}

/// What of the refused stands in procfs's place.
pub(super) fn of_refused(field: &str, reason: &str) -> Option<&'static Rule> {
    (field.starts_with("/mounts/") && reason.contains("/proc")).then_some(&OVER_PROC)
}
