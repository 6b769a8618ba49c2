//! Detached mount trees, made of pinned descriptors: open_tree(2), mount_setattr(2).

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::{Pinned, idmap};
use crate::draft::{Draft, MountOptions, OwnerMap};
use crate::error::{Call, Context, Error, Kind, Result};
use crate::plan::{MountFrom, Reopened};
use crate::sys::mount::{
    self, AT_EMPTY_PATH, AT_RECURSIVE, MOUNT_ATTR__ATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MountAttr,
};

/// How a tree is made of a pinned object.
pub(super) struct Wish<'a> {
    pub options: &'a MountOptions,
    pub owner: &'a OwnerMap,
    /// The caller cannot clone mounts: the child reopens and compares.
    pub rootless: bool,
    /// Whether mounts made below it may go back to the host: `rootfsPropagation` says so, and
    /// the container's mount namespace is no less privileged than the host's.
    pub shared_with_host: bool,
    /// Whether mounts of the host may come in.
    pub slave_of_host: bool,
}

impl<'a> Wish<'a> {
    /// A source whose owners are shown as they are.
    pub(super) fn plain(draft: &Draft, options: &'a MountOptions) -> Self {
        let root = draft.root.propagation;
        let new_user = draft.has_user_namespace() || draft.rootless;
        Self {
            options,
            owner: &OwnerMap::Keep,
            rootless: draft.rootless,
            shared_with_host: root & libc::MS_SHARED != 0 && !new_user,
            slave_of_host: root & (libc::MS_PRIVATE | libc::MS_UNBINDABLE) == 0,
        }
    }

    /// What a clone of the source is before anything else: in its peer group, mounts made
    /// inside would appear on the host. runc leaves every bind a slave; here one that asks
    /// for no propagation is private.
    fn propagation(&self) -> u64 {
        let asked = |flag| self.options.propagation.iter().any(|flags| flags & flag != 0);
        match (asked(libc::MS_SHARED), asked(libc::MS_SLAVE)) {
            (true, _) if self.shared_with_host => 0,
            (true, _) | (_, true) if self.slave_of_host => mount::MS_SLAVE,
            _ => mount::MS_PRIVATE,
        }
    }
}

/// The mount source for a pinned object.
pub(super) fn source(pinned: &Pinned, wish: &Wish<'_>) -> Result<MountFrom> {
    let attr = attributes(wish);
    let source = pinned.identity.path.display();
    match wish.rootless {
        true if *wish.owner != OwnerMap::Keep => {
            Err(Error::setup("an id-mapped mount needs privilege on the host").object(source))
        }
        true => {
            refuse_locked(pinned, wish.options).on(source)?;
            Ok(MountFrom::Path(reopened(pinned)?, attr))
        }
        false => {
            let words = format!(
                "{} recursive={} set={:#x} clear={:#x} propagation={:#x} owner={}",
                pinned.identity,
                wish.options.recursive,
                attr.set,
                wish.options.attr.clear,
                attr.propagation,
                owner_word(wish.owner)
            );
            tree(pinned, wish, &attr).map(|tree| MountFrom::Tree(tree, words)).on(source)
        }
    }
}

/// The host's ids are left out: they differ from launch to launch, and the digest must not.
fn owner_word(owner: &OwnerMap) -> &'static str {
    match owner {
        OwnerMap::Keep => "kept",
        OwnerMap::SourceOwnerIs(..) => "user",
        OwnerMap::Maps(_) | OwnerMap::OfJoined => "mapped",
    }
}

/// Flags that the source's mount has are locked in the child's mount namespace
/// (mount_namespaces(7)): asking for their opposite is refused here, by name.
fn refuse_locked(pinned: &Pinned, options: &MountOptions) -> Result<()> {
    let locks = [
        (MOUNT_ATTR_RDONLY, FsFlags::ST_RDONLY, "rw", "read-only"),
        (MOUNT_ATTR_NOSUID, FsFlags::ST_NOSUID, "suid", "nosuid"),
        (MOUNT_ATTR_NODEV, FsFlags::ST_NODEV, "dev", "nodev"),
        (MOUNT_ATTR_NOEXEC, FsFlags::ST_NOEXEC, "exec", "noexec"),
    ];
    let cleared = options.attr.clear | options.recursive_attr.clear;
    if locks.iter().all(|(flag, ..)| cleared & flag == 0) {
        return Ok(());
    }
    let set = fstatvfs(&pinned.fd).call("fstatfs")?.flags();
    match locks.iter().find(|(flag, state, ..)| cleared & flag != 0 && set.contains(*state)) {
        Some((_, _, asked, state)) => {
            Err(Error::setup(format!("`{asked}` is asked for, and the source is on a {state} mount"))
                .hint("only root may take that flag off a mount"))
        }
        None => Ok(()),
    }
}

/// The same object, for a child that opens it again.
pub(super) fn reopened(pinned: &Pinned) -> Result<Reopened> {
    let identity = &pinned.identity;
    let path = openable(&identity.path).on(format!("{:?}", identity.path))?;
    let pin = pinned.fd.try_clone().call("fcntl")?;
    Ok(Reopened { path, pin, dev: identity.dev, ino: identity.ino, file_type: identity.file_type })
}

/// The kernel's word for where a descriptor is (readlink(2) of /proc/self/fd) as a path to open.
/// Not every such word is one: it says `(deleted)` behind what was removed, and a path
/// without a slash in front is outside this root.
fn openable(path: &Path) -> Result<CString> {
    let bytes = path.as_os_str().as_bytes();
    if !bytes.starts_with(b"/") {
        return Err(Error::setup("lies outside the root directory of this process"));
    }
    if bytes.ends_with(b" (deleted)") {
        return Err(Error::setup(
            "was removed meanwhile, or has a name that cannot be told from one that was",
        )
        .kind(Kind::IdentityChanged));
    }
    if bytes.contains(&b'\n') {
        return Err(Error::usage("has a line break in its path"));
    }
    CString::new(bytes).map_err(|error| Error::usage(error.to_string()))
}

/// What is set on every mount of the tree. Read-only means recursively: a submount of a
/// read-only bind is not writable either (runc and crun leave it so without `rro`).
fn attributes(wish: &Wish<'_>) -> MountAttr {
    let options = wish.options;
    let restrict = options.attr.set;
    let atime = (options.attr.clear | options.recursive_attr.clear) & MOUNT_ATTR__ATIME;
    MountAttr {
        set: restrict | options.recursive_attr.set,
        clear: (options.recursive_attr.clear & !restrict) | atime,
        propagation: wish.propagation(),
    }
}

fn tree(pinned: &Pinned, wish: &Wish<'_>, attr: &MountAttr) -> Result<OwnedFd> {
    let recursive = if wish.options.recursive { AT_RECURSIVE } else { 0 };
    let flags = mount::OPEN_TREE_CLONE | mount::OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recursive;
    let tree = mount::open_tree(pinned.fd.as_fd(), c"", flags).call("open_tree")?;
    // Cut off before anything else, in the same call as the restrictions.
    mount::mount_setattr(tree.as_fd(), c"", AT_EMPTY_PATH | recursive, attr, None).call("mount_setattr")?;
    loosen(&tree, wish.options)?;
    show_owners(&tree, pinned, wish)?;
    Ok(tree)
}

/// A clone of one directory, without what is mounted below it.
pub(super) fn plain(dir: BorrowedFd<'_>, set: u64) -> Result<OwnedFd> {
    let flags = mount::OPEN_TREE_CLONE | mount::OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
    let tree = mount::open_tree(dir, c"", flags).call("open_tree")?;
    let attr = MountAttr { set, propagation: mount::MS_PRIVATE, ..MountAttr::default() };
    mount::mount_setattr(tree.as_fd(), c"", AT_EMPTY_PATH, &attr, None).call("mount_setattr")?;
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
        OwnerMap::OfJoined => {
            return Err(Error::internal("the maps of the joined user namespace were not read"));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_word_is_not_always_a_path() {
        let rows = [
            ("/a/b", None),
            ("/a (deleted)/b", None),
            ("/a/b (deleted)", Some(Kind::IdentityChanged)),
            ("/a/b\nc", Some(Kind::Usage)),
            ("a/b", Some(Kind::SetupFailed)),
            ("", Some(Kind::SetupFailed)),
        ];
        for (path, refused) in rows {
            assert_eq!(openable(Path::new(path)).err().map(|error| error.class()), refused, "{path:?}");
        }
    }
}
