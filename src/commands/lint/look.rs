//! What this host has at the paths of a configuration: looked at by descriptors, component by
//! component, and nothing of it is opened for reading. What is not there is not judged.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};

use crate::draft::{Draft, MountSource};
use crate::lint::Looked;
use crate::sys;
use crate::sys::file::FileStat;

/// S_IWOTH and S_IWGRP, and the sticky bit, which leaves names to their owners.
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
const STICKY: u32 = 0o1000;

/// Looks at the root, each source of a bind and each hook.
pub(super) fn look(draft: &Draft, base: &Path) -> Vec<Looked> {
    let mut looked = vec![];
    if let Some(root) = &draft.root.directory {
        looked.extend(at("/root/path".to_owned(), &base.join(root)));
    }
    for mount in &draft.mounts {
        if let MountSource::Bind { path, .. } = &mount.source {
            looked.extend(at(format!("{}/source", mount.field), &base.join(path)));
        }
    }
    for hook in &draft.hooks {
        let path = Path::new(std::ffi::OsStr::from_bytes(hook.path.as_bytes()));
        looked.extend(at(format!("{}/path", hook.field), path));
    }
    looked
}

/// `None` where a part of the path cannot be looked at.
fn at(field: String, path: &Path) -> Option<Looked> {
    let mut looked = Looked { field, ..Looked::default() };
    let mut place = PathBuf::new();
    let mut holder: Option<(OwnedFd, FileStat)> = None;
    for component in path.components() {
        let fd = open(holder.as_ref().map(|(fd, _)| fd.as_fd()), component)?;
        let stat = sys::file::stat(fd.as_fd()).ok()?;
        place.push(component);
        if let Some((_, directory)) = &holder {
            note_directory(&mut looked, directory, &stat, &place);
        }
        if stat.mode & libc::S_IFMT == libc::S_IFLNK {
            looked.link.get_or_insert(place);
            return Some(looked);
        }
        holder = Some((fd, stat));
    }
    let (_, object) = holder?;
    looked.is_socket = object.mode & libc::S_IFMT == libc::S_IFSOCK;
    note_writers(&mut looked, &object, &place);
    Some(looked)
}

fn open(holder: Option<BorrowedFd<'_>>, component: Component<'_>) -> Option<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(holder.unwrap_or(AT_FDCWD), component.as_os_str(), how).ok()
}

/// In a sticky directory only the owner of a name, or of the directory, can replace it.
fn note_directory(looked: &mut Looked, directory: &FileStat, inside: &FileStat, place: &Path) {
    let open_to_all = directory.mode & OTHERS_WRITE != 0;
    let kept = directory.mode & STICKY != 0 && inside.uid == directory.uid;
    let holder = || place.parent().unwrap_or(place).to_owned();
    if open_to_all && !kept {
        looked.world_writable.get_or_insert_with(holder);
    }
    if directory.uid != 0
        || directory.mode & (OTHERS_WRITE | GROUP_WRITES) != 0 && directory.mode & STICKY == 0
    {
        looked.writable.get_or_insert_with(|| by_whom(directory, &holder()));
    }
}

fn note_writers(looked: &mut Looked, object: &FileStat, place: &Path) {
    if object.uid != 0 || object.mode & (OTHERS_WRITE | GROUP_WRITES) != 0 {
        looked.writable.get_or_insert_with(|| by_whom(object, place));
    }
}

fn by_whom(stat: &FileStat, place: &Path) -> String {
    format!(
        "{} has mode {:04o} and belongs to {}:{}",
        place.display(),
        stat.mode & 0o7777,
        stat.uid,
        stat.gid
    )
}
