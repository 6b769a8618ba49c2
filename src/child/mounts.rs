//! Mounts inside the new root. Every source and every target is a descriptor.
//! open_tree(2), move_mount(2), fsopen(2), mount_setattr(2).

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::mount::MsFlags;
use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::place::Place;
use super::{Child, Done, copy_up, dangling, place};
use crate::plan::{Change, Covered, FreshFs, MountFrom, Reopened, Target, TargetKind};
use crate::sys::{self, mount, mount::MountAttr};

/// /dev/null's device number (Documentation/admin-guide/devices.txt: 1 char, 3).
const NULL_DEVICE: (u32, u32) = (1, 3);

/// The mounts of each tmpfs that this child made itself, by id: what is made there is the container's alone.
pub(super) struct FreshMounts {
    ids: [u64; 32],
    count: usize,
}

impl FreshMounts {
    pub(super) const fn none() -> Self {
        Self { ids: [0; 32], count: 0 }
    }

    /// One too many is not known here, and then nothing is made on it.
    fn add(&mut self, tree: BorrowedFd<'_>) -> Done {
        if let Some(room) = self.ids.get_mut(self.count) {
            *room = sys::statmount::statx_mnt_id(tree)?;
            self.count += 1;
        }
        Ok(())
    }

    /// Whether a place lies on one of them.
    pub(super) fn hold(&self, place: BorrowedFd<'_>) -> Result<bool, Errno> {
        let id = sys::statmount::statx_mnt_id(place)?;
        Ok(self.ids.get(..self.count).unwrap_or_default().contains(&id))
    }
}

impl Child<'_> {
    /// Mounts one planned thing at its target, which is made when it is missing.
    pub(super) fn mount(&mut self, from: &MountFrom, target: &Target, propagation: &[u64]) -> Done {
        let root = self.root()?;
        let place = match place::find_or_make(root, target) {
            Err(Errno::EEXIST)
                if target.follow && matches!(target.kind, TargetKind::Directory | TargetKind::File) =>
            {
                dangling::find_or_make(root, target, &self.fresh)?
            }
            place => place?,
        };
        may_cover(&place, target)?;
        let tree = match from {
            MountFrom::Tree(tree, _) => return put(tree.as_fd(), &place, target, propagation),
            MountFrom::Path(reopened, attr) => {
                let tree = reopen(reopened, attr.propagation)?;
                mount::mount_setattr(tree.as_fd(), c"", EVERYWHERE, attr, None)?;
                tree
            }
            MountFrom::Fresh(fresh) => make_fresh(fresh, &place)?,
            MountFrom::Inside(path, attr) => clone_inside(root, path, attr)?,
        };
        put(tree.as_fd(), &place, target, propagation)?;
        match from {
            MountFrom::Fresh(fresh) if fresh.fstype.as_c_str() == c"tmpfs" => self.fresh.add(tree.as_fd()),
            _ => Ok(()),
        }
    }
}

/// What stands at the place may be hidden. ELOOP: a link of the image led into a procfs.
/// EEXIST: a device is asked for, and another file is there (config-linux.md, "Devices").
fn may_cover(place: &Place, target: &Target) -> Done {
    if !place.found {
        return Ok(());
    }
    if !target.on_procfs && sys::file::fstatfs_type(place.fd.as_fd())? == libc::PROC_SUPER_MAGIC {
        return Err(Errno::ELOOP);
    }
    let TargetKind::Node { file_type, rdev } = target.kind else { return Ok(()) };
    let stat = sys::file::stat(place.fd.as_fd())?;
    // An empty file is the mount point of an earlier launch.
    match (stat.mode & libc::S_IFMT, stat.rdev, stat.size) {
        (libc::S_IFREG, _, 0) => Ok(()),
        (found, number, _) if (found, number) == (file_type, rdev) => Ok(()),
        _ => Err(Errno::EEXIST),
    }
}

/// On the root itself, `move_mount` would shadow it for every later step.
fn put(tree: BorrowedFd<'_>, place: &Place, target: &Target, propagation: &[u64]) -> Done {
    if target.prefixes.is_empty() {
        return Err(Errno::EBUSY);
    }
    mount::move_mount(tree, place.fd.as_fd(), c"", 0)?;
    propagate(tree, propagation)
}

/// One after the other, as mount(2) would be called for each.
fn propagate(mounted: BorrowedFd<'_>, propagation: &[u64]) -> Done {
    for flags in propagation {
        let attr = MountAttr { propagation: flags & !libc::MS_REC, ..MountAttr::default() };
        let reach = if flags & libc::MS_REC == 0 { ITSELF } else { EVERYWHERE };
        mount::mount_setattr(mounted, c"", reach, &attr, None)?;
    }
    Ok(())
}

/// Changes the mount that stands at a path. EINVAL: no mount does.
pub(super) fn remount(root: BorrowedFd<'_>, path: &CStr, change: &Change) -> Done {
    let object = place::find(root, path)?;
    for (attr, reach) in [(&change.own, ITSELF), (&change.recursive, EVERYWHERE)] {
        if *attr != MountAttr::default() {
            mount::mount_setattr(object.as_fd(), c"", reach, attr, None)?;
        }
    }
    propagate(object.as_fd(), &change.propagation)
}

const ITSELF: u32 = libc::AT_EMPTY_PATH.cast_unsigned();
const EVERYWHERE: u32 = libc::AT_EMPTY_PATH.cast_unsigned() | mount::AT_RECURSIVE;

/// Opens a host path again from this mount namespace, makes sure that it is the object
/// that was judged, and clones that very descriptor.
pub(super) fn reopen(reopened: &Reopened, propagation: u64) -> Result<OwnedFd, Errno> {
    clone_tree(same_object(reopened)?.as_fd(), propagation)
}

/// The object that was judged, opened from this mount namespace. ESTALE: the path leads to
/// another; the parent has just resolved it, so that nothing or a link there is a swap too.
pub(super) fn same_object(reopened: &Reopened) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let object = match nix::fcntl::openat2(nix::fcntl::AT_FDCWD, reopened.path.as_c_str(), how) {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Err(Errno::ESTALE),
        other => other?,
    };
    let stat = sys::file::stat(object.as_fd())?;
    let same =
        (stat.dev, stat.ino, stat.mode & libc::S_IFMT) == (reopened.dev, reopened.ino, reopened.file_type);
    if same { Ok(object) } else { Err(Errno::ESTALE) }
}

fn clone_tree(object: BorrowedFd<'_>, propagation: u64) -> Result<OwnedFd, Errno> {
    let flags = mount::OPEN_TREE_CLONE | mount::OPEN_TREE_CLOEXEC | EVERYWHERE;
    let tree = mount::open_tree(object, c"", flags)?;
    // A clone of a shared mount stays in its peer group: cut off before anything else.
    let cut = MountAttr { propagation, ..MountAttr::default() };
    mount::mount_setattr(tree.as_fd(), c"", EVERYWHERE, &cut, None)?;
    Ok(tree)
}

/// Makes a filesystem in the namespaces of this child, to cover `place`.
fn make_fresh(fresh: &FreshFs, place: &Place) -> Result<OwnedFd, Errno> {
    let context = configure(fresh)?;
    if let (true, Covered::Mode | Covered::Content { mode: true }) = (place.found, fresh.covered) {
        let mode = sys::file::stat(place.fd.as_fd())?.mode & 0o7777;
        let digits = octal(mode);
        let digits = CStr::from_bytes_with_nul(&digits).or(Err(Errno::EINVAL))?;
        mount::fsconfig_string(context.as_fd(), c"mode", digits)?;
    }
    mount::fsconfig_create(context.as_fd())?;
    let tree = mount::fsmount(context.as_fd(), mount::FSMOUNT_CLOEXEC, fresh.attrs)?;
    if let (true, Covered::Content { .. }) = (place.found, fresh.covered) {
        copy_up::copy(detached_source(place.fd.as_fd())?.as_fd(), tree.as_fd())?;
    }
    Ok(tree)
}

/// The root itself, which covers nothing.
pub(super) fn make_root(fresh: &FreshFs) -> Result<OwnedFd, Errno> {
    let context = configure(fresh)?;
    mount::fsconfig_create(context.as_fd())?;
    mount::fsmount(context.as_fd(), mount::FSMOUNT_CLOEXEC, fresh.attrs)
}

fn configure(fresh: &FreshFs) -> Result<OwnedFd, Errno> {
    let context = mount::fsopen(&fresh.fstype, mount::FSOPEN_CLOEXEC)?;
    for (key, value) in &fresh.options {
        match value {
            Some(value) => mount::fsconfig_string(context.as_fd(), key, value)?,
            None => set_flag(context.as_fd(), key)?,
        }
    }
    if let Some(namespace) = &fresh.pid_namespace {
        mount::fsconfig_fd(context.as_fd(), c"pidns", namespace.as_fd())?;
    }
    Ok(context)
}

/// fsconfig(2) has no word for mount(2)'s MS_I_VERSION: the filesystems that count versions
/// do so by themselves (tmpfs, ext4, xfs, btrfs), or know the option as their own.
fn set_flag(context: BorrowedFd<'_>, key: &CStr) -> Done {
    match mount::fsconfig_flag(context, key) {
        Err(Errno::EINVAL) if key == c"iversion" => Ok(()),
        set => set,
    }
}

/// Four octal digits.
fn octal(mode: u32) -> [u8; 5] {
    let digit = |shift: u32| b'0' + u8::try_from((mode >> shift) & 7).unwrap_or(0);
    [digit(9), digit(6), digit(3), digit(0), 0]
}

/// What is copied is read through a mount of its own, on which no device opens and no link
/// leads on. With the mounts below it, which a user namespace may not leave out; the copy
/// stays on one filesystem by itself.
fn detached_source(place: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let tree = clone_tree(place, mount::MS_PRIVATE)?;
    let set = mount::MOUNT_ATTR_RDONLY
        | mount::MOUNT_ATTR_NOSUID
        | mount::MOUNT_ATTR_NODEV
        | mount::MOUNT_ATTR_NOEXEC;
    mount::mount_setattr(tree.as_fd(), c"", EVERYWHERE, &MountAttr { set, ..MountAttr::default() }, None)?;
    Ok(tree)
}

fn clone_inside(root: BorrowedFd<'_>, path: &CStr, attr: &MountAttr) -> Result<OwnedFd, Errno> {
    let object = place::find(root, path)?;
    let tree = clone_tree(object.as_fd(), mount::MS_PRIVATE)?;
    mount::mount_setattr(tree.as_fd(), c"", EVERYWHERE, attr, None)?;
    Ok(tree)
}

impl Child<'_> {
    /// Makes a path unreadable: an empty read-only tmpfs over a directory, one for all of them; the container's
    /// own /dev/null, verified to be the real device (CVE-2025-31133), over a file.
    /// What does not exist needs no mask.
    pub(super) fn mask(&mut self, path: &CStr) -> Done {
        let root = self.root()?;
        let Some(object) = present(place::find(root, path))? else { return Ok(()) };
        let is_dir = sys::file::stat(object.as_fd())?.mode & libc::S_IFMT == libc::S_IFDIR;
        let cover = match (&self.cover, is_dir) {
            (_, false) => null_device(root)?,
            (Some(first), true) => clone_tree(first.as_fd(), mount::MS_PRIVATE)?,
            (None, true) => empty_directory()?,
        };
        mount::move_mount(cover.as_fd(), object.as_fd(), c"", 0)?;
        if is_dir && self.cover.is_none() {
            self.cover = Some(cover);
        }
        Ok(())
    }
}

fn empty_directory() -> Result<OwnedFd, Errno> {
    let context = mount::fsopen(c"tmpfs", mount::FSOPEN_CLOEXEC)?;
    mount::fsconfig_string(context.as_fd(), c"source", c"tmpfs")?;
    mount::fsconfig_string(context.as_fd(), c"nr_inodes", c"1")?;
    mount::fsconfig_string(context.as_fd(), c"mode", c"0555")?;
    mount::fsconfig_create(context.as_fd())?;
    let attrs = mount::MOUNT_ATTR_RDONLY
        | mount::MOUNT_ATTR_NOSUID
        | mount::MOUNT_ATTR_NODEV
        | mount::MOUNT_ATTR_NOEXEC;
    mount::fsmount(context.as_fd(), mount::FSMOUNT_CLOEXEC, attrs)
}

fn null_device(root: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let object = place::find(root, c"dev/null")?;
    let stat = sys::file::stat(object.as_fd())?;
    let is_null = stat.mode & libc::S_IFMT == libc::S_IFCHR
        && (libc::major(stat.rdev), libc::minor(stat.rdev)) == NULL_DEVICE;
    match is_null {
        true => clone_tree(object.as_fd(), mount::MS_PRIVATE),
        false => Err(Errno::ENODEV),
    }
}

/// Makes a path read-only with all below it, by a read-only clone of itself on top.
pub(super) fn readonly_path(root: BorrowedFd<'_>, path: &CStr) -> Done {
    let Some(object) = present(place::find(root, path))? else { return Ok(()) };
    let tree = clone_tree(object.as_fd(), mount::MS_PRIVATE)?;
    let readonly = MountAttr { set: mount::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    mount::mount_setattr(tree.as_fd(), c"", EVERYWHERE, &readonly, None)?;
    mount::move_mount(tree.as_fd(), object.as_fd(), c"", 0)
}

/// Sets flags on a mount and on everything below it; read-only on what is below alone,
/// unless the mount is read-only already.
pub(super) fn set_attrs_below(top: BorrowedFd<'_>, attrs: u64) -> Done {
    let was_readonly = fstatvfs(top)?.flags().contains(FsFlags::ST_RDONLY);
    let everywhere = MountAttr { set: attrs, ..MountAttr::default() };
    mount::mount_setattr(top, c"", EVERYWHERE, &everywhere, None)?;
    if was_readonly {
        return Ok(());
    }
    let writable = MountAttr { clear: mount::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    mount::mount_setattr(top, c"", libc::AT_EMPTY_PATH.cast_unsigned(), &writable, None)
}

/// The root itself turns read-only; what the user mounted below keeps its own flags.
pub(super) fn readonly_root(root: BorrowedFd<'_>) -> Done {
    let readonly = MountAttr { set: mount::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    mount::mount_setattr(root, c"", libc::AT_EMPTY_PATH.cast_unsigned(), &readonly, None)
}

/// mount(2) with a propagation flag on `/`: cut from the host before the first mount,
/// and set as asked for after the pivot.
pub(super) fn set_root_propagation(flags: u64) -> Done {
    const NONE: Option<&CStr> = None;
    nix::mount::mount(NONE, c"/", NONE, MsFlags::from_bits_retain(flags), NONE)
}

fn present(found: Result<OwnedFd, Errno>) -> Result<Option<OwnedFd>, Errno> {
    match found {
        Ok(object) => Ok(Some(object)),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}
