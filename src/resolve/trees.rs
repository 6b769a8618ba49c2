//! Detached mount trees, made of pinned descriptors: open_tree(2), mount_setattr(2).

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use super::{Pinned, idmap};
use crate::draft::{MountOptions, OwnerMap};
use crate::error::{Call, Context, Error, Result};
use crate::plan::{MountFrom, Reopened};
use crate::sys::mount::{self, AT_EMPTY_PATH, AT_RECURSIVE, MOUNT_ATTR__ATIME, MountAttr};

/// How a tree is made of a pinned object.
pub(super) struct Wish<'a> {
    pub options: &'a MountOptions,
    pub owner: &'a OwnerMap,
    /// The caller cannot clone mounts: the child reopens and compares.
    pub rootless: bool,
}

/// The mount source for a pinned object.
pub(super) fn source(pinned: &Pinned, wish: &Wish<'_>) -> Result<MountFrom> {
    let attr = attributes(wish.options);
    match wish.rootless {
        true if *wish.owner != OwnerMap::Keep => {
            Err(Error::setup("an id-mapped mount needs privilege on the host")
                .object(pinned.identity.path.display()))
        }
        true => Ok(MountFrom::Path(reopened(pinned)?, attr)),
        false => tree(pinned, wish, &attr).map(MountFrom::Tree).on(pinned.identity.path.display()),
    }
}

/// The same object, for a child that opens it again.
pub(super) fn reopened(pinned: &Pinned) -> Result<Reopened> {
    let identity = &pinned.identity;
    let path = CString::new(identity.path.as_os_str().as_bytes())
        .map_err(|error| Error::usage(error.to_string()).object(identity.path.display()))?;
    Ok(Reopened { path, dev: identity.dev, ino: identity.ino, file_type: identity.file_type })
}

/// What is set on every mount of the tree. Read-only means recursively: a submount of a
/// read-only bind is not writable either (runc and crun leave it so without `rro`).
fn attributes(options: &MountOptions) -> MountAttr {
    let restrict = options.attr.set;
    let atime = (options.attr.clear | options.recursive_attr.clear) & MOUNT_ATTR__ATIME;
    MountAttr {
        set: restrict | options.recursive_attr.set,
        clear: (options.recursive_attr.clear & !restrict) | atime,
        propagation: mount::MS_PRIVATE,
    }
}

fn tree(pinned: &Pinned, wish: &Wish<'_>, attr: &MountAttr) -> Result<OwnedFd> {
    let recursive = if wish.options.recursive { AT_RECURSIVE } else { 0 };
    let flags = mount::OPEN_TREE_CLONE | mount::OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recursive;
    let tree = mount::open_tree(pinned.fd.as_fd(), c"", flags).call("open_tree")?;
    // Private before anything else, in the same call as the restrictions.
    mount::mount_setattr(tree.as_fd(), c"", AT_EMPTY_PATH | recursive, attr, None).call("mount_setattr")?;
    loosen(&tree, wish.options)?;
    show_owners(&tree, pinned, wish)?;
    Ok(tree)
}

/// `rw`, `suid`, `dev`, `exec` take a flag off the mount itself, never off what lies below.
fn loosen(tree: &OwnedFd, options: &MountOptions) -> Result<()> {
    let clear = options.attr.clear & !MOUNT_ATTR__ATIME & !options.recursive_attr.set;
    if clear == 0 {
        return Ok(());
    }
    let attr = MountAttr { clear, ..MountAttr::default() };
    mount::mount_setattr(tree.as_fd(), c"", AT_EMPTY_PATH, &attr, None).call("mount_setattr")
}

fn show_owners(tree: &OwnedFd, pinned: &Pinned, wish: &Wish<'_>) -> Result<()> {
    let identity = &pinned.identity;
    let maps = match wish.owner {
        OwnerMap::Keep => return Ok(()),
        OwnerMap::SourceOwnerIs(uid, gid) => idmap::one_owner((identity.uid, identity.gid), (*uid, *gid))?,
        OwnerMap::Maps(maps) => maps.clone(),
    };
    let namespace = idmap::user_namespace(&maps)?;
    let recursive = if wish.options.ridmap { AT_RECURSIVE } else { 0 };
    let attr = MountAttr::default();
    match mount::mount_setattr(tree.as_fd(), c"", AT_EMPTY_PATH | recursive, &attr, Some(namespace.as_fd())) {
        Err(Errno::EINVAL) => Err(Error::call("mount_setattr", Errno::EINVAL)
            .hint("the filesystem of this source cannot be id-mapped (procfs, sysfs, some network and overlay mounts)")),
        other => other.call("mount_setattr"),
    }
}
