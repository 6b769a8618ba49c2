//! Finding and making places inside the new root, by descriptors only: openat2(2) with
//! RESOLVE_IN_ROOT, one component at a time where something has to be made, and never
//! through a link that stands where a directory was made.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::{Mode, SFlag};

use super::Done;
use crate::plan::{Made, Target, TargetKind};
use crate::sys;

/// Opens a path inside the root; links are followed in-root.
pub(super) fn find(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    let path = CStr::from_bytes_with_nul(skip_slashes(path)).unwrap_or(path);
    open_in_root(root, path, ResolveFlag::empty())
}

fn skip_slashes(path: &CStr) -> &[u8] {
    let bytes = path.to_bytes_with_nul();
    let slashes = bytes.iter().take_while(|byte| **byte == b'/').count();
    bytes.get(slashes..).unwrap_or(bytes)
}

fn open_in_root(root: BorrowedFd<'_>, path: &CStr, more: ResolveFlag) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS | more);
    nix::fcntl::openat2(root, path, how)
}

fn link_rule(target: &Target) -> ResolveFlag {
    match target.follow {
        true => ResolveFlag::empty(),
        false => ResolveFlag::RESOLVE_NO_SYMLINKS,
    }
}

/// The target, made when it is missing.
pub(super) fn find_or_make(root: BorrowedFd<'_>, target: &Target) -> Result<OwnedFd, Errno> {
    match open_in_root(root, &target.path, link_rule(target)) {
        Err(Errno::ENOENT) => {}
        other => return other,
    }
    let (parent, name) = parent_of(root, target)?;
    match target.kind {
        TargetKind::Directory => make_one(parent.as_fd(), name, 0o755),
        TargetKind::File => as_owner_of(parent.as_fd(), || make_file(parent.as_fd(), name, 0o644))
            .and_then(|file| as_its_parent(file.as_fd(), parent.as_fd())),
    }?;
    open_beneath(parent.as_fd(), name)
}

/// The directory that holds the target's last component, made where it is missing.
fn parent_of<'t>(root: BorrowedFd<'_>, target: &'t Target) -> Result<(OwnedFd, &'t CStr), Errno> {
    let (_, last) = target.prefixes.last().ok_or(Errno::EEXIST)?;
    let mut parent = open_in_root(root, c".", ResolveFlag::empty())?;
    let mut made = false;
    let above = target.prefixes.len().saturating_sub(1);
    for (prefix, name) in target.prefixes.iter().take(above) {
        let next = match made {
            false => open_in_root(root, prefix, link_rule(target)),
            true => Err(Errno::ENOENT),
        };
        parent = match next {
            Err(Errno::ENOENT) => {
                make_one(parent.as_fd(), name, 0o755)?;
                made = true;
                open_beneath(parent.as_fd(), name)?
            }
            other => other?,
        };
    }
    Ok((parent, last))
}

fn open_beneath(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW).resolve(
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV,
    );
    nix::fcntl::openat2(parent, name, how)
}

fn make_one(parent: BorrowedFd<'_>, name: &CStr, mode: u32) -> Done {
    as_owner_of(parent, || nix::sys::stat::mkdirat(parent, name, Mode::from_bits_truncate(mode)))?;
    let made = open_beneath(parent, name)?;
    as_its_parent(made.as_fd(), parent)
}

/// On an id-mapped mount the container's root may have no id to own a file with, and the
/// kernel refuses with EOVERFLOW (mount_setattr(2), "ID-mapped mounts"). There things are
/// made as the directory's owner, with no right that this owner has not.
fn as_owner_of<T>(parent: BorrowedFd<'_>, make: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
    match make() {
        Err(Errno::EOVERFLOW) => {}
        other => return other,
    }
    let owner = sys::file::stat(parent)?;
    // The group first: setfsuid(2) away from 0 takes the capabilities about files.
    sys::ids::setfsgid(owner.gid)?;
    sys::ids::setfsuid(owner.uid)?;
    let made = make();
    sys::ids::setfsuid(0)?;
    sys::ids::setfsgid(0)?;
    made
}

/// A mount point belongs to whoever owns the directory it was made in: what the runtime
/// leaves in a workspace must not be root's.
fn as_its_parent(made: BorrowedFd<'_>, parent: BorrowedFd<'_>) -> Done {
    let above = sys::file::stat(parent)?;
    let own = sys::file::stat(made)?;
    match (own.uid, own.gid) == (above.uid, above.gid) {
        true => Ok(()),
        false => match sys::file::fchownat_empty(made, above.uid, above.gid) {
            // The directory's owner or group has no id in this user namespace: what is made
            // there is the caller's (chown(2)).
            Err(Errno::EINVAL) => Ok(()),
            other => other,
        },
    }
}

fn make_file(parent: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW)
        .mode(Mode::from_bits_truncate(mode))
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    nix::fcntl::openat2(parent, name, how)
}

/// A directory that may already be there (then it is left as it is).
pub(super) fn make_directory(root: BorrowedFd<'_>, target: &Target, mode: u32) -> Done {
    match open_in_root(root, &target.path, link_rule(target)) {
        Err(Errno::ENOENT) => {}
        other => return other.map(|_| ()),
    }
    let (parent, name) = parent_of(root, target)?;
    nix::sys::stat::mkdirat(parent.as_fd(), name, Mode::from_bits_truncate(mode))
}

/// Makes one planned thing.
pub(super) fn make(root: BorrowedFd<'_>, made: &Made) -> Done {
    match made {
        Made::Directory(target, mode) => make_directory(root, target, *mode),
        Made::File { target, content, mode, owner } => {
            let (parent, name) = parent_of(root, target)?;
            let file = make_file(parent.as_fd(), name, *mode)?;
            sys::file::write_all(file.as_fd(), content)?;
            give(file.as_fd(), *owner)
        }
        Made::Link(target, text) => {
            let (parent, name) = parent_of(root, target)?;
            existing_is_fine(nix::unistd::symlinkat(text.as_c_str(), parent.as_fd(), name))
        }
        Made::Device { target, file_type, rdev, mode, owner } => {
            let (parent, name) = parent_of(root, target)?;
            let kind = SFlag::from_bits_truncate(*file_type);
            match nix::sys::stat::mknodat(parent.as_fd(), name, kind, Mode::from_bits_truncate(*mode), *rdev)
            {
                Err(Errno::EEXIST) => return same_device(parent.as_fd(), name, *file_type, *rdev),
                other => other?,
            }
            give(open_beneath(parent.as_fd(), name)?.as_fd(), *owner)
        }
    }
}

fn give(made: BorrowedFd<'_>, (uid, gid): (u32, u32)) -> Done {
    let own = sys::file::stat(made)?;
    match (own.uid, own.gid) == (uid, gid) {
        true => Ok(()),
        false => sys::file::fchownat_empty(made, uid, gid),
    }
}

/// runtime-spec, config-linux.md "Devices": an error when another file is there.
fn same_device(parent: BorrowedFd<'_>, name: &CStr, file_type: u32, rdev: u64) -> Done {
    let stat = sys::file::stat(open_beneath(parent, name)?.as_fd())?;
    match stat.mode & libc::S_IFMT == file_type && stat.rdev == rdev {
        true => Ok(()),
        false => Err(Errno::EEXIST),
    }
}

fn existing_is_fine(made: Done) -> Done {
    match made {
        Err(Errno::EEXIST) => Ok(()),
        other => other,
    }
}
