//! Small text files that pinfold reads itself: opened once, without blocking, regular
//! and bounded. A fifo or a link to an endless device must neither hang nor eat memory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag};

use super::caller;
use crate::error::{Call, Context, Error, Result};
use crate::sys;

/// Reads a file that the caller named, at most `limit` bytes.
///
/// # Errors
/// openat2(2), read(2); not a regular file; larger than the limit.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let how = how(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let _as_caller = caller::rights()?;
    let file = nix::fcntl::openat2(nix::fcntl::AT_FDCWD, path, how).call("openat2").on(path.display())?;
    read_open(&file, limit).on(path.display())
}

/// Reads a file below `root`: links are followed inside it only. `None` where there is none.
///
/// # Errors
/// As [`read`].
pub fn read_in_root(root: BorrowedFd<'_>, path: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
    let how = how(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let _as_caller = caller::rights()?;
    match nix::fcntl::openat2(root, path, how) {
        Err(nix::errno::Errno::ENOENT) => Ok(None),
        other => read_open(&other.call("openat2").on(path.display())?, limit).on(path.display()).map(Some),
    }
}

fn how(resolve: ResolveFlag) -> OpenHow {
    OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)
        .resolve(resolve)
}

fn read_open(file: &OwnedFd, limit: usize) -> Result<Vec<u8>> {
    let stat = sys::file::stat(file.as_fd()).call("fstat")?;
    match stat.mode & libc::S_IFMT {
        libc::S_IFREG => read_all(file.as_fd(), limit),
        _ => Err(Error::usage("not a regular file")),
    }
}

/// Reads to the end, at most `limit` bytes.
///
/// # Errors
/// read(2); larger than the limit.
pub fn read_all(file: BorrowedFd<'_>, limit: usize) -> Result<Vec<u8>> {
    let mut content = vec![];
    let mut buffer = [0_u8; 8192];
    loop {
        match sys::file::read(file, &mut buffer).call("read")? {
            0 => return Ok(content),
            length => content.extend_from_slice(buffer.get(..length).unwrap_or_default()),
        }
        if content.len() > limit {
            return Err(Error::usage(format!("is larger than {limit} bytes")));
        }
    }
}
