//! Which ids the sandbox has on the host.
//!
//! Started by root: a range of host ids that nothing else uses, so that an escape is
//! nobody. Started by an ordinary user: the user's own id, which is all it may map by its own right;
//! on an image, where that is not enough, its subordinate ids too.

use super::super::host::Host;
use super::users::User;
use crate::cli::SandboxArgs;
use crate::error::{Error, Result};
use crate::image::subordinate::Subordinate;
use crate::image::unpack::IdMap;
use crate::plan::{IdMaps, IdRange as MapRange};
use crate::rootfs::{TOOL_GID, TOOL_UID};
use crate::state::{StateRoot, id_range};

/// The maps, and the range that must be held while they are in use.
pub(super) struct Ids {
    pub maps: IdMaps,
    pub range: Option<id_range::IdRange>,
    /// Those of a user, where they are mapped: root inside is the user.
    pub subordinate: Option<Subordinate>,
}

/// Chooses the ids.
pub(super) fn choose(host: &Host, args: &SandboxArgs, user: &User) -> Result<Ids> {
    if host.facts.rootless {
        let more = args.files.image.is_some() && needs_more(args, user);
        if let Some(ids) = more.then(Subordinate::of_caller).transpose()?.flatten() {
            return several(ids, user);
        }
        // The one id can be any: it is the one that the image asks for.
        let of_image = args.files.image.is_some() && args.identity.user.is_none();
        let (uid, gid) = if of_image { (user.uid, user.gid) } else { (TOOL_UID, TOOL_GID) };
        let own = |inside, outside| vec![MapRange { inside, outside, size: 1 }];
        let maps = IdMaps { uids: own(uid, host.facts.euid), gids: own(gid, host.facts.egid) };
        return Ok(Ids { maps, range: None, subordinate: None });
    }
    // One place for all, whatever --root says: two sandboxes must never share a range.
    let root = StateRoot::open(None)?;
    let range = id_range::take(&root)?;
    let whole = || vec![MapRange { inside: 0, outside: range.base(), size: id_range::SIZE }];
    Ok(Ids { maps: IdMaps { uids: whole(), gids: whole() }, range: Some(range), subordinate: None })
}

/// Whether the options ask for more than the caller's own id, shown as one that an image has.
pub(super) fn needs_more(args: &SandboxArgs, user: &User) -> bool {
    let of_image = args.files.image.is_some() && args.identity.user.is_none();
    !args.identity.group_add.is_empty() || (!of_image && (user.uid, user.gid) != (TOOL_UID, TOOL_GID))
}

fn several(ids: Subordinate, user: &User) -> Result<Ids> {
    if !ids.has(user.uid, user.groups.iter().copied().chain([user.gid])) {
        return Err(Error::setup("is more than this caller's ids in /etc/subuid and /etc/subgid can be")
            .field("--user, --group-add")
            .object(format!("{}:{}", user.uid, user.gid)));
    }
    let one = |map: &IdMap| MapRange { inside: map.inside, outside: map.outside, size: map.count };
    let ranges = |maps: &[IdMap]| maps.iter().map(one).collect();
    let maps = IdMaps { uids: ranges(&ids.uids), gids: ranges(&ids.gids) };
    Ok(Ids { maps, range: None, subordinate: Some(ids) })
}

/// Who owns what pinfold makes in a fresh root: root, where the sandbox has one. The single
/// id of a caller without privilege is the program's own; the read-only root keeps the
/// files from it all the same.
pub(super) fn owner_of_root(host: &Host) -> (u32, u32) {
    if host.facts.rootless { (TOOL_UID, TOOL_GID) } else { (0, 0) }
}
