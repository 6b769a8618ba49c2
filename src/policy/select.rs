//! Which way leads to each object that a Draft names. Pure: the resolver goes these ways
//! and no other.

use std::path::{Path, PathBuf};

use super::document::{Layer, Mode, Policy};
use super::request::{Request, absolute, odd};
use super::rules::JoinGrant;
use crate::draft::{Draft, DraftHook, DraftMount, MountSource};
use crate::plan::{Grants, Way};
use crate::sys::mount::MOUNT_ATTR_NODEV;

/// The ways that the host's rules leave open. Those of a profile are judged on what was opened.
pub fn select(draft: &Draft, request: &Request, policy: &Policy) -> Grants {
    let Some(host) = policy.layers.first() else { return Grants::default() };
    let root = draft.root.directory.as_ref().map(|path| absolute(&request.base, path));
    let directories = host.rules.root.directories.as_ref();
    Grants {
        judged: true,
        audit: policy.mode == Mode::Audit,
        root: root.map_or(Way::AsNamed, |path| way(&path, directories.and_then(|at| at.value.cover(&path)))),
        binds: draft.mounts.iter().map(|mount| to_source(mount, request, host)).collect(),
        joins: draft
            .join
            .iter()
            .map(|join| way(&join.path, to_namespace(host, &join.path, join.nstype)))
            .collect(),
        hooks: hooks(&draft.hooks, host),
    }
}

/// Which hooks' paths are granted.
pub(super) fn hooks(list: &[DraftHook], host: &Layer) -> Vec<bool> {
    let grants = host.rules.hook.as_ref().map(|at| at.value.as_slice()).unwrap_or_default();
    list.iter().map(|hook| grants.iter().any(|grant| grant.path.as_path() == hook.program())).collect()
}

fn way(path: &Path, place: Option<&Path>) -> Way {
    let beneath = place.filter(|_| odd(path).is_none());
    match beneath.and_then(|place| Some((place, path.strip_prefix(place).ok()?))) {
        Some((place, rest)) => Way::Beneath { place: place.to_owned(), rest: rest.to_owned() },
        None => Way::Withheld,
    }
}

fn to_source(mount: &DraftMount, request: &Request, host: &Layer) -> Way {
    match &mount.source {
        MountSource::Bind { path, .. } if !mount.own && !is_device(mount) => {
            let path = absolute(&request.base, path);
            let grant = host.rules.bind.as_ref().and_then(|at| at.value.covering(&path));
            way(&path, grant.as_ref().map(|grant| grant.path.as_path()))
        }
        _ => Way::AsNamed,
    }
}

/// A bind with the option `dev` asks for a device, which is judged by its number.
pub(super) fn is_device(mount: &DraftMount) -> bool {
    mount.options.attr.clear & MOUNT_ATTR_NODEV != 0
}

fn to_namespace<'a>(host: &'a Layer, path: &Path, nstype: u64) -> Option<&'a Path> {
    let grants = host.rules.namespaces.join.as_ref()?;
    joinable(&grants.value, path, nstype).map(|grant| grant.path.as_path())
}

/// The grant for a namespace of this type at this path.
pub(super) fn joinable<'a>(grants: &'a [JoinGrant], path: &Path, nstype: u64) -> Option<&'a JoinGrant> {
    grants.iter().find(|grant| grant.nstype == nstype && path.starts_with(&grant.path))
}

/// The place of a root directory, for messages.
pub(super) fn root_path(draft: &Draft, request: &Request) -> Option<PathBuf> {
    draft.root.directory.as_ref().map(|path| absolute(&request.base, path))
}
