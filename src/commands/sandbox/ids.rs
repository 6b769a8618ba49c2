//! Which ids the sandbox has on the host.
//!
//! Started by root: a range of host ids that nothing else uses, so that an escape is
//! nobody. Started by an ordinary user: the user's own id, which is all it may map.

use super::super::host::Host;
use super::users::User;
use crate::cli::SandboxArgs;
use crate::error::Result;
use crate::plan::{IdMaps, IdRange as MapRange};
use crate::rootfs::{TOOL_GID, TOOL_UID};
use crate::state::{StateRoot, id_range};

/// The maps, and the range that must be held while they are in use.
pub(super) struct Ids {
    pub maps: IdMaps,
    pub range: Option<id_range::IdRange>,
}

/// Chooses the ids.
pub(super) fn choose(host: &Host, args: &SandboxArgs, user: &User) -> Result<Ids> {
    if host.facts.rootless {
        // The one id can be any: it is the one that the image asks for.
        let of_image = args.files.image.is_some() && args.identity.user.is_none();
        let (uid, gid) = if of_image { (user.uid, user.gid) } else { (TOOL_UID, TOOL_GID) };
        let own = |inside, outside| vec![MapRange { inside, outside, size: 1 }];
        let maps = IdMaps { uids: own(uid, host.facts.euid), gids: own(gid, host.facts.egid) };
        return Ok(Ids { maps, range: None });
    }
    // One place for all, whatever --root says: two sandboxes must never share a range.
    let root = StateRoot::open(None)?;
    let range = id_range::take(&root)?;
    let whole = || vec![MapRange { inside: 0, outside: range.base(), size: id_range::SIZE }];
    Ok(Ids { maps: IdMaps { uids: whole(), gids: whole() }, range: Some(range) })
}

/// Who owns what pinfold makes in a fresh root: root, where the sandbox has one. The single
/// id of a caller without privilege is the program's own; the read-only root keeps the
/// files from it all the same.
pub(super) fn owner_of_root(host: &Host) -> (u32, u32) {
    if host.facts.rootless { (TOOL_UID, TOOL_GID) } else { (0, 0) }
}
