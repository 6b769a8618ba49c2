//! Sources that lie in the container's own root file system, below a mount that comes before them. runc opens each
//! source when the mounts before it stand, and shows what is mounted there; here every source is opened and judged
//! before anything is mounted, and would silently be what the mount covers. config.md "Mounts": "in the listed order".

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag};

use super::Pinned;
use super::pin::resolved_path;
use crate::draft::{Door, Draft, DraftMount, MountSource};
use crate::error::{Call, Error, Result};
use crate::sys;

/// Refuses the source of the mount `index` where it stands at, or below, the place of an earlier one.
///
/// # Errors
/// It does, by the name of that place.
pub(super) fn check(draft: &Draft, root: Option<&Pinned>, index: usize, source: &Path) -> Result<()> {
    // runc's mounts in a root that is the host's own cannot be reached by a path of the host.
    let (Door::Oci, Some(root)) = (draft.door, root.filter(|root| root.identity.path != Path::new("/")))
    else {
        return Ok(());
    };
    if !source.starts_with(&root.identity.path) {
        return Ok(());
    }
    let earlier = draft.mounts.get(..index).unwrap_or_default();
    let makes = |mount: &&DraftMount| !matches!(mount.source, MountSource::Present);
    match earlier.iter().filter(makes).find(|mount| covers(root, mount, source)) {
        None => Ok(()),
        Some(mount) => Err(Error::usage(format!(
            "lies at or below {:?}, where an earlier mount of this configuration is: all sources are opened before \
             anything is mounted",
            mount.destination
        ))
        .hint("give the source of that mount, and the rest of the path below it")),
    }
}

fn covers(root: &Pinned, mount: &DraftMount, source: &Path) -> bool {
    let below = mount.destination.strip_prefix("/").unwrap_or(&mount.destination);
    let place = stands(below, |path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        sys::openat2::openat2(root.fd.as_fd(), path, how).call("openat2")
    });
    place.is_some_and(|place| place != root.identity.path && source.starts_with(place))
}

/// Where something is, or would be: as far as it exists the kernel says so, of what `open` opened.
pub(super) fn stands(path: &Path, open: impl Fn(&Path) -> Result<OwnedFd>) -> Option<PathBuf> {
    path.ancestors().find_map(|above| {
        let opened = resolved_path(open(above).ok()?.as_fd()).ok()?;
        let rest = path.strip_prefix(above).ok()?;
        Some(if rest.as_os_str().is_empty() { opened } else { opened.join(rest) })
    })
}
