//! The directories that entries stand in.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{Tree, ino, refused, whiteout};
use crate::error::{Call, Error, Result};
use crate::image::unpack::Whiteouts;

/// A directory that stays open.
pub(super) struct Parent {
    pub(super) fd: OwnedFd,
    pub(super) ino: u64,
}

/// Directories opened before, by the name that entries gave them. It holds only as long as
/// nothing that stood in the tree was removed.
#[derive(Default)]
pub(super) struct Parents(HashMap<Vec<u8>, Rc<Parent>>);

/// Descriptors kept open.
const KEPT: usize = 64;

impl Parents {
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    fn keep(&mut self, name: &[u8], parent: &Rc<Parent>) {
        if self.0.len() >= KEPT {
            self.forget();
        }
        self.0.insert(name.to_vec(), Rc::clone(parent));
    }
}

impl Tree<'_> {
    /// The root as the layer finds it: where no entry describes it, it is implied.
    pub(super) fn begin_root(&mut self) -> Result<()> {
        let root = self.parent(b"")?;
        if matches!(self.options.whiteouts, Whiteouts::Overlay { .. }) {
            self.imply(root.fd.as_fd(), root.ino, b"")?;
            self.counted.implied = 0;
        }
        Ok(())
    }

    /// The directory of this name; it is made where it is missing.
    pub(super) fn parent(&mut self, name: &[u8]) -> Result<Rc<Parent>> {
        if let Some(parent) = self.parents.0.get(name) {
            return Ok(Rc::clone(parent));
        }
        let fd = match open_in_root(self.root.as_fd(), name) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => self.make(name)?,
            opened => opened.call("openat2")?,
        };
        self.opened(name, fd)
    }

    /// The directory of this name, which must be there.
    pub(super) fn existing_parent(&mut self, name: &[u8]) -> Result<Rc<Parent>> {
        if let Some(parent) = self.parents.0.get(name) {
            return Ok(Rc::clone(parent));
        }
        let fd = open_in_root(self.root.as_fd(), name).call("openat2")?;
        self.opened(name, fd)
    }

    fn opened(&mut self, name: &[u8], fd: OwnedFd) -> Result<Rc<Parent>> {
        let stat = crate::sys::file::stat(fd.as_fd()).call("fstat")?;
        let parent = Rc::new(Parent { fd, ino: stat.ino });
        self.parents.keep(name, &parent);
        if self.options.whiteouts == Whiteouts::Apply {
            // Writing into it must not change the time that the layers below gave it.
            let [_, mtime] = stat.times;
            self.times.entry(stat.ino).or_insert_with(|| (name.to_vec(), mtime));
            self.name_ancestors(&parent)?;
        }
        Ok(parent)
    }

    /// The directories above one that this layer writes into are not removed by its whiteouts.
    fn name_ancestors(&mut self, parent: &Parent) -> Result<()> {
        let root = ino(self.root.as_fd())?;
        let mut at = ino(parent.fd.as_fd())?;
        let mut fd = None::<OwnedFd>;
        while self.directories.insert(at) && at != root {
            let here = fd.as_ref().map_or(parent.fd.as_fd(), AsFd::as_fd);
            let above = open_directory(here, b"..")?;
            at = ino(above.as_fd())?;
            fd = Some(above);
        }
        Ok(())
    }

    /// Makes what is missing, one component at a time.
    fn make(&mut self, name: &[u8]) -> Result<OwnedFd> {
        let mut prefix = Vec::with_capacity(name.len());
        let mut at = open_in_root(self.root.as_fd(), b"").call("openat2")?;
        for component in name.split(|byte| *byte == b'/') {
            if !prefix.is_empty() {
                prefix.push(b'/');
            }
            prefix.extend_from_slice(component);
            at = match open_in_root(self.root.as_fd(), &prefix) {
                Err(Errno::ENOENT) => self.make_one(at.as_fd(), component, &prefix)?,
                Err(Errno::ENOTDIR) => self.replace_whiteout(at.as_fd(), component, &prefix)?,
                opened => opened.call("openat2")?,
            };
        }
        Ok(at)
    }

    fn make_one(&mut self, parent: BorrowedFd<'_>, name: &[u8], whole: &[u8]) -> Result<OwnedFd> {
        match mkdirat(parent, name, Mode::from_bits_truncate(0o755)) {
            // openat2 did not find where it leads.
            Err(Errno::EEXIST) => return Err(refused("a directory of its name is a link to nowhere")),
            made => made.call("mkdirat")?,
        }
        let directory = open_directory(parent, name)?;
        let ino = ino(directory.as_fd())?;
        self.counted.implied += 1;
        if self.counted.implied > self.options.limits.entries {
            return Err(refused(format!(
                "the layer implies more than {} directories",
                self.options.limits.entries
            )));
        }
        self.imply(directory.as_fd(), ino, whole)?;
        Ok(directory)
    }

    /// In a tree for overlayfs, a directory over the whiteout of the same layer is opaque.
    fn replace_whiteout(&mut self, parent: BorrowedFd<'_>, name: &[u8], whole: &[u8]) -> Result<OwnedFd> {
        let stat = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).call("fstatat")?;
        if !whiteout::is_one(&stat) {
            return Err(refused("a directory of its name is none"));
        }
        unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).call("unlinkat")?;
        let directory = self.make_one(parent, name, whole)?;
        let ino = ino(directory.as_fd())?;
        self.mark_opaque(directory.as_fd(), ino, whole)?;
        Ok(directory)
    }

    /// What nobody described is the same on every run: root's, 0755, of the epoch's beginning.
    fn imply(&mut self, directory: BorrowedFd<'_>, ino: u64, name: &[u8]) -> Result<()> {
        self.own(directory, 0, 0)?;
        nix::sys::stat::fchmod(directory, Mode::from_bits_truncate(0o755)).call("fchmod")?;
        self.directories.insert(ino);
        self.times.insert(ino, (name.to_vec(), (0, 0)));
        self.implied.insert(ino, name.to_vec());
        Ok(())
    }
}

/// A directory below `root`, through links that stay below it.
pub(super) fn open_in_root(root: BorrowedFd<'_>, name: &[u8]) -> nix::Result<OwnedFd> {
    let name = if name.is_empty() { b".".as_slice() } else { name };
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOATIME | OFlag::O_CLOEXEC)
        .resolve(
            ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV,
        );
    crate::sys::openat2::openat2(root, name, how)
}

/// A directory by its last component, which is no link.
pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    let flags =
        OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_NOATIME | OFlag::O_CLOEXEC;
    openat(parent, name, flags, Mode::empty()).call("openat")
}

/// The same directory without a link on the way: the name by which the parent finds it again.
pub(super) fn is_real(root: BorrowedFd<'_>, name: &[u8], wanted: u64) -> Result<bool> {
    let name = if name.is_empty() { b".".as_slice() } else { name };
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(root, name, how) {
        Ok(fd) => Ok(ino(fd.as_fd())? == wanted),
        Err(Errno::ELOOP | Errno::ENOENT | Errno::ENOTDIR) => Ok(false),
        Err(errno) => Err(Error::call("openat2", errno)),
    }
}
