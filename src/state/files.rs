//! Opens, reads, replaces and unlinks one named file below a directory fd.
//!
//! No name here is ever followed through a link, and none leads out of its
//! directory (openat2(2), Linux 5.6).

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use crate::error::{Call, Context, Error, Result};

/// Owner only.
const PRIVATE_FILE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);
/// The name under which a file is written before it takes its own.
pub(super) const TEMPORARY: &str = ".new";

/// Opens `name` in `dir`; the errno decides what its absence means.
pub(super) fn open(dir: impl AsFd, name: &str, flags: OFlag) -> std::result::Result<File, Errno> {
    let below =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW).resolve(below);
    let how = if flags.contains(OFlag::O_CREAT) { how.mode(PRIVATE_FILE) } else { how };
    openat2(dir, name, how).map(File::from)
}

/// The content of `name`, or `None` where there is no such file.
pub(super) fn read(dir: impl AsFd, name: &str) -> Result<Option<Vec<u8>>> {
    let mut file = match open(dir, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY) {
        Err(Errno::ENOENT) => return Ok(None),
        opened => opened.call("openat2").on(name)?,
    };
    if file_type(&fstat(&file).call("fstat").on(name)?) != SFlag::S_IFREG {
        return Err(Error::setup("not a regular file").object(name));
    }
    let mut content = vec![];
    file.read_to_end(&mut content).call("read").on(name)?;
    Ok(Some(content))
}

/// Replaces `name`: a reader sees all of the old content or all of the new.
///
/// The caller holds the directory's lock: [`TEMPORARY`] is one name.
pub(super) fn replace(dir: impl AsFd, name: &str, content: &[u8]) -> Result<()> {
    let dir = dir.as_fd();
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let mut file = match open(dir, TEMPORARY, flags) {
        Err(Errno::EEXIST) => {
            // Its writer died between the two names; under the lock nobody else writes it.
            unlink(dir, TEMPORARY)?;
            open(dir, TEMPORARY, flags)
        }
        opened => opened,
    }
    .call("openat2")
    .on(TEMPORARY)?;
    file.write_all(content).call("write").on(name)?;
    renameat(dir, TEMPORARY, dir, name).call("renameat").on(name)
}

/// Unlinks `name`; that it is gone already is no failure.
pub(super) fn unlink(dir: impl AsFd, name: &str) -> Result<()> {
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        done => done.call("unlinkat").on(name),
    }
}

/// Refuses a directory in which somebody else could plant or swap a name.
pub(super) fn verify_private_dir(dir: impl AsFd) -> Result<FileStat> {
    let stat = fstat(dir).call("fstat")?;
    let others = Mode::S_IWGRP | Mode::S_IWOTH;
    if file_type(&stat) != SFlag::S_IFDIR {
        return Err(Error::setup("not a directory"));
    }
    if stat.st_uid != geteuid().as_raw() && stat.st_uid != 0 {
        return Err(Error::setup(format!("belongs to user id {}, not to the caller", stat.st_uid)));
    }
    if Mode::from_bits_truncate(stat.st_mode).intersects(others) {
        let refused = Error::setup("writable by its group or by others");
        return Err(refused.hint("chmod go-w, after a look at what is in it"));
    }
    Ok(stat)
}

/// The S_IFMT part of `st_mode`.
pub(super) fn file_type(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// How a lock is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockMode {
    Shared,
    Exclusive,
}

/// A flock(2) that ends with this value.
#[derive(Debug)]
pub(super) struct Lock<'f>(&'f File);

/// Waits for the lock. A signal does not end the wait.
pub(super) fn lock(file: &File, mode: LockMode) -> Result<Lock<'_>> {
    loop {
        let taken = match mode {
            LockMode::Shared => file.lock_shared(),
            LockMode::Exclusive => file.lock(),
        };
        match taken {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            taken => return taken.call("flock").map(|()| Lock(file)),
        }
    }
}

/// The lock, or `None` where somebody else holds it.
pub(super) fn try_lock(file: &File, mode: LockMode) -> Result<Option<Lock<'_>>> {
    let taken = match mode {
        LockMode::Shared => file.try_lock_shared(),
        LockMode::Exclusive => file.try_lock(),
    };
    match taken {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).call("flock"),
    }
}

impl Lock<'_> {
    /// Leaves the lock in place until the file is closed.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // LOCK_UN on an open file cannot fail (flock(2)), and closing it would do the same.
        self.0.unlock().ok();
    }
}
