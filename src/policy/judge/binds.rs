//! `[[bind]]`: each source by what was opened, never by its name alone.

use std::path::{Path, PathBuf};

use super::Bench;
use crate::draft::{Door, Draft, DraftMount, MountSource, OwnerMap};
use crate::policy::builtin;
use crate::policy::read::{FLOOR, TYPES};
use crate::policy::request::{absolute, odd};
use crate::policy::rules::{Access, At, BindGrant, BindGrants};
use crate::policy::select::is_device;
use crate::resolve::{Facts, Pinned};
use crate::sys::mount::MOUNT_ATTR_RDONLY;

pub(super) fn binds(bench: &mut Bench<'_>, draft: &Draft, facts: &Facts) {
    let layer = bench.layer;
    let Some(grants) = &layer.rules.bind else { return };
    for (index, mount) in draft.mounts.iter().enumerate().filter(|(_, mount)| !mount.own && !is_device(mount))
    {
        let MountSource::Bind { path, owner, .. } = &mount.source else { continue };
        let field = format!("{}/source", mount.field);
        let path = absolute(&bench.request.base, path);
        let Some(grant) = granted(bench, grants, &field, &path) else { continue };
        asked(bench, draft, mount, &grant, owner);
        if let Some(barred) = facts.barred.iter().find(|barred| barred.field == field) {
            let text = format!("{}: {}", path.display(), barred.errno.desc());
            bench.refuse(grant.line, "bind.link", &field, text, "a path through no link, beneath the grant");
        }
        if let Some(pinned) = facts.binds.get(index).and_then(Option::as_ref) {
            state(bench, &field, "bind.state", pinned);
            found(bench, &grant, &field, pinned);
            below(bench, &grant, mount, &field, pinned);
        }
    }
}

/// The grant that covers a source by its path.
fn granted(bench: &mut Bench<'_>, grants: &At<BindGrants>, field: &str, path: &Path) -> Option<BindGrant> {
    if let Some(what) = odd(path) {
        let asked = format!("{} has {what}", path.display());
        bench.refuse(grants.line, "bind.path", field, asked, "a path that can be compared");
        return None;
    }
    let grant = grants.value.covering(path);
    if let Some(grant) = &grant {
        bench.decide(true, grant.line, "bind.source", field, path.display(), grant.path.display());
    } else {
        let places: Vec<_> = grants.value.places().map(|place| place.display().to_string()).collect();
        let allowed = if places.is_empty() { "no source".to_owned() } else { places.join(", ") };
        bench.refuse(grants.line, "bind.source", field, path.display(), allowed);
    }
    grant
}

/// What the configuration asks for.
fn asked(bench: &mut Bench<'_>, draft: &Draft, mount: &DraftMount, grant: &BindGrant, owner: &OwnerMap) {
    let options = &mount.options;
    let (set, clear) =
        (options.attr.set | options.recursive_attr.set, options.attr.clear | options.recursive_attr.clear);
    let options_field = format!("{}/options", mount.field);
    let readonly = set & MOUNT_ATTR_RDONLY != 0 && clear & MOUNT_ATTR_RDONLY == 0;
    let word = |readonly: bool| if readonly { "ro" } else { "rw" };
    let granted = grant.access == Access::Ro;
    let kept = readonly || !granted;
    bench.decide(kept, grant.line, "bind.access", &options_field, word(readonly), word(granted));
    let missing =
        FLOOR.iter().filter(|(_, flag)| grant.floor & flag != 0 && (set & flag == 0 || clear & flag != 0));
    let missing: Vec<_> = missing.map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        let text = format!("without {}", missing.join(", "));
        bench.refuse(grant.line, "bind.floor", &options_field, text, "with the flags of the floor");
    }
    if let Some(places) = &grant.destinations {
        let field = format!("{}/destination", mount.field);
        let kept = places.cover(&mount.destination).is_some();
        bench.decide(kept, grant.line, "bind.destinations", field, mount.destination.display(), places);
    }
    // Through an id map a program may write as any user of the host; the sandbox's own maps
    // show the source's owner as the sandbox user and nobody else.
    if owner.is_chosen() && draft.door == Door::Oci && !grant.idmap {
        let field = format!("{}/uidMappings", mount.field);
        bench.refuse(grant.line, "bind.idmap", field, "id maps of its own", "the owners as they are");
    }
}

/// What was opened.
fn found(bench: &mut Bench<'_>, grant: &BindGrant, field: &str, pinned: &Pinned) {
    let source = &pinned.identity;
    let name = source.path.display();
    if let Some(kernel) = builtin::kernel_filesystem(pinned) {
        let allowed = "files and directories of ordinary file systems";
        bench.refuse(grant.line, "bind.kernel_fs", field, kernel, allowed);
    }
    let word = |file_type: u32| {
        TYPES.iter().find(|(_, known)| *known == file_type).map_or("device", |(word, _)| *word)
    };
    let types: Vec<_> = grant.types.iter().map(|typ| word(*typ)).collect();
    let text = format!("{name} is a {}", word(source.file_type));
    let kept = grant.types.contains(&source.file_type);
    bench.decide(kept, grant.line, "bind.type", field, text, types.join(", "));
    if let Some(owner) = &grant.owner {
        let asked = format!("{name} belongs to {}", source.uid);
        bench.decide(owner.hold(source.uid), grant.line, "bind.owner", field, asked, owner);
    }
    if source.file_type == libc::S_IFREG && pinned.nlink > 1 && !grant.hard_links {
        let text = format!("{name} has {} names", pinned.nlink);
        bench.refuse(grant.line, "bind.hard_links", field, text, "files with one name");
    }
}

/// The records of containers, and what holds or is held by them: who writes there says what `delete` kills,
/// and who reads there has every configuration and the sockets on which containers wait.
pub(super) fn state(bench: &mut Bench<'_>, field: &str, rule: &'static str, pinned: &Pinned) {
    let path = &pinned.identity.path;
    let is_near = |root: &&PathBuf| path.starts_with(root) || root.starts_with(path);
    let own = Some(&bench.request.state_root).filter(|root| !root.as_os_str().is_empty());
    let near = bench.roots.iter().chain(own).find(is_near).filter(|_| bench.first).cloned();
    if let Some(root) = near {
        let asked = format!("{} holds or lies in {}", path.display(), root.display());
        bench.refuse(0, rule, field, asked, "nothing of pinfold's own state");
    }
}

/// What is mounted in between the place and the source, or below the source.
fn below(bench: &mut Bench<'_>, grant: &BindGrant, mount: &DraftMount, field: &str, pinned: &Pinned) {
    let between =
        pinned.mount_point.as_ref().filter(|point| point.starts_with(&grant.path) && **point != grant.path);
    let below = pinned.below.first().filter(|_| mount.options.recursive).map(|mount| &mount.place);
    if let Some(point) = between.or(below).filter(|_| !grant.cross_mounts) {
        let text = format!("{} is mounted there", point.display());
        bench.refuse(grant.line, "bind.cross_mounts", field, text, "one file system");
        return;
    }
    let everywhere = mount.options.recursive_attr.set;
    let missing = FLOOR.iter().find(|(_, flag)| grant.floor & flag != 0 && everywhere & flag == 0);
    if let (Some(_), Some((name, _))) = (below, missing) {
        let text = format!("without r{name}, with mounts below");
        bench.refuse(grant.line, "bind.floor", format!("{}/options", mount.field), text, format!("r{name}"));
    }
}
