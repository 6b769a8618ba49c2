//! One directory of a cgroup filesystem, by file descriptor: the only way this module
//! reaches a cgroup file.
//!
//! Nothing here follows a symbolic link or leaves the filesystem of the directory it
//! starts from. Errors name the file as the host sees it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::NixPath;
use nix::dir::{Dir as Listing, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::sys::statfs::{FsType, fstatfs};
use nix::unistd::{AccessFlags, Uid, UnlinkatFlags, faccessat, fchownat, read, unlinkat, write};

use crate::error::{Call, Context, Error, Result};

/// What every open of this module carries.
const QUIET: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_NOFOLLOW);
/// How much of a path messages show, and a little more.
const NAMED_MAX: usize = 4096;
const DIRECTORY: OFlag = QUIET.union(OFlag::O_DIRECTORY);

/// An open group, or the root of a hierarchy.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    path: String,
}

impl Dir {
    /// Opens the root of a hierarchy and proves that it is one. `None` where the path leads elsewhere,
    /// because another mount covers it.
    pub fn root(path: &str, magic: FsType) -> Result<Option<Self>> {
        let fd = match openat(AT_FDCWD, path, DIRECTORY, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(errno) => return Err(Error::call("open", errno).object(path)),
        };
        let found = fstatfs(&fd).call("fstatfs").on(path)?.filesystem_type();
        Ok((found == magic).then(|| Self { fd, path: path.to_owned() }))
    }

    /// The group at `relative` below this one, or `None` where there is none.
    pub fn below(&self, relative: &str) -> Result<Option<Self>> {
        self.open_group(relative, self.file(relative))
    }

    /// The group `name` directly below, whose name a container may have chosen.
    pub fn child(&self, name: &CStr) -> Result<Option<Self>> {
        // A tree may be deeper than a path can be long; its messages need not name every level.
        let path =
            if self.path.len() < NAMED_MAX { self.file(&name.to_string_lossy()) } else { self.path.clone() };
        self.open_group(name, path)
    }

    fn open_group<P: NixPath + ?Sized>(&self, relative: &P, path: String) -> Result<Option<Self>> {
        let how = OpenHow::new().flags(DIRECTORY).resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_SYMLINKS
                | ResolveFlag::RESOLVE_NO_MAGICLINKS
                | ResolveFlag::RESOLVE_NO_XDEV,
        );
        match openat2(&self.fd, relative, how) {
            Ok(fd) => Ok(Some(Self { fd, path })),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(None),
            Err(errno) => Err(Error::call("openat2", errno).object(path)),
        }
    }

    /// The group this one lies in. A group cannot be moved out of its parent, so `..` is where it was made.
    pub fn parent(&self) -> Result<Self> {
        let fd = openat(&self.fd, "..", OFlag::O_CLOEXEC | OFlag::O_DIRECTORY, Mode::empty())
            .call("openat")
            .on(self)?;
        let path = self.path.rsplit_once('/').map_or("/", |(parent, _)| parent).to_owned();
        Ok(Self { fd, path })
    }

    /// The same directory through a descriptor of its own.
    pub fn again(&self) -> Result<Self> {
        let fd = self.fd.try_clone().call("fcntl").on(self)?;
        Ok(Self { fd, path: self.path.clone() })
    }

    /// Makes the group `name`; false where it existed.
    pub fn make(&self, name: &str) -> Result<bool> {
        match mkdirat(&self.fd, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(errno) => Err(Error::call("mkdir", errno).object(self.file(name))),
        }
    }

    /// Removes the group `name` directly below, which must hold no process and no group.
    pub fn unmake(&self, name: &CStr) -> std::result::Result<(), Errno> {
        unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir)
    }

    /// Writes `value` to `file` in one write(2), as cgroup files want it.
    pub fn write(&self, file: &str, value: &str) -> Result<()> {
        self.try_write(file, value).map_err(|(call, errno)| Error::call(call, errno).object(self.file(file)))
    }

    /// As [`Dir::write`], for callers to whom an errno is an answer.
    pub fn try_write(&self, file: &str, value: &str) -> std::result::Result<(), (&'static str, Errno)> {
        let fd = self.open(file, OFlag::O_WRONLY).map_err(|errno| ("open", errno))?;
        loop {
            match write(&fd, value.as_bytes()) {
                Ok(count) if count == value.len() => return Ok(()),
                Ok(_) => return Err(("write", Errno::EIO)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(("write", errno)),
            }
        }
    }

    /// The whole text of `file`.
    pub fn read(&self, file: &str) -> Result<String> {
        self.try_read(file).call("read").on(self.file(file))
    }

    /// The text of `file`, or `None` where this kernel or hierarchy has no such file or the group is gone.
    pub fn read_optional(&self, file: &str) -> Result<Option<String>> {
        match self.try_read(file) {
            Ok(text) => Ok(Some(text)),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(None),
            Err(errno) => Err(Error::call("read", errno).object(self.file(file))),
        }
    }

    /// As [`Dir::read`], for callers to whom an errno is an answer.
    pub fn try_read(&self, file: &str) -> std::result::Result<String, Errno> {
        let fd = self.open(file, OFlag::O_RDONLY)?;
        read_all(&fd)
    }

    /// Opens `file` for reading, to be polled.
    pub fn open_to_poll(&self, file: &str) -> Result<OwnedFd> {
        self.open(file, OFlag::O_RDONLY).call("open").on(self.file(file))
    }

    /// Opens `file` for writing, to be written by another process.
    pub fn open_to_hand_out(&self, file: &str) -> Result<OwnedFd> {
        self.open(file, OFlag::O_WRONLY).call("open").on(self.file(file))
    }

    fn open(&self, file: &str, flags: OFlag) -> std::result::Result<OwnedFd, Errno> {
        openat(&self.fd, file, flags | QUIET, Mode::empty())
    }

    /// Whether `file` exists here.
    pub fn has(&self, file: &str) -> Result<bool> {
        match fstatat(&self.fd, file, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(Error::call("fstatat", errno).object(self.file(file))),
        }
    }

    /// Whether the caller may write `file` here, by effective ids.
    pub fn may_write(&self, file: &str) -> bool {
        faccessat(&self.fd, file, AccessFlags::W_OK, AtFlags::AT_EACCESS).is_ok()
    }

    /// Changes the owner of `file` here.
    pub fn give(&self, file: &str, uid: Uid) -> std::result::Result<(), Errno> {
        fchownat(&self.fd, file, Some(uid), None, AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    /// The filesystem this directory lies on, to compare with mountinfo.
    pub fn device(&self) -> Result<u64> {
        Ok(fstat(&self.fd).call("fstat").on(self)?.st_dev)
    }

    /// The names of the groups directly below.
    pub fn groups(&self) -> Result<Vec<CString>> {
        match self.try_groups() {
            Ok(names) => Ok(names),
            // Removed under us: nothing lies below.
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(vec![]),
            Err(errno) => Err(Error::call("getdents64", errno).object(self)),
        }
    }

    fn try_groups(&self) -> std::result::Result<Vec<CString>, Errno> {
        // kernfs counts subdirectories in st_nlink (fs/kernfs/inode.c): 2 means a leaf,
        // which spares reading the names of some sixty files.
        if fstat(&self.fd)?.st_nlink == 2 {
            return Ok(vec![]);
        }
        let own_position = openat(&self.fd, ".", DIRECTORY, Mode::empty())?;
        let mut names = vec![];
        for entry in Listing::from_fd(own_position)?.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if entry.file_type() == Some(Type::Directory) && name != c"." && name != c".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// A path to this directory that follows the descriptor, for code that works by paths.
    pub fn descriptor_path(&self) -> std::path::PathBuf {
        std::path::PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }

    /// How the host names `file` here: for messages only.
    pub fn file(&self, file: &str) -> String {
        format!("{}/{file}", self.path)
    }
}

/// Reads a cgroup file to its end.
pub(super) fn read_all(fd: &OwnedFd) -> std::result::Result<String, Errno> {
    let mut text = Vec::new();
    let mut page = [0; 4096];
    loop {
        match read(fd, &mut page) {
            Ok(0) => return String::from_utf8(text).or(Err(Errno::EILSEQ)),
            Ok(count) => text.extend_from_slice(page.get(..count).unwrap_or_default()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl std::fmt::Display for Dir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A directory of ordinary files that is removed with its place.
    pub(in super::super) struct Place(std::path::PathBuf);

    impl Drop for Place {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// A directory below it with these files.
    pub(in super::super) fn fake_below(place: &Place, name: &str, files: &[(&str, &str)]) {
        std::fs::create_dir(place.0.join(name)).unwrap();
        for (file, text) in files {
            std::fs::write(place.0.join(name).join(file), text).unwrap();
        }
    }

    /// What looks like a group with these files: the formats of controllers that this machine lacks.
    pub(in super::super) fn fake(files: &[(&str, &str)]) -> (Place, Dir) {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let serial = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("pinfold-group-{}-{serial}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        for (name, text) in files {
            std::fs::write(path.join(name), text).unwrap();
        }
        let text = path.to_str().unwrap().to_owned();
        let magic = nix::sys::statfs::statfs(&path).unwrap().filesystem_type();
        (Place(path), Dir::root(&text, magic).unwrap().unwrap())
    }
}
