//! Where the log is, and its opening: never through a link, and only where nobody but its
//! owner could have had a say in it. openat2(2).

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fchmod, fstatat, mkdirat};

use crate::error::{Call, Context, Error, Result};
use crate::sys;
use crate::sys::file::FileStat;

/// The log of root.
pub const DEFAULT_FILE: &str = "/var/log/pinfold/audit.jsonl";
/// That of a user, below $XDG_STATE_HOME.
const USERS: &str = "pinfold/audit.jsonl";

const PRIVATE_DIR: Mode = Mode::S_IRWXU;
const PRIVATE_FILE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// A log by its path, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Root's: no component of the path is a link or can be written by everybody.
    System(PathBuf),
    /// A user's own: the links before the last directory are the user's.
    User(PathBuf),
}

/// An opened log, in its directory.
#[derive(Debug)]
pub struct LogFile {
    /// The file.
    pub file: File,
    /// The directory.
    pub dir: OwnedFd,
    /// The file's name in it.
    pub name: String,
}

impl Place {
    /// The log of this caller. `path` is what the host's policy says; it is meant for root.
    ///
    /// # Errors
    /// A user without XDG_STATE_HOME and HOME.
    pub fn of_caller(path: Option<&Path>, rootless: bool) -> Result<Self> {
        match (rootless, path) {
            (false, path) => Ok(Self::System(path.unwrap_or(Path::new(DEFAULT_FILE)).to_owned())),
            (true, _) => {
                let absolute =
                    |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
                let state =
                    absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
                let state = state.ok_or_else(|| {
                    Error::setup("no place for the audit log").hint("set XDG_STATE_HOME or HOME")
                })?;
                Ok(Self::User(state.join(USERS)))
            }
        }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        match self {
            Self::System(path) | Self::User(path) => path,
        }
    }

    /// Opens the log to append to it, and makes it where it is missing.
    ///
    /// # Errors
    /// It is not its owner's alone, or a link, or cannot be made.
    pub fn open_to_append(&self) -> Result<LogFile> {
        self.open(true)
            .and_then(|opened| opened.ok_or_else(|| Error::call("openat2", Errno::ENOENT)))
            .on(self.path().display())
    }

    /// Opens the log to read it; `None` where there is none.
    ///
    /// # Errors
    /// As [`Self::open_to_append`].
    pub fn open_to_read(&self) -> Result<Option<LogFile>> {
        self.open(false).on(self.path().display())
    }

    fn open(&self, make: bool) -> Result<Option<LogFile>> {
        let (dir, name) = split(self.path())?;
        let dir = match self {
            Self::System(_) => system_directory(dir, make)?,
            Self::User(_) => user_directory(dir, make)?,
        };
        let Some(dir) = dir else { return Ok(None) };
        verify_directory(&dir)?;
        let Some(file) = open_file(&dir, name, make)? else { return Ok(None) };
        verify_file(&file)?;
        Ok(Some(LogFile { file, dir, name: name.to_owned() }))
    }
}

impl LogFile {
    /// What it is, if its name still leads to it: a rotation may have given the file another.
    ///
    /// # Errors
    /// fstat(2).
    pub fn still_named(&self) -> Result<Option<sys::file::FileStat>> {
        let held = sys::file::stat(self.file.as_fd()).call("fstat")?;
        match fstatat(&self.dir, self.name.as_str(), nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(named) => Ok(Some(held).filter(|held| (named.st_dev, named.st_ino) == (held.dev, held.ino))),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(Error::call("newfstatat", errno)),
        }
    }

    /// Its size.
    ///
    /// # Errors
    /// fstat(2).
    pub fn size(&self) -> Result<u64> {
        Ok(u64::try_from(sys::file::stat(self.file.as_fd()).call("fstat")?.size).unwrap_or(0))
    }

    /// The newest file beside it whose name begins with its own: what a rotation made of the
    /// log before.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn rotated(&self) -> Result<Option<(String, File)>> {
        let mut newest: Option<((i64, i64), String, File)> = None;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut listing = nix::dir::Dir::openat(&self.dir, ".", flags, Mode::empty()).call("openat")?;
        for entry in listing.iter() {
            let entry = entry.call("getdents64")?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == self.name || !name.starts_with(&self.name) {
                continue;
            }
            let Ok(Some(file)) = open_file(&self.dir, name, false) else { continue };
            let Ok(stat) = verify_file(&file) else { continue };
            let [_, changed] = stat.times;
            if newest.as_ref().is_none_or(|(best, ..)| changed > *best) {
                newest = Some((changed, name.to_owned(), file));
            }
        }
        Ok(newest.map(|(_, name, file)| (name, file)))
    }
}

fn split(path: &Path) -> Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    path.parent().zip(name).ok_or_else(|| Error::usage("does not name a file"))
}

fn below() -> ResolveFlag {
    ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS
}

fn open_directory(from: impl AsFd, name: &Path, resolve: ResolveFlag) -> Result<Option<OwnedFd>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat2(from, name, OpenHow::new().flags(flags).resolve(resolve)) {
        Err(Errno::ENOENT) => Ok(None),
        Err(Errno::ELOOP | Errno::ENOTDIR) => {
            Err(Error::setup("is no directory, or a symbolic link").object(name.display()))
        }
        other => other.call("openat2").map(Some),
    }
}

/// One component at a time. Only the last directory is made where it is missing.
fn system_directory(path: &Path, make: bool) -> Result<Option<OwnedFd>> {
    let names: Vec<_> = path.components().filter(|part| *part != Component::RootDir).collect();
    let root = open_directory(AT_FDCWD, Path::new("/"), ResolveFlag::RESOLVE_NO_MAGICLINKS)?;
    let mut dir = root.ok_or_else(|| Error::setup("there is no root directory"))?;
    for (index, name) in names.iter().enumerate() {
        verify_parent(&dir)?;
        let is_last = index + 1 == names.len();
        let name = Path::new(name.as_os_str());
        let next = match open_directory(&dir, name, below())? {
            None if make && is_last => {
                make_directory(&dir, name)?;
                open_directory(&dir, name, below())?
            }
            other => other,
        };
        match next {
            Some(next) => dir = next,
            None => return Ok(None),
        }
    }
    Ok(Some(dir))
}

/// The user's own links are followed up to the last directory; all that are missing are made.
fn user_directory(path: &Path, make: bool) -> Result<Option<OwnedFd>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    let resolve = ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let parent = match openat2(AT_FDCWD, parent, OpenHow::new().flags(flags).resolve(resolve)) {
        Err(Errno::ENOENT) if make => match user_directory(parent, make)? {
            Some(parent) => parent,
            None => return Ok(None),
        },
        Err(Errno::ENOENT) => return Ok(None),
        other => other.call("openat2")?,
    };
    match open_directory(&parent, Path::new(name), below())? {
        None if make => {
            make_directory(&parent, Path::new(name))?;
            open_directory(&parent, Path::new(name), below())
        }
        other => Ok(other),
    }
}

/// Private: a umask can only take rights away. The name is not used again here, since who may write the
/// directory above could have put a link in its place.
fn make_directory(parent: &OwnedFd, name: &Path) -> Result<()> {
    match mkdirat(parent, name, PRIVATE_DIR) {
        Err(Errno::EEXIST) => Ok(()),
        made => made.call("mkdirat").on(name.display()),
    }
}

fn open_file(dir: &OwnedFd, name: &str, make: bool) -> Result<Option<File>> {
    let access = if make { OFlag::O_RDWR | OFlag::O_APPEND } else { OFlag::O_RDONLY };
    let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(below());
    loop {
        match openat2(dir, name, how) {
            Err(Errno::ENOENT) if make => {}
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => return Err(Error::setup("is a symbolic link")),
            other => return other.call("openat2").map(|fd| Some(File::from(fd))),
        }
        match openat2(dir, name, how.flags(flags | OFlag::O_CREAT | OFlag::O_EXCL).mode(PRIVATE_FILE)) {
            // Another launch was first.
            Err(Errno::EEXIST) => {}
            other => {
                let file = File::from(other.call("openat2")?);
                fchmod(&file, PRIVATE_FILE).call("fchmod")?;
                return Ok(Some(file));
            }
        }
    }
}

fn is_ours(stat: &FileStat) -> bool {
    stat.uid == nix::unistd::geteuid().as_raw()
}

/// A directory on the way to root's log. A group of the system's may write it (syslog, /var/log
/// of some distributions): what it puts in the log's place does not belong to root.
fn verify_parent(dir: &OwnedFd) -> Result<()> {
    let stat = sys::file::stat(dir.as_fd()).call("fstat")?;
    match (is_ours(&stat) || stat.uid == 0, stat.mode & libc::S_IWOTH) {
        (false, _) => Err(Error::setup(format!("lies below a directory of user {}", stat.uid))),
        (true, 0) => Ok(()),
        (true, _) => Err(Error::setup("lies below a directory that everybody can write")),
    }
}

fn verify_directory(dir: &OwnedFd) -> Result<()> {
    let stat = sys::file::stat(dir.as_fd()).call("fstat")?;
    match (is_ours(&stat), stat.mode & (libc::S_IWGRP | libc::S_IWOTH)) {
        (false, _) => Err(Error::setup(format!("lies in a directory of user {}", stat.uid))),
        (true, 0) => Ok(()),
        (true, _) => Err(Error::setup("lies in a directory that its group or others can write")),
    }
}

/// Who could only read it could hold its lock (flock(2)).
fn verify_file(file: &File) -> Result<FileStat> {
    let stat = sys::file::stat(file.as_fd()).call("fstat")?;
    if stat.mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Error::setup("is not a regular file"));
    }
    if !is_ours(&stat) {
        return Err(Error::setup(format!("belongs to user {}", stat.uid)));
    }
    if stat.mode & (libc::S_IRWXG | libc::S_IRWXO) != 0 {
        return Err(Error::setup("its group or others may open it").hint("chmod 600"));
    }
    match stat.nlink {
        1 => Ok(stat),
        _ => Err(Error::setup("has another name too (a hard link)")),
    }
}
