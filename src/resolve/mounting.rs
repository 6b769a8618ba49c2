//! The mounts of the configuration as steps, in its order: a later one may lie inside an
//! earlier one. config.md "Mounts"; what runc does where that is silent.

use std::os::fd::OwnedFd;
use std::path::Path;

use super::steps::{List, c_string, path_c_string};
use super::{Pinned, Surroundings, cgroup_mounts, trees};
use crate::draft::{Door, Draft, DraftMount, MountOptions, MountSource, OwnerMap};
use crate::error::{Call, Context, Error, Result};
use crate::plan::{Change, Covered, FreshFs, IdMaps, Made, MountFrom, Step, Target, TargetKind};
use crate::sys::mount::{MOUNT_ATTR_RDONLY, MountAttr};

/// What was opened for the mounts.
pub(super) struct Found<'a> {
    /// Their sources.
    pub binds: Vec<Option<Pinned>>,
    /// The pid namespace that a new procfs shows; the child's without it.
    pub shown: Option<&'a OwnedFd>,
    /// The maps of the user namespace that is joined.
    pub joined_maps: Option<IdMaps>,
}

/// Lays down the mounts.
pub(super) fn mount_all(
    list: &mut List,
    draft: &Draft,
    found: Found<'_>,
    around: &Surroundings<'_>,
) -> Result<()> {
    let joined = found.joined_maps.map(OwnerMap::Maps);
    for (mount, pinned) in draft.mounts.iter().zip(found.binds) {
        match (&mount.source, pinned) {
            (MountSource::Bind { owner, .. }, Some(pinned)) => {
                let owner = joined.as_ref().filter(|_| *owner == OwnerMap::OfJoined).unwrap_or(owner);
                bind(list, draft, mount, &pinned, owner)?;
            }
            (MountSource::Bind { .. }, None) => {}
            (MountSource::Fresh(fstype), _) => fresh(list, draft, mount, fstype, found.shown)?,
            (MountSource::Cgroup, _) => cgroup(list, draft, mount, around)?,
            (MountSource::Present, _) => remount(list, mount)?,
        }
    }
    Ok(())
}

fn bind(list: &mut List, draft: &Draft, mount: &DraftMount, pinned: &Pinned, owner: &OwnerMap) -> Result<()> {
    // Without privilege only whole trees can be cloned: what the host hides below a mount
    // must stay hidden (user_namespaces(7), "locked" mounts).
    let recursive = mount.options.recursive || draft.rootless;
    let options = MountOptions { recursive, ..mount.options.clone() };
    let wish = trees::Wish { owner, ..trees::Wish::plain(draft, &options) };
    let from = trees::source(pinned, &wish).at(format!("{}/source", mount.field))?;
    let kind = match pinned.identity.file_type {
        libc::S_IFDIR => TargetKind::Directory,
        _ => TargetKind::File,
    };
    let target = Target::new(&mount.destination, kind).at(format!("{}/destination", mount.field))?;
    let target = if mount.covers_procfs() { target.over_procfs() } else { target };
    if mount.destination == Path::new("/proc") && pinned.identity.fs_magic != libc::PROC_SUPER_MAGIC {
        return Err(Error::usage("\"/proc\" cannot be mounted because it is not of type proc")
            .field(format!("{}/source", mount.field))
            .object(pinned.identity.path.display()));
    }
    list.add(&mount.field, Step::Mount { from, target, propagation: mount.options.propagation.clone() });
    Ok(())
}

fn fresh(
    list: &mut List,
    draft: &Draft,
    mount: &DraftMount,
    fstype: &str,
    shown: Option<&OwnedFd>,
) -> Result<()> {
    let options = &mount.options;
    let pairs = options.data.iter().map(|(key, value)| {
        let value = value.as_deref().map(c_string).transpose()?;
        Ok((c_string(key)?, value))
    });
    let set = options.attr.set | options.recursive_attr.set;
    let from = MountFrom::Fresh(FreshFs {
        fstype: c_string(fstype)?,
        options: pairs.collect::<Result<_>>()?,
        attrs: if is_closed_late(mount) { set & !MOUNT_ATTR_RDONLY } else { set },
        covered: covered(draft, mount, fstype),
        pid_namespace: if fstype == "proc" {
            shown.map(|fd| fd.try_clone().call("fcntl")).transpose()?
        } else {
            None
        },
    });
    let target = fresh_target(draft, fstype, &mount.destination)?;
    let target = if mount.covers_procfs() { target.over_procfs() } else { target };
    list.add(&mount.field, Step::Mount { from, target, propagation: options.propagation.clone() });
    Ok(())
}

/// A tmpfs without `mode` has that of the directory it covers, as under runc. In a sandbox it
/// is the user's to write.
fn covered(draft: &Draft, mount: &DraftMount, fstype: &str) -> Covered {
    let given = mount.options.data.iter().any(|(key, _)| key == "mode");
    let mode = fstype == "tmpfs" && !given && draft.door == Door::Oci;
    match (mount.options.tmpcopyup, mode) {
        (true, mode) => Covered::Content { mode },
        (false, true) => Covered::Mode,
        (false, false) => Covered::Hidden,
    }
}

/// /proc, /sys and /dev must be ordinary directories of the root (CVE-2019-19921), and so
/// must the place of the secrets: a link of the image could lead into a workspace.
fn fresh_target(draft: &Draft, fstype: &str, destination: &Path) -> Result<Target> {
    let target = Target::new(destination, TargetKind::Directory)?;
    let special = matches!(fstype, "proc" | "sysfs")
        || destination == Path::new("/dev")
        || draft.files.iter().any(|file| file.path.starts_with(destination));
    Ok(if special { target.without_links() } else { target })
}

/// `remount`: the flags that are named change, and no others.
fn remount(list: &mut List, mount: &DraftMount) -> Result<()> {
    let MountOptions { attr, recursive_attr, propagation, .. } = &mount.options;
    let change = Change { own: *attr, recursive: *recursive_attr, propagation: propagation.clone() };
    list.add(&mount.field, Step::Remount { path: path_c_string(&mount.destination)?, change });
    Ok(())
}

/// A tmpfs, and what stands at /dev, takes its read-only flag when all is made in it.
fn is_closed_late(mount: &DraftMount) -> bool {
    match &mount.source {
        MountSource::Fresh(fstype) => fstype == "tmpfs" || mount.destination == Path::new("/dev"),
        _ => false,
    }
}

/// Closes what was left writable for later mount points and devices.
pub(super) fn close(list: &mut List, draft: &Draft) -> Result<()> {
    for (index, mount) in draft.mounts.iter().enumerate() {
        let later = draft.mounts.get(index + 1..).unwrap_or_default();
        let over = later.iter().any(|later| later.covers(mount) || makes_writable(later, mount));
        if mount.options.readonly() && is_closed_late(mount) && !over {
            let path = path_c_string(&mount.destination)?;
            list.add(&mount.field, Step::Remount { path, change: closed() });
        }
    }
    Ok(())
}

fn makes_writable(later: &DraftMount, mount: &DraftMount) -> bool {
    let cleared = later.options.attr.clear | later.options.recursive_attr.clear;
    matches!(later.source, MountSource::Present)
        && later.destination == mount.destination
        && cleared & MOUNT_ATTR_RDONLY != 0
}

/// The tmpfs around v1 hierarchies closes when they stand in it.
fn cgroup(list: &mut List, draft: &Draft, mount: &DraftMount, around: &Surroundings<'_>) -> Result<()> {
    for (from, path) in cgroup_mounts::mounts(draft, mount, around)? {
        let target = Target::new(&path, TargetKind::Directory)?;
        list.add(&mount.field, Step::Mount { from, target, propagation: vec![] });
    }
    for (path, text) in cgroup_mounts::links(mount, around)? {
        let target = Target::new(&path, TargetKind::File)?;
        list.add(&mount.field, Step::Make(Made::Link(target, text)));
    }
    if mount.options.readonly() && !around.facts.cgroup_unified {
        let path = path_c_string(&mount.destination)?;
        list.add(&mount.field, Step::Remount { path, change: closed() });
    }
    Ok(())
}

fn closed() -> Change {
    let own = MountAttr { set: MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    Change { own, ..Change::default() }
}
