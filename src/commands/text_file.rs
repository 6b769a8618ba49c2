//! Small text files that pinfold reads itself: opened once, without blocking, regular
//! and bounded. A fifo or a link to an endless device must neither hang nor eat memory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, OpenHow, ResolveFlag, SealFlag, fcntl};
use nix::sys::stat::Mode;

use super::caller;
use crate::error::{Call, Context, Error, Result};
use crate::sys;

/// Reads a file that the caller named, at most `limit` bytes; or what comes from a descriptor of the caller's, which
/// a shell names `/dev/fd/N`.
///
/// # Errors
/// openat2(2), read(2); not a regular file; larger than the limit; a descriptor that is none of the caller's.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>> {
    if let Some(inherited) = inherited(path)? {
        return read_all(inherited, limit).on(path.display());
    }
    let how = how(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let _as_caller = caller::rights()?;
    let file = sys::openat2::openat2(nix::fcntl::AT_FDCWD, path, how).call("openat2").on(path.display())?;
    read_open(&file, limit).on(path.display())
}

/// Reads a file below `root`: links are followed inside it only. `None` where there is none.
///
/// # Errors
/// As [`read`].
pub fn read_in_root(root: BorrowedFd<'_>, path: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
    let how = how(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let _as_caller = caller::rights()?;
    match sys::openat2::openat2(root, path, how) {
        Err(nix::errno::Errno::ENOENT) => Ok(None),
        other => read_open(&other.call("openat2").on(path.display())?, limit).on(path.display()).map(Some),
    }
}

/// Reads an inherited descriptor of a file in memory that nobody can change any more (memfd_create(2), "File
/// sealing"), and closes it.
///
/// # Errors
/// It is not open, or no such file; larger than the limit.
pub fn read_sealed(number: u16, limit: usize) -> Result<Vec<u8>> {
    let link = format!("/proc/self/fd/{number}");
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    // Opened again, so that no number of somebody else's is owned here; the link is this process's own.
    let file = nix::fcntl::open(link.as_str(), flags, Mode::empty()).call("open").on(&link)?;
    let seals = fcntl(&file, FcntlArg::F_GET_SEALS)
        .map(SealFlag::from_bits_retain)
        .call("fcntl F_GET_SEALS")
        .on(&link)?;
    if !seals.contains(SealFlag::F_SEAL_WRITE) {
        return Err(Error::usage("not sealed").object(&link));
    }
    let text = read_open(&file, limit).on(&link)?;
    nix::unistd::close(i32::from(number)).call("close").on(&link)?;
    Ok(text)
}

/// What the caller left open, where a path is the name of a descriptor of one's own (fd(4), proc_pid_fd(5)).
///
/// # Errors
/// EBADF: not open, or pinfold's.
pub fn inherited(path: &Path) -> Result<Option<BorrowedFd<'static>>> {
    let open = |number| {
        let inherited = sys::file::inherited(number).call("fcntl").on(path.display());
        inherited.map_err(|error| error.hint("the caller has to leave a descriptor of this number open"))
    };
    descriptor(path).map(open).transpose()
}

fn descriptor(path: &Path) -> Option<i32> {
    let text = path.to_str()?;
    let number = text.strip_prefix("/dev/fd/").or_else(|| text.strip_prefix("/proc/self/fd/"));
    match (text, number) {
        ("/dev/stdin", _) => Some(0),
        ("/dev/stdout", _) => Some(1),
        ("/dev/stderr", _) => Some(2),
        (_, Some(number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => number.parse().ok(),
        _ => None,
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
