//! A directory of the host as an archive. It may be a stranger's: nothing is followed through
//! a link or into another filesystem, no device is opened, and a file is read once.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat};

use super::header::{Entry, Kind, pad, write_end, write_entry};
use crate::error::{Call, Context, Result};
use crate::image::{failed, files};

/// Deeper than any path of the kernel.
const DEEPEST: usize = 512;

/// What times the entries have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The files' own.
    Kept,
    /// None later than this (SOURCE_DATE_EPOCH): the same input gives the same archive.
    AtMost(u64),
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packed {
    /// Entries.
    pub entries: u64,
    /// Devices and sockets, which were left out.
    pub skipped: u64,
}

struct Packer<'a> {
    to: &'a mut dyn Write,
    times: Times,
    /// The first name of each file that has several.
    named: HashMap<(u64, u64), Vec<u8>>,
    packed: Packed,
}

/// Writes a directory, its own attributes first.
///
/// # Errors
/// A file that cannot be read, or that changes while it is read; another filesystem below.
pub fn pack(directory: &OwnedFd, to: &mut dyn Write, times: Times) -> Result<Packed> {
    let mut packer = Packer { to, times, named: HashMap::new(), packed: Packed::default() };
    let stat = fstat(directory).call("fstat")?;
    packer.entry(b"./", Kind::Directory, &stat)?;
    packer.below(directory, b"", 0)?;
    write_end(packer.to)?;
    Ok(packer.packed)
}

impl Packer<'_> {
    fn below(&mut self, directory: &OwnedFd, path: &[u8], depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(failed("lies too deep").object(shown(path)));
        }
        for name in files::names(directory)? {
            let mut own = path.to_vec();
            own.extend_from_slice(name.as_bytes());
            self.one(directory, &name, own.clone(), depth).on(shown(&own))?;
        }
        Ok(())
    }

    fn one(&mut self, directory: &OwnedFd, name: &OsStr, mut path: Vec<u8>, depth: usize) -> Result<()> {
        let stat = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).call("newfstatat")?;
        match files::file_type(&stat) {
            SFlag::S_IFDIR => {
                path.push(b'/');
                let opened = open(directory, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
                self.entry(&path, Kind::Directory, &fstat(&opened).call("fstat")?)?;
                self.below(&opened, &path, depth + 1)
            }
            SFlag::S_IFREG => self.file(directory, name, &path),
            SFlag::S_IFLNK => {
                let target = readlinkat(directory, name).call("readlinkat")?;
                self.entry(&path, Kind::Symlink(target.as_bytes()), &stat)
            }
            SFlag::S_IFIFO => self.entry(&path, Kind::Fifo, &stat),
            _ => {
                self.packed.skipped += 1;
                Ok(())
            }
        }
    }

    fn file(&mut self, directory: &OwnedFd, name: &OsStr, path: &[u8]) -> Result<()> {
        let file = File::from(open(directory, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?);
        let stat = files::regular(&file)?;
        if stat.st_nlink > 1 {
            if let Some(first) = self.named.get(&(stat.st_dev, stat.st_ino)).cloned() {
                return self.entry(path, Kind::HardLink(&first), &stat);
            }
            self.named.insert((stat.st_dev, stat.st_ino), path.to_vec());
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.entry(path, Kind::File(size), &stat)?;
        let copied = std::io::copy(&mut file.take(size), self.to).call("read")?;
        if copied != size {
            return Err(failed("became shorter while it was read"));
        }
        pad(self.to, size)
    }

    fn entry(&mut self, name: &[u8], kind: Kind<'_>, stat: &FileStat) -> Result<()> {
        let own = u64::try_from(stat.st_mtime).unwrap_or(0);
        let mtime = match self.times {
            Times::Kept => own,
            Times::AtMost(latest) => own.min(latest),
        };
        self.packed.entries += 1;
        let mode = stat.st_mode & 0o7777;
        write_entry(
            self.to,
            &Entry { name, kind, mode, uid: stat.st_uid, gid: stat.st_gid, mtime, xattrs: &[] },
        )
    }
}

fn open(directory: &OwnedFd, name: &OsStr, flags: OFlag) -> Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    let how = OpenHow::new().flags(flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).resolve(resolve);
    match openat2(directory, name, how) {
        Err(Errno::EXDEV) => Err(failed("is on another filesystem, which is not packed")),
        opened => opened.call("openat2"),
    }
}

fn shown(path: &[u8]) -> String {
    files::shown(OsStr::from_bytes(path))
}
