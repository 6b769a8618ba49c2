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

use super::attributes::Attributes;
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

/// What the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A root file system, all of it.
    Whole,
    /// The upper directory of an overlayfs: what takes something away becomes a whiteout of the layer.
    Upper,
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
    form: Form,
    /// The first name of each file that has several.
    named: HashMap<(u64, u64), Vec<u8>>,
    packed: Packed,
}

/// Writes a directory, its own attributes first.
///
/// # Errors
/// A file that cannot be read, or that changes while it is read; another filesystem below; a name that
/// a layer cannot say.
pub fn pack(directory: &OwnedFd, to: &mut dyn Write, times: Times, form: Form) -> Result<Packed> {
    let mut packer = Packer { to, times, form, named: HashMap::new(), packed: Packed::default() };
    let stat = fstat(directory).call("fstat")?;
    let attributes = Attributes::of(directory)?;
    packer.entry(b"./", Kind::Directory, &stat, &attributes)?;
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
            if name.as_bytes().starts_with(b".wh.") {
                return Err(
                    failed("has a name that takes another away in a layer").object(shown(name.as_bytes()))
                );
            }
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
                let (stat, attributes) = (fstat(&opened).call("fstat")?, Attributes::of(&opened)?);
                self.entry(&path, Kind::Directory, &stat, &attributes)?;
                if self.form == Form::Upper && attributes.opaque {
                    self.takes_away(&path, b".wh..opq", &stat)?;
                }
                self.below(&opened, &path, depth + 1)
            }
            SFlag::S_IFREG => self.file(directory, name, &path),
            SFlag::S_IFLNK => {
                let target = readlinkat(directory, name).call("readlinkat")?;
                self.entry(&path, Kind::Symlink(target.as_bytes()), &stat, &Attributes::default())
            }
            SFlag::S_IFIFO => self.entry(&path, Kind::Fifo, &stat, &Attributes::default()),
            SFlag::S_IFCHR if self.form == Form::Upper && stat.st_rdev == 0 => self.whiteout(&path, &stat),
            _ => {
                self.packed.skipped += 1;
                Ok(())
            }
        }
    }

    fn file(&mut self, directory: &OwnedFd, name: &OsStr, path: &[u8]) -> Result<()> {
        let file = File::from(open(directory, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?);
        let stat = files::regular(&file)?;
        let attributes = Attributes::of(&file)?;
        if self.form == Form::Upper && attributes.whiteout && stat.st_size == 0 {
            return self.whiteout(path, &stat);
        }
        if stat.st_nlink > 1 {
            if let Some(first) = self.named.get(&(stat.st_dev, stat.st_ino)).cloned() {
                return self.entry(path, Kind::HardLink(&first), &stat, &Attributes::default());
            }
            self.named.insert((stat.st_dev, stat.st_ino), path.to_vec());
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.entry(path, Kind::File(size), &stat, &attributes)?;
        let copied = std::io::copy(&mut file.take(size), self.to).call("read")?;
        if copied != size {
            return Err(failed("became shorter while it was read"));
        }
        pad(self.to, size)
    }

    /// The whiteout of a name (image-spec, layer.md "Whiteouts").
    fn whiteout(&mut self, path: &[u8], stat: &FileStat) -> Result<()> {
        let cut = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (directory, name) = path.split_at_checked(cut).unwrap_or_default();
        self.takes_away(directory, name, stat)
    }

    /// An empty file whose name says what is hidden. Nobody owns it, and it may do nothing.
    fn takes_away(&mut self, directory: &[u8], name: &[u8], stat: &FileStat) -> Result<()> {
        let (mtime, xattrs) = (self.mtime(stat), &[]);
        let name = [directory, b".wh.", name].concat();
        self.packed.entries += 1;
        let entry = Entry { name: &name, kind: Kind::File(0), mode: 0, uid: 0, gid: 0, mtime, xattrs };
        write_entry(self.to, &entry)
    }

    fn mtime(&self, stat: &FileStat) -> u64 {
        let own = u64::try_from(stat.st_mtime).unwrap_or(0);
        match self.times {
            Times::Kept => own,
            Times::AtMost(latest) => own.min(latest),
        }
    }

    fn entry(&mut self, name: &[u8], kind: Kind<'_>, stat: &FileStat, attributes: &Attributes) -> Result<()> {
        let (mtime, xattrs) = (self.mtime(stat), attributes.kept.as_slice());
        self.packed.entries += 1;
        let mode = stat.st_mode & 0o7777;
        write_entry(self.to, &Entry { name, kind, mode, uid: stat.st_uid, gid: stat.st_gid, mtime, xattrs })
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
