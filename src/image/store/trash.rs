//! Removes trees of any depth with two descriptors and no recursion: a directory below is
//! moved up beside the others before it is emptied. No link is followed, no path is walked. What
//! has files of a user's subordinate ids is emptied where they are the user's to remove: in the
//! confined process.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{Form, files, layer};
use crate::error::{Call, Context, Error, Result};
use crate::image::subordinate::Subordinate;
use crate::image::unpack;

/// How the name of a directory in tmp/ begins that has files of subordinate ids.
pub(super) const MAPPED: &str = "mapped-";

/// Removes `name` in `dir`, whatever it is; directories are emptied in `heap`, a directory of
/// the same filesystem.
pub(super) fn remove(dir: impl AsFd, name: impl AsRef<OsStr>, heap: impl AsFd) -> Result<()> {
    let name = name.as_ref();
    if name.as_bytes().starts_with(MAPPED.as_bytes()) {
        let Some(opened) = files::open_dir(&dir, name)? else { return Ok(()) };
        empty_by_ids(opened).on(files::shown(name))?;
        return unlinkat(&dir, name, UnlinkatFlags::RemoveDir).call("unlinkat").on(files::shown(name));
    }
    let Some(found) = throw(&dir, name, &heap)? else { return Ok(()) };
    let mut waiting = vec![found];
    while let Some(next) = waiting.pop() {
        let Some(opened) = files::open_dir(&heap, &next)? else { continue };
        for inner in files::names(&opened)? {
            waiting.extend(throw(&opened, &inner, &heap)?);
        }
        unlinkat(&heap, next.as_str(), UnlinkatFlags::RemoveDir).call("unlinkat").on(next)?;
    }
    Ok(())
}

/// Removes a tree whose owners are mapped from the store: at once its name, and then what is in it.
pub(super) fn remove_mapped(store: impl AsFd, name: &OsStr, heap: impl AsFd) -> Result<()> {
    let Some(mapped) = files::open_dir(store, layer::MAPPED)? else { return Ok(()) };
    let new = files::random_name(MAPPED)?;
    renameat(&mapped, name, &heap, new.as_str()).call("renameat").on(files::shown(name))?;
    remove(&heap, new, &heap)
}

/// Removes everything in `dir`.
pub(super) fn empty(dir: impl AsFd, form: Form<'_>, heap: impl AsFd) -> Result<()> {
    match form {
        Form::Mapped(_) => empty_by_ids(dir),
        Form::Plain => files::names(&dir)?.into_iter().try_for_each(|name| remove(&dir, name, &heap)),
    }
}

fn empty_by_ids(dir: impl AsFd) -> Result<()> {
    let Some(ids) = Subordinate::of_caller()? else {
        return Err(Error::setup("has files of subordinate ids, and this caller has none any more")
            .hint("give them back in /etc/subuid and /etc/subgid, or remove the directory as root"));
    };
    unpack::empty(dir.as_fd(), &ids.owners())
}

/// Unlinks a file; a directory is moved to the heap under a new name, which is returned.
fn throw(dir: impl AsFd, name: &OsStr, heap: impl AsFd) -> Result<Option<String>> {
    let stat = match fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => return Ok(None),
        stat => stat.call("newfstatat").on(files::shown(name))?,
    };
    if files::file_type(&stat) != SFlag::S_IFDIR {
        files::unlink(&dir, name)?;
        return Ok(None);
    }
    // A user without privilege moves and empties only what it may write. It is a directory, so no
    // link is followed; in a tree of the store nobody else changes that.
    if !nix::unistd::geteuid().is_root() {
        fchmodat(&dir, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)
            .call("fchmodat")
            .on(files::shown(name))?;
    }
    let new = files::random_name("trash-")?;
    renameat(&dir, name, &heap, new.as_str()).call("renameat").on(files::shown(name))?;
    Ok(Some(new))
}
