//! What a layer takes away (image-spec layer.md, "Whiteouts"): only what is of the layers below.

use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, Mode, SFlag, mknodat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::parents::{self, Parent};
use super::{Tree, is, refused, remove};
use crate::error::{Call, Error, Result};
use crate::image::unpack::Whiteouts;
use crate::sys;

/// Levels of directories that an opaque one is looked through: more than a name has.
const LEVELS: usize = 256;

/// A whiteout entry.
pub(super) enum Whiteout<'n> {
    /// Of this name beside it.
    Name(&'n [u8]),
    /// Of everything beside it.
    Opaque,
    /// AUFS's own files, which stand in old images and mean nothing.
    Nothing,
}

/// What an entry of this name takes away; `None` for an ordinary one.
pub(super) fn named<'n>(directory: &[u8], name: &'n [u8]) -> Result<Option<Whiteout<'n>>> {
    let mut components = directory.split(|byte| *byte == b'/');
    if let Some(component) = components.find(|component| component.starts_with(b".wh.")) {
        return match component.starts_with(b".wh..wh.") {
            true => Ok(Some(Whiteout::Nothing)),
            false => Err(refused("a directory of its name is a whiteout")),
        };
    }
    let Some(hidden) = name.strip_prefix(b".wh.") else { return Ok(None) };
    match hidden {
        b"" | b"." | b".." => Err(refused("it is a whiteout of nothing")),
        b".wh..opq" => Ok(Some(Whiteout::Opaque)),
        _ if hidden.starts_with(b".wh.") => Ok(Some(Whiteout::Nothing)),
        _ => Ok(Some(Whiteout::Name(hidden))),
    }
}

/// Whether it is overlayfs's whiteout: in this tree only this module makes one.
pub(super) fn is_one(stat: &FileStat) -> bool {
    is(stat, SFlag::S_IFCHR) && stat.st_rdev == 0
}

impl Tree<'_> {
    pub(super) fn whiteout(&mut self, directory: &[u8], whiteout: Whiteout<'_>) -> Result<()> {
        match (self.options.whiteouts, whiteout) {
            (_, Whiteout::Nothing) => Ok(()),
            (Whiteouts::Overlay { .. }, Whiteout::Name(name)) => {
                let parent = self.parent(directory)?;
                self.hide(&parent, directory, name)
            }
            (Whiteouts::Overlay { .. }, Whiteout::Opaque) => {
                let parent = self.parent(directory)?;
                self.mark_opaque(parent.fd.as_fd(), parent.ino, directory)
            }
            (Whiteouts::Apply, whiteout) => {
                let parent = match self.existing_parent(directory) {
                    Err(error) if matches!(error.errno(), Some(Errno::ENOENT | Errno::ENOTDIR)) => {
                        return Ok(());
                    }
                    parent => parent?,
                };
                match whiteout {
                    Whiteout::Name(name) => self.take_away(&parent, name),
                    _ => self.purge(parent.fd.as_fd(), parent.ino, LEVELS),
                }
            }
        }
    }

    /// A whiteout for overlayfs. What this layer made under the name stays, and hides by itself;
    /// a directory does so when it is opaque.
    fn hide(&mut self, parent: &Rc<Parent>, directory: &[u8], name: &[u8]) -> Result<()> {
        match mknodat(parent.fd.as_fd(), name, SFlag::S_IFCHR, Mode::empty(), 0) {
            Err(Errno::EEXIST) => {}
            made => {
                made.call("mknodat")?;
                return self.own_name(parent, name);
            }
        }
        if !is(&self.stat(parent, name)?, SFlag::S_IFDIR) {
            return Ok(());
        }
        let opened = parents::open_directory(parent.fd.as_fd(), name)?;
        let whole = if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() };
        let ino = super::ino(opened.as_fd())?;
        self.mark_opaque(opened.as_fd(), ino, &whole)
    }

    /// A whiteout is root's, whatever group the directory hands down.
    fn own_name(&self, parent: &Parent, name: &[u8]) -> Result<()> {
        use nix::unistd::{Gid, Uid, fchownat};
        let flags = nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW;
        let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
        fchownat(parent.fd.as_fd(), name, Some(uid), Some(gid), flags).call("fchownat")
    }

    /// Marks a directory for overlayfs: by itself where the attribute is the user's, by the
    /// parent at the end where it is trusted.*, which only CAP_SYS_ADMIN may write.
    pub(super) fn mark_opaque(&mut self, directory: BorrowedFd<'_>, ino: u64, name: &[u8]) -> Result<()> {
        match self.options.whiteouts {
            Whiteouts::Apply => Ok(()),
            Whiteouts::Overlay { userxattr: true } => {
                sys::xattr::fsetxattr(directory, b"user.overlay.opaque", b"y").call("fsetxattr")
            }
            Whiteouts::Overlay { userxattr: false } => {
                if !parents::is_real(self.root.as_fd(), name, ino)? {
                    return Err(refused("an opaque directory is named through a link"));
                }
                self.opaque.insert(ino, name.to_vec());
                Ok(())
            }
        }
    }

    /// Removes a name of the layers below.
    fn take_away(&mut self, parent: &Rc<Parent>, name: &[u8]) -> Result<()> {
        if self.made.contains(&(parent.ino, name.into())) {
            return Ok(());
        }
        let stat = match self.stat(parent, name) {
            Err(error) if error.errno() == Some(Errno::ENOENT) => return Ok(()),
            stat => stat?,
        };
        if is(&stat, SFlag::S_IFDIR) && self.directories.contains(&stat.st_ino) {
            let directory = parents::open_directory(parent.fd.as_fd(), name)?;
            return self.purge(directory.as_fd(), stat.st_ino, LEVELS);
        }
        self.clear(parent, name)
    }

    /// Removes everything of the layers below from a directory, and from those in it. Each
    /// directory is looked through once per layer, however often it is said to be opaque.
    fn purge(&mut self, directory: BorrowedFd<'_>, ino: u64, levels: usize) -> Result<()> {
        if !self.purged.insert(ino) {
            return Ok(());
        }
        self.parents.forget();
        for name in remove::names(directory)? {
            if self.made.contains(&(ino, name.as_slice().into())) {
                continue;
            }
            let below = match unlinkat(directory, name.as_slice(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) => continue,
                Err(Errno::EISDIR | Errno::EPERM) => parents::open_directory(directory, &name)?,
                Err(errno) => return Err(Error::call("unlinkat", errno)),
            };
            let below_ino = super::ino(below.as_fd())?;
            match (self.directories.contains(&below_ino), levels.checked_sub(1)) {
                (true, Some(levels)) => self.purge(below.as_fd(), below_ino, levels)?,
                (true, None) => return Err(refused("an opaque directory is too deep")),
                (false, _) => remove::directory(directory, &name)?,
            }
        }
        Ok(())
    }
}
