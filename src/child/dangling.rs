//! A mount point behind symbolic links that lead to nothing yet, such as an /etc/resolv.conf that an image leads
//! into /run: runc makes what is missing, inside the root. symlink(7), path_resolution(7), openat2(2).
//!
//! The links are read first, and each text is followed below the root: nothing is made for links that lead in a
//! circle. The path that is left has no links; whoever puts one into it meanwhile gets an error, and nothing is made
//! where it leads.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::Done;
use super::mounts::FreshMounts;
use super::place::{Place, make_one};
use crate::plan::{Target, TargetKind};
use crate::sys;

/// As many links as the kernel follows (path_resolution(7)).
const LINKS: u32 = 40;
/// PATH_MAX (limits.h).
const PATH: usize = 4096;
/// NAME_MAX, and the NUL.
const NAME: usize = 256;

/// The target, through every link on the way; made when it is missing.
///
/// # Errors
/// ELOOP: more than forty links, one of a procfs, or one that came to stand there meanwhile. ENOENT: `..` behind
/// what is missing. EXDEV: what is missing would lie neither on the root's own mount nor on a tmpfs of the
/// container's. EBUSY: they lead to the root itself. ENAMETOOLONG. openat2(2), mkdirat(2).
pub(super) fn find_or_make(
    root: BorrowedFd<'_>,
    target: &Target,
    fresh: &FreshMounts,
) -> Result<Place, Errno> {
    let path = without_links(root, target.path.to_bytes())?;
    let mut names = path.bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    let last = names.next_back().ok_or(Errno::EBUSY)?;
    let mut parent = enter(root, c".")?;
    for name in names {
        parent = find_or_make_one((root, fresh), parent.fd.as_fd(), name, TargetKind::Directory)?;
    }
    find_or_make_one((root, fresh), parent.fd.as_fd(), last, target.kind)
}

/// The link is the image's: it may name what is the container's own, and not choose a name in a bind, where somebody
/// else would find it.
fn find_or_make_one(
    (root, fresh): (BorrowedFd<'_>, &FreshMounts),
    parent: BorrowedFd<'_>,
    name: &[u8],
    kind: TargetKind,
) -> Result<Place, Errno> {
    let mut room = [0; NAME];
    room.get_mut(..name.len())
        .filter(|_| name.len() < NAME)
        .ok_or(Errno::ENAMETOOLONG)?
        .copy_from_slice(name);
    let name = CStr::from_bytes_until_nul(&room).or(Err(Errno::EINVAL))?;
    match enter(parent, name) {
        Err(Errno::ENOENT) if is_own(root, fresh, parent)? => make_one(parent, name, kind),
        Err(Errno::ENOENT) => Err(Errno::EXDEV),
        found => found,
    }
}

fn is_own(root: BorrowedFd<'_>, fresh: &FreshMounts, place: BorrowedFd<'_>) -> Result<bool, Errno> {
    let of_root = sys::statmount::statx_mnt_id(root)? == sys::statmount::statx_mnt_id(place)?;
    Ok(of_root || fresh.hold(place)?)
}

/// One step down, through no link.
fn enter(parent: BorrowedFd<'_>, name: &CStr) -> Result<Place, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    Ok(Place { fd: openat2(parent, name, how)?, found: true })
}

/// Where a path leads when each link of it is followed below the root; above the root `..` leads nowhere. Behind what
/// is missing it is an error: the kernel would never come that way to what is made, nor would the program.
fn without_links(root: BorrowedFd<'_>, path: &[u8]) -> Result<Walked, Errno> {
    let (mut walked, mut ahead) = (Walked::new(), Ahead::new());
    let (mut links, mut missing, mut text) = (0, false, [0; PATH]);
    ahead.put(path)?;
    while let Some(name) = ahead.take() {
        match name {
            b"." => continue,
            b".." if missing => return Err(Errno::ENOENT),
            b".." => {
                walked.pop();
                continue;
            }
            name => walked.push(name)?,
        }
        let says = match link(root, walked.path()?, &mut text) {
            Err(Errno::ENOENT) => {
                missing = true;
                continue;
            }
            says => says?,
        };
        let Some(says) = says else { continue };
        links += 1;
        if links > LINKS {
            return Err(Errno::ELOOP);
        }
        match says.first() {
            Some(b'/') => walked = Walked::new(),
            _ => walked.pop(),
        }
        ahead.put(says)?;
    }
    Ok(walked)
}

/// What the link at a path says, whose other components are none; `None`: no link.
fn link<'b>(root: BorrowedFd<'_>, path: &CStr, text: &'b mut [u8]) -> Result<Option<&'b [u8]>, Errno> {
    // Both: the link itself is opened, and no other is followed (openat2(2), RESOLVE_NO_SYMLINKS).
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let found = openat2(root, path, how)?;
    if sys::file::stat(found.as_fd())?.mode & libc::S_IFMT != libc::S_IFLNK {
        return Ok(None);
    }
    // What a magic link says is no path.
    if sys::file::fstatfs_type(found.as_fd())? == libc::PROC_SUPER_MAGIC {
        return Err(Errno::ELOOP);
    }
    sys::directory::readlink_empty(found.as_fd(), text).map(|says| Some(says.to_bytes()))
}

/// A path below the root without links, each component behind a slash.
struct Walked {
    bytes: [u8; PATH],
    length: usize,
}

impl Walked {
    fn new() -> Self {
        Self { bytes: [0; PATH], length: 0 }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// A NUL is always left behind it.
    fn path(&self) -> Result<&CStr, Errno> {
        CStr::from_bytes_until_nul(&self.bytes).or(Err(Errno::ENAMETOOLONG))
    }

    fn push(&mut self, name: &[u8]) -> Done {
        let end = self.length + 1 + name.len();
        let [slash, rest @ ..] = self.bytes.get_mut(self.length..end).ok_or(Errno::ENAMETOOLONG)? else {
            return Err(Errno::EINVAL);
        };
        *slash = b'/';
        rest.copy_from_slice(name);
        self.length = end;
        self.path().map(drop)
    }

    fn pop(&mut self) {
        let last = self.bytes().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        self.bytes.get_mut(last..self.length).unwrap_or_default().fill(0);
        self.length = last;
    }
}

/// What is still to be walked: it stands at the end of its room, as links put more in front.
struct Ahead {
    bytes: [u8; PATH],
    begin: usize,
}

impl Ahead {
    fn new() -> Self {
        Self { bytes: [0; PATH], begin: PATH }
    }

    fn put(&mut self, path: &[u8]) -> Done {
        let begin = self.begin.checked_sub(path.len() + 1).ok_or(Errno::ENAMETOOLONG)?;
        let [front @ .., slash] = self.bytes.get_mut(begin..self.begin).unwrap_or_default() else {
            return Err(Errno::EINVAL);
        };
        front.copy_from_slice(path);
        *slash = b'/';
        self.begin = begin;
        Ok(())
    }

    /// The next component.
    fn take(&mut self) -> Option<&[u8]> {
        loop {
            let left = self.bytes.get(self.begin..)?;
            let length = left.iter().position(|byte| *byte == b'/')?;
            let begin = self.begin;
            self.begin += length + 1;
            if length > 0 {
                return self.bytes.get(begin..begin + length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(path: &[u8]) -> Result<String, Errno> {
        let root = std::env::temp_dir().join(format!("pinfold-dangling-{}", std::process::id()));
        std::fs::create_dir_all(root.join("there")).unwrap();
        for (name, text) in [
            ("relative", "../there/none/file"),
            ("absolute", "/there/../../..//./there/a"),
            ("chain", "there/../relative"),
            ("back", "none/../there"),
            ("itself", "itself"),
            ("circle", "there/../further"),
            ("further", "/circle/x"),
            ("there/up", "../../../../none"),
        ] {
            match std::os::unix::fs::symlink(text, root.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => panic!("{error}"),
                _ => {}
            }
        }
        let opened = std::fs::File::open(&root).unwrap();
        without_links(opened.as_fd(), path).map(|path| String::from_utf8(path.bytes().to_vec()).unwrap())
    }

    #[test]
    fn links_are_followed_below_the_root_alone() {
        for (path, leads) in [
            ("there/none", Ok("/there/none")),
            ("relative", Ok("/there/none/file")),
            ("absolute/b", Ok("/there/a/b")),
            ("chain/x", Ok("/there/none/file/x")),
            ("back", Err(Errno::ENOENT)),
            ("relative/../..", Err(Errno::ENOENT)),
            ("there/up/x", Ok("/none/x")),
            ("..", Ok("")),
            ("itself", Err(Errno::ELOOP)),
            ("circle", Err(Errno::ELOOP)),
        ] {
            assert_eq!(walked(path.as_bytes()).as_deref(), leads.as_ref().map(|path: &&str| *path), "{path}");
        }
        assert_eq!(walked(&b"x/".repeat(PATH)), Err(Errno::ENAMETOOLONG));
        assert_eq!(walked(&[b'x'; 300]), Err(Errno::ENAMETOOLONG));
        std::fs::remove_dir_all(
            std::env::temp_dir().join(format!("pinfold-dangling-{}", std::process::id())),
        )
        .unwrap();
    }
}
