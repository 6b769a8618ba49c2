//! Finds a source one component at a time, by descriptor, and tells which symbolic links it
//! followed: whoever may write a workspace can plant a link there that names any file of the
//! host. What is told is what was followed: a link's text is read from the very object whose
//! owner is told. openat2(2), path_resolution(7).

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};

use super::pin::resolved_path;
use crate::error::{Call, Result};
use crate::sys;

/// As the kernel's own walk (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// linux/magic.h
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// A symbolic link on the way to a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedLink {
    /// The directory that holds it, as the kernel names it.
    pub holder: PathBuf,
    /// Owner of that directory.
    pub holder_uid: u32,
    /// Its permission bits.
    pub holder_mode: u32,
    /// The link's name there.
    pub name: OsString,
    /// Owner of the link.
    pub uid: u32,
    /// What it says.
    pub text: PathBuf,
}

/// Opens (O_PATH) what `path` names, and says which links were followed on the way. Without
/// links it is one call.
///
/// # Errors
/// openat2(2); ELOOP: a magic link, or more than forty links.
pub fn open(path: &Path, from: BorrowedFd<'_>) -> Result<(OwnedFd, Vec<FollowedLink>)> {
    match open_at(from, path, OFlag::empty(), ResolveFlag::RESOLVE_NO_SYMLINKS) {
        Err(Errno::ELOOP) => Walk::begin(path, from)?.end(),
        other => Ok((other.call("openat2")?, vec![])),
    }
}

struct Walk {
    at: OwnedFd,
    /// The components to come, the next one last.
    rest: Vec<OsString>,
    links: Vec<FollowedLink>,
}

impl Walk {
    fn begin(path: &Path, from: BorrowedFd<'_>) -> Result<Self> {
        let at = sys::file::duplicate(from).call("fcntl")?;
        let mut walk = Self { at, rest: vec![], links: vec![] };
        walk.turn_to(path).call("openat2")?;
        Ok(walk)
    }

    /// Goes on with another path from here, before what is to come.
    fn turn_to(&mut self, path: &Path) -> std::result::Result<(), Errno> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() {
            return Err(Errno::ENOENT);
        }
        if bytes.starts_with(b"/") {
            self.at = open_at(self.at.as_fd(), Path::new("/"), OFlag::O_DIRECTORY, ResolveFlag::empty())?;
        }
        let names = bytes.split(|byte| *byte == b'/').map(|name| OsStr::from_bytes(name).to_owned());
        self.rest.extend(names.rev());
        Ok(())
    }

    fn end(mut self) -> Result<(OwnedFd, Vec<FollowedLink>)> {
        while let Some(name) = self.rest.pop() {
            self.step(&name)?;
        }
        Ok((self.at, self.links))
    }

    fn step(&mut self, name: &OsStr) -> Result<()> {
        // Two slashes, or one at the end: what stands before them must be a directory.
        let (name, flags) = match name.as_bytes() {
            b"" | b"." => (OsStr::new("."), OFlag::O_DIRECTORY),
            _ => (name, OFlag::O_NOFOLLOW),
        };
        let next = open_at(self.at.as_fd(), Path::new(name), flags, ResolveFlag::RESOLVE_NO_SYMLINKS)
            .call("openat2")?;
        let found = sys::file::stat(next.as_fd()).call("fstat")?;
        if found.mode & libc::S_IFMT != libc::S_IFLNK {
            self.at = next;
            return Ok(());
        }
        // Its links are the kernel's own (/proc/self), or magic, which is refused.
        if sys::file::fstatfs_type(next.as_fd()).call("fstatfs")? == PROC_SUPER_MAGIC {
            self.at = open_at(self.at.as_fd(), Path::new(name), OFlag::empty(), ResolveFlag::empty())
                .call("openat2")?;
            return Ok(());
        }
        self.follow(name, &next, found.uid)
    }

    fn follow(&mut self, name: &OsStr, link: &OwnedFd, uid: u32) -> Result<()> {
        if self.links.len() == MOST_LINKS {
            return Err(Errno::ELOOP).call("openat2");
        }
        let text = PathBuf::from(nix::fcntl::readlinkat(link, "").call("readlinkat")?);
        let holder = sys::file::stat(self.at.as_fd()).call("fstat")?;
        self.links.push(FollowedLink {
            holder: resolved_path(self.at.as_fd())?,
            holder_uid: holder.uid,
            holder_mode: holder.mode & 0o7777,
            name: name.to_owned(),
            uid,
            text: text.clone(),
        });
        self.turn_to(&text).call("openat2")
    }
}

fn open_at(
    dir: BorrowedFd<'_>,
    path: &Path,
    flags: OFlag,
    resolve: ResolveFlag,
) -> std::result::Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC | flags)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS | resolve);
    nix::fcntl::openat2(dir, path, how)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    /// A place with `a/b/file`, and links of each kind.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("pinfold-walk-{name}-{}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            let opened = open_at(nix::fcntl::AT_FDCWD, &path, OFlag::empty(), ResolveFlag::empty());
            let path = resolved_path(opened.unwrap().as_fd()).unwrap();
            std::fs::create_dir_all(path.join("a/b")).unwrap();
            std::fs::write(path.join("a/b/file"), "").unwrap();
            for (name, text) in [
                ("relative", "a/b"),
                ("up", "a/../a/./b//"),
                ("chain", "relative"),
                ("a/above", "../relative"),
                ("loop", "loop"),
                ("dangling", "none"),
            ] {
                symlink(text, path.join(name)).unwrap();
            }
            symlink(path.join("a"), path.join("absolute")).unwrap();
            Self(path)
        }

        fn open(&self, path: &str) -> Result<(OwnedFd, Vec<FollowedLink>)> {
            let dir = open_at(nix::fcntl::AT_FDCWD, &self.0, OFlag::O_DIRECTORY, ResolveFlag::empty());
            open(Path::new(path), dir.unwrap().as_fd())
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn it_finds_what_the_kernel_finds_and_tells_each_link() {
        let place = Place::new("finds");
        let rows: &[(&str, &[&str])] = &[
            ("a/b/file", &[]),
            ("a/../a/b/", &[]),
            ("relative/file", &["relative"]),
            ("relative/", &["relative"]),
            ("relative", &["relative"]),
            ("up/../b/file", &["up"]),
            ("chain/file", &["chain", "relative"]),
            ("absolute/b/file", &["absolute"]),
            ("absolute/above/file", &["absolute", "a/above", "relative"]),
        ];
        for (path, links) in rows {
            let (found, followed) = place.open(path).unwrap();
            let found = sys::file::stat(found.as_fd()).unwrap();
            assert_eq!(found.ino, std::fs::metadata(place.0.join(path)).unwrap().ino(), "{path}");
            let told: Vec<_> = followed.iter().map(|link| link.holder.join(&link.name)).collect();
            assert_eq!(told, links.iter().map(|link| place.0.join(link)).collect::<Vec<_>>(), "{path}");
        }
    }

    #[test]
    fn it_refuses_what_the_kernel_refuses() {
        let place = Place::new("refuses");
        let rows = [
            ("loop", Errno::ELOOP),
            ("dangling", Errno::ENOENT),
            ("relative/none", Errno::ENOENT),
            ("relative/file/", Errno::ENOTDIR),
            ("relative/file/.", Errno::ENOTDIR),
            ("relative/file/below", Errno::ENOTDIR),
            ("/proc/self/root", Errno::ELOOP),
            ("/dev/fd/0", Errno::ELOOP),
            ("", Errno::ENOENT),
        ];
        for (path, errno) in rows {
            assert_eq!(place.open(path).unwrap_err().errno(), Some(errno), "{path}");
        }
        let (inside, links) = place.open("/proc/self/status").unwrap();
        assert!(links.is_empty() && sys::file::fstatfs_type(inside.as_fd()) == Ok(PROC_SUPER_MAGIC));
    }

    #[test]
    fn it_tells_who_owns_a_link_and_who_may_write_its_directory() {
        let place = Place::new("owners");
        std::fs::set_permissions(&place.0, std::fs::Permissions::from_mode(0o1777)).unwrap();
        let (_, links) = place.open("relative/file").unwrap();
        let own = std::fs::symlink_metadata(place.0.join("relative")).unwrap().uid();
        let expected = FollowedLink {
            holder: place.0.clone(),
            holder_uid: own,
            holder_mode: 0o1777,
            name: "relative".into(),
            uid: own,
            text: "a/b".into(),
        };
        assert_eq!(links, [expected]);
    }
}
