//! Mounts of type `cgroup`: the tree of cgroup2 on a pure v2 host, on others each v1 hierarchy in a tmpfs.
//! cgroups(7), cgroup_namespaces(7).

use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::steps::c_string;
use super::{Surroundings, trees};
use crate::draft::{Draft, DraftMount};
use crate::error::{Context, Result};
use crate::plan::{Covered, FreshFs, MountFrom};
use crate::sys::clone::CLONE_NEWCGROUP;
use crate::sys::mount::MOUNT_ATTR_RDONLY;

/// What is mounted for one such mount, and where.
pub(super) fn mounts(
    draft: &Draft,
    mount: &DraftMount,
    around: &Surroundings<'_>,
) -> Result<Vec<(MountFrom, PathBuf)>> {
    let attrs = mount.options.attr.set | mount.options.recursive_attr.set;
    if around.facts.cgroup_unified {
        return Ok(vec![(unified(draft, around, attrs).at(mount.field.clone())?, mount.destination.clone())]);
    }
    let base = vec![(c"mode".to_owned(), Some(c"755".to_owned()))];
    let base = fresh("tmpfs", base, attrs & !MOUNT_ATTR_RDONLY)?;
    let mut mounts = vec![(base, mount.destination.clone())];
    for name in &around.facts.cgroup_v1 {
        let from = hierarchy(draft, around, name, attrs).on(name.clone()).at(mount.field.clone())?;
        mounts.push((from, mount.destination.join(name.trim_start_matches("name="))));
    }
    Ok(mounts)
}

/// `cpu` and `cpuacct` lead to `cpu,cpuacct`: programs look for a controller by its own name.
pub(super) fn links(mount: &DraftMount, around: &Surroundings<'_>) -> Result<Vec<(PathBuf, CString)>> {
    if around.facts.cgroup_unified {
        return Ok(vec![]);
    }
    let all = around.facts.cgroup_v1.iter().flat_map(|name| link_names(name).map(move |link| (link, name)));
    all.map(|(link, name)| Ok((mount.destination.join(link), c_string(name)?))).collect()
}

/// The controllers of a hierarchy that has several, by one each.
fn link_names(name: &str) -> impl Iterator<Item = &str> {
    name.split(',').filter(|_| name.contains(',') && !name.contains('='))
}

/// A user namespace may mount only the hierarchy of a cgroup namespace that it owns; without one it is the
/// caller's, as with runc.
fn unified(draft: &Draft, around: &Surroundings<'_>, attrs: u64) -> Result<MountFrom> {
    let callers = around.cgroup_dirs.iter().find(|(of, _)| of.is_empty());
    match callers {
        Some((_, root)) if !has_cgroup_namespace(draft) && draft.id_maps.is_some() && !draft.rootless => {
            let words = format!("cgroup hierarchy of the caller set={attrs:#x}");
            Ok(MountFrom::Tree(trees::plain(root.as_fd(), attrs)?, words))
        }
        _ => fresh("cgroup2", vec![(c"source".to_owned(), Some(c"cgroup".to_owned()))], attrs),
    }
}

/// Without a cgroup namespace of its own a new mount would show the host's whole hierarchy, and a user
/// namespace may not make one: then it is the container's own directory, as with runc.
fn hierarchy(draft: &Draft, around: &Surroundings<'_>, name: &str, attrs: u64) -> Result<MountFrom> {
    let own = around.cgroup_dirs.iter().find(|(of, _)| same_controllers(of, name));
    match own {
        Some((_, dir)) if !has_cgroup_namespace(draft) && !draft.rootless => {
            let words = format!("cgroup of the container, {name} set={attrs:#x}");
            Ok(MountFrom::Tree(trees::plain(dir.as_fd(), attrs)?, words))
        }
        _ => fresh_v1(name, attrs),
    }
}

fn has_cgroup_namespace(draft: &Draft) -> bool {
    draft.new_namespaces & CLONE_NEWCGROUP != 0
        || draft.join.iter().any(|join| join.nstype == CLONE_NEWCGROUP)
}

/// /proc/self/cgroup and mountinfo need not name a hierarchy's controllers in the same order.
fn same_controllers(one: &str, other: &str) -> bool {
    let sorted = |names: &str| {
        let mut names: Vec<_> = names.split(',').map(str::to_owned).collect();
        names.sort();
        names
    };
    sorted(one) == sorted(other)
}

/// A v1 hierarchy, `none,name=X` for one without controllers.
fn fresh_v1(name: &str, attrs: u64) -> Result<MountFrom> {
    let options = match name.split_once('=') {
        Some((key, value)) => vec![(c"none".to_owned(), None), (c_string(key)?, Some(c_string(value)?))],
        None => name.split(',').map(|key| Ok((c_string(key)?, None))).collect::<Result<_>>()?,
    };
    fresh("cgroup", options, attrs)
}

type Options = Vec<(std::ffi::CString, Option<std::ffi::CString>)>;

fn fresh(fstype: &str, options: Options, attrs: u64) -> Result<MountFrom> {
    Ok(MountFrom::Fresh(FreshFs {
        fstype: c_string(fstype)?,
        options,
        attrs,
        covered: Covered::Hidden,
        pid_namespace: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hierarchy_of_several_controllers_has_their_links() {
        let of = |name| link_names(name).collect::<Vec<_>>();
        assert_eq!(of("cpu,cpuacct"), ["cpu", "cpuacct"]);
        assert!(of("memory").is_empty() && of("name=a,b").is_empty());
    }

    #[test]
    fn controllers_are_a_set() {
        let rows = [
            ("cpu,cpuacct", "cpuacct,cpu", true),
            ("cpu", "cpu", true),
            ("cpu", "cpuacct", false),
            ("name=systemd", "name=systemd", true),
            ("cpu,cpuacct", "cpu", false),
        ];
        for (one, other, same) in rows {
            assert_eq!(same_controllers(one, other), same, "{one} {other}");
        }
    }
}
