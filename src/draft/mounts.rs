//! `mounts`: config.md "Mounts", config-linux.md "Default Filesystems".

use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;

use super::{DraftMount, Extras, MountSource, OwnerMap, mount_options, namespaces};
use crate::error::{Context, Error, Result};
use crate::plan::IdMaps;

/// Reads all mounts, in their order.
pub(super) fn mounts(
    list: Option<&[Mount]>,
    extras: &Extras,
    maps: Option<&IdMaps>,
    user: Option<(u32, u32)>,
) -> Result<Vec<DraftMount>> {
    let mut mounts = vec![];
    for (index, mount) in list.unwrap_or_default().iter().enumerate() {
        let field = format!("/mounts/{index}");
        let owner_mapped = extras.owner_mapped.contains(&index);
        let mut draft = one(mount, &field, maps)
            .map_err(|error| prefix_field(error, &field))
            .on(mount.destination().display())?;
        if let (true, MountSource::Bind { owner, .. }) = (owner_mapped, &mut draft.source) {
            *owner = shown_as_user(maps, user);
        }
        mounts.push(draft);
    }
    Ok(mounts)
}

fn prefix_field(error: Error, field: &str) -> Error {
    match error.field_name() {
        Some(own) if own.starts_with("/mounts/") => error,
        Some(own) => {
            let whole = format!("{field}{own}");
            error.replace_field(whole)
        }
        None => error.field(field),
    }
}

/// The source's owner is shown as the sandbox user: its host id is what the container's
/// map says of the user's id.
fn shown_as_user(maps: Option<&IdMaps>, user: Option<(u32, u32)>) -> OwnerMap {
    let (Some(maps), Some((uid, gid))) = (maps, user) else { return OwnerMap::Keep };
    match (outside(&maps.uids, uid), outside(&maps.gids, gid)) {
        (Some(uid), Some(gid)) => OwnerMap::SourceOwnerIs(uid, gid),
        _ => OwnerMap::Keep,
    }
}

/// The id outside for an id inside, where the ranges map it.
pub(super) fn outside(ranges: &[crate::plan::IdRange], id: u32) -> Option<u32> {
    let range = ranges.iter().find(|range| id >= range.inside && id - range.inside < range.size)?;
    range.outside.checked_add(id - range.inside)
}

fn one(mount: &Mount, field: &str, maps: Option<&IdMaps>) -> Result<DraftMount> {
    let mut options = mount_options::parse(mount.options().as_deref().unwrap_or_default())?;
    let typ = mount.typ().as_deref().unwrap_or_default();
    options.bind |= typ == "bind";
    let destination = inside_root(mount.destination())?;
    let owner = owner_map(mount, &options, maps)?;
    let source = match (options.bind, typ) {
        (true, _) => {
            let path = mount
                .source()
                .clone()
                .ok_or_else(|| Error::usage("a bind needs a source").field("/source"))?;
            if path.as_os_str().is_empty() {
                return Err(Error::usage("a bind needs a source").field("/source"));
            }
            MountSource::Bind { path, owner, optional: false }
        }
        (false, "cgroup" | "cgroup2") => MountSource::Cgroup,
        (false, "" | "none") => {
            return Err(Error::usage("neither a type nor `bind` among the options").field("/type"));
        }
        (false, _) if owner != OwnerMap::Keep => {
            return Err(Error::usage("id maps are for bind mounts").field("/uidMappings"));
        }
        (false, typ) => MountSource::Fresh(typ.to_owned()),
    };
    if !options.bind && source_matters(typ) {
        let text = mount.source().as_ref().map(|source| source.to_string_lossy().into_owned());
        options.data.extend(text.map(|text| ("source".to_owned(), Some(text))));
    }
    Ok(DraftMount { field: field.to_owned(), destination, source, options })
}

/// The kernel shows the source of a tmpfs in mountinfo; the others name themselves.
fn source_matters(typ: &str) -> bool {
    !matches!(typ, "cgroup" | "cgroup2")
}

fn owner_map(
    mount: &Mount,
    options: &mount_options::MountOptions,
    maps: Option<&IdMaps>,
) -> Result<OwnerMap> {
    let uids = namespaces::ranges(mount.uid_mappings().as_deref(), "/uidMappings")?;
    let gids = namespaces::ranges(mount.gid_mappings().as_deref(), "/gidMappings")?;
    let asked = options.idmap || options.ridmap;
    match (uids.is_empty(), gids.is_empty(), maps) {
        (false, false, _) => Ok(OwnerMap::Maps(IdMaps { uids, gids })),
        (true, false, _) => {
            Err(Error::usage("must be given together with gidMappings").field("/uidMappings"))
        }
        (false, true, _) => {
            Err(Error::usage("must be given together with uidMappings").field("/gidMappings"))
        }
        (true, true, Some(maps)) if asked => Ok(OwnerMap::Maps(maps.clone())),
        (true, true, None) if asked => {
            Err(Error::usage("`idmap` needs mappings or a new user namespace").field("/options"))
        }
        (true, true, _) => Ok(OwnerMap::Keep),
    }
}

/// A destination as an absolute path; a relative one is read from `/` (config.md).
/// `..` is resolved as in a path that never leaves the root.
pub(super) fn inside_root(path: &Path) -> Result<PathBuf> {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            std::path::Component::Normal(name) => clean.push(name),
            std::path::Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    match path.as_os_str().is_empty() {
        true => Err(Error::usage("must not be empty").field("/destination")),
        false => Ok(clean),
    }
}
