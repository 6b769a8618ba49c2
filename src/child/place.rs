//! Finding and making places inside the new root, by descriptors only: openat2(2) with
//! RESOLVE_IN_ROOT, one component at a time where something has to be made, and never
//! through a link that stands where a directory was made. A mount point that links name which
//! lead to nothing is `dangling`'s.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::{Mode, SFlag};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::Done;
use crate::plan::{Made, Target, TargetKind};
use crate::sys;

/// How often a name is taken again from who takes it meanwhile.
const REPLACEMENTS: u32 = 8;
/// Room for the text of a link that pinfold makes.
const LINK_TEXT: usize = 64;

/// Opens a path inside the root; links are followed in-root.
///
/// # Errors
/// openat2(2).
pub fn find(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    let path = match CStr::from_bytes_with_nul(skip_slashes(path)) {
        Ok(path) if !path.is_empty() => path,
        _ => c".",
    };
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
    sys::openat2::openat2(root, path, how)
}

fn link_rule(target: &Target) -> ResolveFlag {
    match target.follow {
        true => ResolveFlag::empty(),
        false => ResolveFlag::RESOLVE_NO_SYMLINKS,
    }
}

/// A place, and whether it was there.
pub struct Place {
    /// It (O_PATH).
    pub fd: OwnedFd,
    /// Otherwise it was made.
    pub found: bool,
}

/// The target, made when it is missing.
///
/// # Errors
/// openat2(2), mkdirat(2); EEXIST: something else came to stand there, or a link that leads to nothing.
pub fn find_or_make(root: BorrowedFd<'_>, target: &Target) -> Result<Place, Errno> {
    match open_in_root(root, &target.path, link_rule(target)) {
        Err(Errno::ENOENT) => {}
        other => return Ok(Place { fd: other?, found: true }),
    }
    let (parent, name) = parent_of(root, target)?;
    make_one(parent.as_fd(), name, target.kind)
}

/// One component that is missing.
pub(super) fn make_one(parent: BorrowedFd<'_>, name: &CStr, kind: TargetKind) -> Result<Place, Errno> {
    match kind {
        TargetKind::Directory => make_one_directory(parent, name, 0o755),
        TargetKind::File | TargetKind::Node { .. } => {
            by_its_owner(parent, || make_file(parent, name, 0o644)).map(drop)
        }
    }?;
    Ok(Place { fd: open_beneath(parent, name)?, found: false })
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
                made = true;
                make_one(parent.as_fd(), name, TargetKind::Directory)?.fd
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

fn make_one_directory(parent: BorrowedFd<'_>, name: &CStr, mode: u32) -> Done {
    by_its_owner(parent, || nix::sys::stat::mkdirat(parent, name, Mode::from_bits_truncate(mode)))
}

/// Makes something as the owner of the directory that it is made in: what the runtime
/// leaves in a workspace must not be root's, and on an id-mapped mount root has no id at all
/// (EOVERFLOW). Nothing is given away afterwards: whoever writes the workspace at the same
/// time could put an object of somebody else's in its place before the chown.
fn by_its_owner<T>(parent: BorrowedFd<'_>, make: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
    let above = sys::file::stat(parent)?;
    let (uid, gid) = sys::ids::fsids();
    if (above.uid, above.gid) == (uid, gid) {
        return make();
    }
    let made = match take_fsids(above.uid, above.gid) {
        Ok(()) => make(),
        Err(errno) => Err(errno),
    };
    // The group while its capability is there, whatever the user was.
    sys::ids::setfsuid(uid)?;
    sys::ids::setfsgid(gid)?;
    match made {
        // An owner without an id here, or one who may not write: then it is made as what we are.
        Err(Errno::EPERM | Errno::EINVAL | Errno::EACCES) => make(),
        made => made,
    }
}

fn take_fsids(uid: u32, gid: u32) -> Done {
    sys::ids::setfsgid(gid)?;
    sys::ids::setfsuid(uid)
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
    make_one_directory(parent.as_fd(), name, mode)
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
        Made::OnlyLink(target, text) => {
            let (parent, name) = parent_of(root, target)?;
            replace_by_link(parent.as_fd(), name, text)
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
    // The caller may have mounted the host's node there.
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let stat = sys::file::stat(nix::fcntl::openat2(parent, name, how)?.as_fd())?;
    match stat.mode & libc::S_IFMT == file_type && stat.rdev == rdev {
        true => Ok(()),
        false => Err(Errno::EEXIST),
    }
}

/// A link, in place of whatever has its name: of a link that stands there nobody asks where it
/// leads. EBUSY: a mount does. ENOTEMPTY: a directory that is not empty.
fn replace_by_link(parent: BorrowedFd<'_>, name: &CStr, text: &CStr) -> Done {
    for _ in 0..REPLACEMENTS {
        match nix::unistd::symlinkat(text, parent, name) {
            Err(Errno::EEXIST) if is_link(parent, name, text)? => return Ok(()),
            Err(Errno::EEXIST) => remove(parent, name)?,
            made => return made,
        }
    }
    Err(Errno::EEXIST)
}

/// Whether a link stands there and says this: then nothing has to change, which a read-only root
/// would refuse.
fn is_link(parent: BorrowedFd<'_>, name: &CStr, text: &CStr) -> Result<bool, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW)
        .resolve(ResolveFlag::RESOLVE_BENEATH);
    let found = match nix::fcntl::openat2(parent, name, how) {
        Err(Errno::ENOENT) => return Ok(false),
        found => found?,
    };
    let mut buffer = [0; LINK_TEXT];
    match sys::directory::readlink_empty(found.as_fd(), &mut buffer) {
        Ok(says) => Ok(says == text),
        // No link, or a longer one.
        Err(Errno::ENOENT | Errno::EINVAL | Errno::ENAMETOOLONG) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// One name of a directory: unlinkat(2) follows nothing, and empties nothing.
fn remove(parent: BorrowedFd<'_>, name: &CStr) -> Done {
    let removed = match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR) => unlinkat(parent, name, UnlinkatFlags::RemoveDir),
        other => other,
    };
    match removed {
        // Another launch in the same root was faster.
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

fn existing_is_fine(made: Done) -> Done {
    match made {
        Err(Errno::EEXIST) => Ok(()),
        other => other,
    }
}
