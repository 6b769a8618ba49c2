//! Removing trees by descriptor: no link is followed, depth costs neither stack nor
//! descriptors, and the time is linear.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::renameat;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::parents::open_directory;
use crate::error::{Call, Error, Result};
use crate::sys::directory::{dirent_name, getdents64};

/// Levels that are descended before what lies deeper is moved up.
const LEVELS: usize = 32;

/// Removes a directory and all in it.
pub(super) fn directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    empty(open_directory(parent, name)?.as_fd())?;
    unlinkat(parent, name, UnlinkatFlags::RemoveDir).call("unlinkat")
}

/// Removes all that is in a directory. Nobody else may write it meanwhile.
///
/// # Errors
/// A call: EPERM of an immutable file, EIO.
pub fn empty(top: BorrowedFd<'_>) -> Result<()> {
    let mut moved = 0;
    loop {
        let before = moved;
        level(top, top, LEVELS, &mut moved)?;
        if moved == before {
            return Ok(());
        }
    }
}

fn level(top: BorrowedFd<'_>, directory: BorrowedFd<'_>, levels: usize, moved: &mut u64) -> Result<()> {
    for name in names(directory)? {
        match unlinkat(directory, name.as_slice(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) => continue,
            Err(Errno::EISDIR | Errno::EPERM) => {}
            Err(errno) => return Err(Error::call("unlinkat", errno)),
        }
        if levels == 0 {
            up(top, directory, &name, moved)?;
            continue;
        }
        level(top, open_directory(directory, &name)?.as_fd(), levels - 1, moved)?;
        unlinkat(directory, name.as_slice(), UnlinkatFlags::RemoveDir).call("unlinkat")?;
    }
    Ok(())
}

/// Moves a deep directory to the top, from where it is removed next.
fn up(top: BorrowedFd<'_>, directory: BorrowedFd<'_>, name: &[u8], moved: &mut u64) -> Result<()> {
    loop {
        *moved += 1;
        match renameat(directory, name, top, format!(".pinfold-deep-{moved}").as_str()) {
            // Something in the tree has that name.
            Err(Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR) => {}
            renamed => return renamed.call("renameat"),
        }
    }
}

/// What is in a directory, without `.` and `..`.
pub(super) fn names(directory: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>> {
    // A second descriptor has an offset of its own.
    let directory = open_directory(directory, b".")?;
    let mut names = vec![];
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = getdents64(directory.as_fd(), &mut buffer).call("getdents64")?;
        if length == 0 {
            return Ok(names);
        }
        let mut entries = buffer.get(..length).unwrap_or_default();
        while let Some((name, rest)) = dirent_name(entries) {
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name.to_bytes().to_vec());
            }
            entries = rest;
        }
    }
}
