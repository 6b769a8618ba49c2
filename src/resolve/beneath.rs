//! The ways of a policy: beneath a place of the host, through no link at all. openat2(2).

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::Mode;

use crate::error::{Call, Context, Error, Result};
use crate::plan::Way;

/// A path on which no way leads to the object without a link, or out of its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barred {
    /// The configuration field.
    pub field: String,
    /// What openat2(2) said: ELOOP of a link, EXDEV of a way out.
    pub errno: Errno,
}

/// What a way came to.
pub(super) enum Reached {
    /// The object.
    Opened(OwnedFd),
    /// It is opened as it is named.
    Freely,
    /// No grant covers it.
    Withheld,
    /// There is a link.
    Barred(Errno),
}

/// Goes a way. `flags` say how the object is opened.
pub(super) fn go(way: &Way, flags: OFlag) -> Result<Reached> {
    let (place, rest) = match way {
        Way::AsNamed => return Ok(Reached::Freely),
        Way::Withheld => return Ok(Reached::Withheld),
        Way::Beneath { place, rest } => (place, rest),
    };
    let root = match open_place(place) {
        Err(errno) if is_a_link(errno) => {
            return Err(Error::call("openat2", errno)
                .object(place.display())
                .hint("a place of the policy is written without symbolic links"));
        }
        other => other.call("openat2").on(place.display())?,
    };
    match open_beneath(root.as_fd(), rest, flags) {
        Ok(fd) => Ok(Reached::Opened(fd)),
        Err(errno) if is_a_link(errno) => Ok(Reached::Barred(errno)),
        Err(errno) => Err(Error::call("openat2", errno)),
    }
}

fn is_a_link(errno: Errno) -> bool {
    matches!(errno, Errno::ELOOP | Errno::EXDEV)
}

/// The place of a grant. It may be a file: then nothing lies beneath it but itself.
fn open_place(place: &Path) -> std::result::Result<OwnedFd, Errno> {
    let resolve = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(resolve);
    nix::fcntl::openat2(nix::fcntl::AT_FDCWD, place, how)
}

/// The object beneath the place; the place itself where the rest is empty.
fn open_beneath(root: BorrowedFd<'_>, rest: &Path, flags: OFlag) -> std::result::Result<OwnedFd, Errno> {
    let resolve =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    match rest.as_os_str().is_empty() {
        false => nix::fcntl::openat2(root, rest, how),
        true if flags.contains(OFlag::O_PATH) => crate::sys::file::duplicate(root),
        // A namespace that is granted by its very path: nsfs needs more than O_PATH, and the
        // descriptor itself says which file is meant.
        true => reopen(root, flags),
    }
}

fn reopen(fd: BorrowedFd<'_>, flags: OFlag) -> std::result::Result<OwnedFd, Errno> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    nix::fcntl::open(path.as_str(), flags | OFlag::O_CLOEXEC, Mode::empty())
}

/// Whether a namespace is process 1's or this process's: one of the host's own.
pub(super) fn is_of_the_host(fd: BorrowedFd<'_>, name: &str) -> Result<bool> {
    let found = crate::sys::file::stat(fd).call("fstat")?;
    for process in ["1", "self"] {
        let path =
            CString::new(Path::new("/proc").join(process).join("ns").join(name).as_os_str().as_bytes())
                .map_err(|error| Error::internal(error.to_string()))?;
        match nix::sys::stat::stat(path.as_c_str()) {
            Ok(own) if (own.st_dev, own.st_ino) == (found.dev, found.ino) => return Ok(true),
            // Process 1 may be somebody else's.
            Ok(_) | Err(Errno::EACCES | Errno::EPERM) => {}
            Err(errno) => return Err(Error::call("stat", errno).object(path.to_string_lossy())),
        }
    }
    Ok(false)
}
