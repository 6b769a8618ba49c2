//! `[callers]`, and what holds for everybody who came by sudo, whatever the rules say: pinfold's own
//! rights are root's, and a container must not hand them on.

use super::Bench;
use crate::draft::{Door, Draft, MountSource};
use crate::plan::IdRange;
use crate::policy::document::{BySudo, Policy};
use crate::policy::read::FIRST_FREE_ID;
use crate::sys::caller::Caller;
use crate::sys::clone::CLONE_NEWUSER;

/// Every door.
pub(super) fn known(bench: &mut Bench<'_>, policy: &Policy) {
    let sudo = &policy.callers.sudo;
    if sudo.value == BySudo::Required && bench.request.caller.is_none() {
        bench.refuse(sudo.line, "callers.sudo", "SUDO_UID", "a call that is not by sudo", "calls by sudo");
    }
}

/// A launch.
pub(super) fn launch(bench: &mut Bench<'_>, draft: &Draft) {
    let Some(caller) = bench.request.caller.clone() else { return };
    if draft.new_namespaces & CLONE_NEWUSER == 0 {
        let allowed = "a new user namespace, in which nobody is root of the host";
        bench.refuse(0, "callers.user_namespace", "/linux/namespaces", "none for users", allowed);
    }
    for (field, ranges, own) in maps(draft, &caller) {
        for range in ranges.iter().filter(|range| !is_free(range, &own)) {
            let allowed = format!("ids from {FIRST_FREE_ID} on, and the caller's own, one by one");
            bench.refuse(
                0,
                "callers.ids",
                field,
                format!("{} ids from {}", range.size, range.outside),
                allowed,
            );
        }
    }
    for mount in &draft.mounts {
        if let (MountSource::Bind { owner, .. }, Door::Oci) = (&mount.source, draft.door)
            && owner.is_chosen()
        {
            let field = format!("{}/options", mount.field);
            bench.refuse(0, "callers.idmap", field, "an id map of its own", "none");
        }
    }
    cgroup(bench, draft);
}

fn maps<'a>(draft: &'a Draft, caller: &Caller) -> [(&'static str, &'a [IdRange], Vec<u32>); 2] {
    let (uids, gids) = draft.id_maps.as_ref().map_or((&[][..], &[][..]), |maps| (&maps.uids, &maps.gids));
    let groups = caller.groups.iter().copied().chain([caller.gid]).filter(|gid| *gid != 0).collect();
    [("/linux/uidMappings", uids, vec![caller.uid]), ("/linux/gidMappings", gids, groups)]
}

fn is_free(range: &IdRange, own: &[u32]) -> bool {
    range.outside >= FIRST_FREE_ID || (range.size == 1 && own.contains(&range.outside))
}

/// The group of another caller could be frozen, limited and killed by its name.
fn cgroup(bench: &mut Bench<'_>, draft: &Draft) {
    let (Some(place), Some(path)) = (&bench.request.cgroup_place, &draft.cgroup_path) else { return };
    if !path.is_below(place) {
        let (asked, allowed) = (path.to_string(), format!("below {place}"));
        bench.refuse(0, "callers.cgroup", "/linux/cgroupsPath", asked, allowed);
    }
}
