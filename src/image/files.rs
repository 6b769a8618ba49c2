//! Files and directories of the store and of sources: by descriptor, beneath a directory,
//! through no link; files are regular, and opening one never waits (openat2(2), Linux 5.6).

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::failed;
use crate::error::{Call, Context, Result};
use crate::sys;
use crate::types::hex;

/// Owner only.
pub(super) const PRIVATE_DIR: Mode = Mode::S_IRWXU;
const PRIVATE_FILE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

type Opened<T> = std::result::Result<T, Errno>;

/// Opens what has this path beneath a directory.
pub(super) fn open(dir: impl AsFd, path: impl AsRef<OsStr>, flags: OFlag) -> Opened<OwnedFd> {
    let beneath =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let mut how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW).resolve(beneath);
    if flags.contains(OFlag::O_CREAT) {
        how = how.mode(PRIVATE_FILE);
    }
    openat2(dir, path.as_ref(), how)
}

/// A regular file to read, or `None` where there is none.
pub(super) fn open_file(dir: impl AsFd, path: impl AsRef<OsStr>) -> Result<Option<File>> {
    let path = path.as_ref();
    let shown = shown(path);
    match open(dir, path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY) {
        Err(Errno::ENOENT) => Ok(None),
        // ELOOP: a link. ENXIO: a socket.
        Err(Errno::ELOOP | Errno::ENXIO) => Err(failed("is not a regular file").object(shown)),
        opened => {
            let file = File::from(opened.call("openat2").on(&shown)?);
            regular(&file).on(shown)?;
            Ok(Some(file))
        }
    }
}

/// Refuses everything but a regular file.
pub(super) fn regular(file: &File) -> Result<FileStat> {
    let stat = fstat(file).call("fstat")?;
    match file_type(&stat) {
        SFlag::S_IFREG => Ok(stat),
        _ => Err(failed("is not a regular file")),
    }
}

/// The S_IFMT part of `st_mode`.
pub(super) fn file_type(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// A directory, or `None` where there is none.
pub(super) fn open_dir(dir: impl AsFd, path: impl AsRef<OsStr>) -> Result<Option<OwnedFd>> {
    let path = path.as_ref();
    match open(dir, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
        Err(Errno::ENOENT) => Ok(None),
        Err(Errno::ELOOP | Errno::ENOTDIR) => Err(failed("is not a directory").object(shown(path))),
        opened => opened.call("openat2").on(shown(path)).map(Some),
    }
}

/// A directory, which is made where it is missing.
pub(super) fn make_dir(dir: impl AsFd, name: &str) -> Result<OwnedFd> {
    match mkdirat(&dir, name, PRIVATE_DIR) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno).call("mkdirat").on(name),
    }
    open_dir(&dir, name)?.ok_or_else(|| failed("is gone at once").object(name))
}

/// The names in a directory, sorted, without `.` and `..`.
pub(super) fn names(dir: impl AsFd) -> Result<Vec<OsString>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut listing = Dir::openat(dir, ".", flags, Mode::empty()).call("openat")?;
    let mut names = vec![];
    for entry in listing.iter() {
        let name = entry.call("getdents64")?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Unlinks a file; that it is gone already is no failure.
pub(super) fn unlink(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<()> {
    match unlinkat(dir, name.as_ref(), UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        done => done.call("unlinkat").on(shown(name.as_ref())),
    }
}

/// Gives a thing its name; `false` where another has it already, which then stays.
pub(super) fn rename_new(from: impl AsFd, name: &str, to: impl AsFd, new: &str) -> Result<bool> {
    let (old, new_name) = (c_name(name)?, c_name(new)?);
    match sys::rename::rename_noreplace(from.as_fd(), &old, to.as_fd(), &new_name) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST | Errno::ENOTEMPTY) => Ok(false),
        Err(errno) => Err(errno).call("renameat2").on(new),
    }
}

/// Replaces a file: a reader, and a crash, see all of the old content or all of the new. The
/// caller holds a lock that makes it the only writer.
pub(super) fn replace(dir: impl AsFd, name: &str, content: &[u8]) -> Result<()> {
    let temporary = format!("{name}.new");
    unlink(&dir, &temporary)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let file = open(&dir, &temporary, flags).call("openat2").on(&temporary)?;
    sys::file::write_all(file.as_fd(), content).call("write").on(name)?;
    nix::unistd::fsync(&file).call("fsync").on(name)?;
    renameat(&dir, temporary.as_str(), &dir, name).call("renameat").on(name)?;
    nix::unistd::fsync(&dir).call("fsync").on(name)
}

/// Reads a file to its end, at most `limit` bytes.
pub(super) fn read(file: &mut impl Read, limit: usize) -> Result<Vec<u8>> {
    let mut content = vec![];
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut content).call("read")?;
    match content.len() > limit {
        true => Err(failed(format!("is larger than {limit} bytes"))),
        false => Ok(content),
    }
}

/// A random name.
pub(super) fn random_name(prefix: &str) -> Result<String> {
    let mut bytes = [0_u8; 16];
    sys::random::fill(&mut bytes).call("getrandom")?;
    Ok(format!("{prefix}{}", hex(bytes)))
}

fn c_name(name: &str) -> Result<CString> {
    CString::new(name).map_err(|error| failed(error.to_string()).object(name))
}

/// A name for a message: control characters cannot forge a line.
pub(super) fn shown(name: &OsStr) -> String {
    let plain = name.to_str().filter(|text| !text.chars().any(char::is_control));
    plain.map_or_else(|| format!("{:?}", OsStr::from_bytes(name.as_bytes())), str::to_owned)
}
