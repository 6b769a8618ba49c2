//! `tmpcopyup`: a new tmpfs gets what the directory holds that it covers.
//!
//! The content is the image's, and hostile: everything is reached by descriptors, one name
//! at a time; links are copied and never followed; of devices, fifos and sockets only the node is
//! made; another filesystem is not entered. What fits is the tmpfs's own limit (tmpfs(5)).
//!
//! openat2(2), getdents64(2), sendfile(2), mknodat(2).

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags};
use nix::sys::time::TimeSpec;

use super::Done;
use crate::sys;
use crate::sys::file::FileStat;

/// Each level keeps a descriptor pair and a buffer on the stack.
const DEEPEST: u32 = 200;
/// The longest entry has a name of 255 bytes and 19 before it.
const BUFFER: usize = 1024;

/// Copies what is in one directory into another.
pub(super) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Done {
    let from = open(from, c".", OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
    copy_entries(from.as_fd(), to, 0)
}

fn copy_entries(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) -> Done {
    if depth > DEEPEST {
        return Err(Errno::ENAMETOOLONG);
    }
    let mut buffer = [0_u8; BUFFER];
    loop {
        let filled = sys::directory::getdents64(from, &mut buffer)?;
        if filled == 0 {
            return Ok(());
        }
        let mut rest = buffer.get(..filled).ok_or(Errno::EIO)?;
        while let Some((name, after)) = sys::directory::dirent_name(rest) {
            if name != c"." && name != c".." {
                copy_one(from, to, name, depth)?;
            }
            rest = after;
        }
    }
}

fn copy_one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: u32) -> Done {
    let object = match open(from, name, OFlag::O_PATH | OFlag::O_NOFOLLOW) {
        // Gone meanwhile.
        Err(Errno::ENOENT) => return Ok(()),
        object => object?,
    };
    let stat = sys::file::stat(object.as_fd())?;
    match stat.mode & libc::S_IFMT {
        libc::S_IFDIR => copy_directory(from, to, name, &stat, depth),
        libc::S_IFREG => copy_file(from, to, name, &stat),
        libc::S_IFLNK => copy_link(object.as_fd(), to, name),
        kind => {
            let kind = SFlag::from_bits_truncate(kind);
            nix::sys::stat::mknodat(to, name, kind, permissions(&stat), stat.rdev)
        }
    }?;
    finish(to, name, &stat)
}

/// A mount below has nothing that belongs to this directory: its mount point is made.
fn copy_directory(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &CStr,
    stat: &FileStat,
    depth: u32,
) -> Done {
    nix::sys::stat::mkdirat(to, name, Mode::S_IRWXU)?;
    match open(from, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW) {
        Err(Errno::EXDEV) => Ok(()),
        below => {
            let below = below?;
            same(below.as_fd(), stat)?;
            let copy = open(to, name, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW)?;
            copy_entries(below.as_fd(), copy.as_fd(), depth + 1)
        }
    }
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, stat: &FileStat) -> Done {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    let copy = open(to, name, flags)?;
    // Nonblocking: a fifo that was put in its place since would hold the launch up.
    match open(from, name, OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY) {
        Err(Errno::EXDEV) => Ok(()),
        file => {
            let file = file?;
            same(file.as_fd(), stat)?;
            while sys::directory::sendfile(copy.as_fd(), file.as_fd())? > 0 {}
            Ok(())
        }
    }
}

fn copy_link(link: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Done {
    let mut buffer = [0_u8; libc::PATH_MAX as usize];
    let text = sys::directory::readlink_empty(link, &mut buffer)?;
    nix::unistd::symlinkat(text, to, name)
}

/// What was opened is what was looked at. ESTALE: it was put in its place since.
fn same(opened: BorrowedFd<'_>, stat: &FileStat) -> Done {
    let found = sys::file::stat(opened)?;
    match (found.dev, found.ino) == (stat.dev, stat.ino) {
        true => Ok(()),
        false => Err(Errno::ESTALE),
    }
}

/// Owner, then permissions, which a change of the owner takes setuid and setgid from, then times.
fn finish(to: BorrowedFd<'_>, name: &CStr, stat: &FileStat) -> Done {
    let copy = open(to, name, OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
    let own = sys::file::stat(copy.as_fd())?;
    if (own.uid, own.gid) != (stat.uid, stat.gid) {
        match sys::file::fchownat_empty(copy.as_fd(), stat.uid, stat.gid) {
            // An owner whom this user namespace does not know, and nobody inside can be.
            Err(Errno::EINVAL) => {}
            owned => owned?,
        }
    }
    if stat.mode & libc::S_IFMT != libc::S_IFLNK {
        // Nobody else sees the tmpfs yet: the name is what was just made.
        nix::sys::stat::fchmodat(to, name, permissions(stat), nix::sys::stat::FchmodatFlags::FollowSymlink)?;
    }
    let [accessed, modified] = stat.times.map(|(secs, nanos)| TimeSpec::new(secs, nanos));
    nix::sys::stat::utimensat(to, name, &accessed, &modified, UtimensatFlags::NoFollowSymlink)
}

fn permissions(stat: &FileStat) -> Mode {
    Mode::from_bits_truncate(stat.mode & 0o7777)
}

fn open(directory: BorrowedFd<'_>, name: &CStr, flags: OFlag) -> Result<OwnedFd, Errno> {
    let mode = if flags.contains(OFlag::O_CREAT) { Mode::S_IRUSR | Mode::S_IWUSR } else { Mode::empty() };
    // What stands below a mount point of the source is looked at, and not entered.
    let stay = match flags.contains(OFlag::O_PATH) {
        true => ResolveFlag::empty(),
        false => ResolveFlag::RESOLVE_NO_XDEV,
    };
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .mode(mode)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | stay);
    nix::fcntl::openat2(directory.as_fd(), name, how)
}
