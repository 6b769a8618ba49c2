//! Entries become files below one directory.
//!
//! The parent of an entry is opened by openat2(2) with RESOLVE_IN_ROOT: its links are followed,
//! as images expect that were written through `/bin -> usr/bin`, but never out of the root.
//! Everything else is an *at call on the last component, which is never followed: what stands
//! there already is removed first.

mod attributes;
mod file;
mod parents;
mod remove;
mod whiteout;

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat, mknodat};
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat};

pub use remove::empty;

use super::tar::{Entry, Kind};
use super::{Devices, Options, Treatment, Whiteouts};
use crate::error::{Call, Error, Kind as Class, Result};
use parents::Parent;

/// The tree that a layer becomes, or is applied to.
pub struct Tree<'o> {
    root: OwnedFd,
    options: &'o Options,
    parents: parents::Parents,
    /// Directories that this layer made or named, by inode. None of them moves.
    directories: HashSet<u64>,
    /// What else it made, by the directory's inode and by name. For [`Whiteouts::Apply`].
    made: HashSet<(u64, Box<[u8]>)>,
    /// Directories that hold nothing of the layers below any more.
    purged: HashSet<u64>,
    /// Directories to be marked opaque by who may, by inode.
    opaque: HashMap<u64, Vec<u8>>,
    /// Times that directories get when nothing is written into them any more, by inode.
    times: HashMap<u64, (Vec<u8>, (i64, i64))>,
    /// Directories that only entries below them spoke of, by inode.
    implied: HashMap<u64, Vec<u8>>,
    /// What the tree costs so far.
    counted: Counted,
}

/// What a tree costs.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counted {
    /// Entries.
    pub entries: u64,
    /// Directories that were only implied.
    pub implied: u64,
    /// Bytes of files as stat(2) shows them.
    pub bytes: u64,
    /// Devices and fifos left out.
    pub skipped: u64,
}

/// What a finished tree still needs from its parent, and what it came to.
#[derive(Debug, Default)]
pub struct Finished {
    /// Directories to be marked opaque.
    pub opaque: Vec<Vec<u8>>,
    /// Directories that were only implied.
    pub implied: Vec<Vec<u8>>,
    /// What it cost.
    pub counted: Counted,
}

/// A breach of a rule; the archive adds which entry it is.
fn refused(text: impl Into<String>) -> Error {
    Error::new(Class::ImageFailed, text)
}

impl<'o> Tree<'o> {
    /// A tree below `root`.
    ///
    /// # Errors
    /// EMFILE, EIO.
    pub fn new(root: BorrowedFd<'_>, options: &'o Options) -> Result<Self> {
        let root = crate::sys::file::duplicate(root).call("fcntl")?;
        let mut tree = Self {
            root,
            options,
            parents: parents::Parents::default(),
            directories: HashSet::new(),
            made: HashSet::new(),
            purged: HashSet::new(),
            opaque: HashMap::new(),
            times: HashMap::new(),
            implied: HashMap::new(),
            counted: Counted::default(),
        };
        tree.begin_root()?;
        Ok(tree)
    }

    /// Makes one entry; `content` gives a file's.
    ///
    /// # Errors
    /// A rule or a limit; a call.
    pub fn apply(&mut self, entry: &Entry, content: file::Content<'_>) -> Result<()> {
        self.count_entry(entry)?;
        let Some((directory, name)) = split(&entry.name) else {
            return self.root_entry(entry);
        };
        if let Some(whiteout) = whiteout::named(directory, name)? {
            return self.whiteout(directory, whiteout);
        }
        self.allowed(entry)?;
        if self.is_left_out(&entry.kind)? {
            self.counted.skipped += 1;
            return Ok(());
        }
        let parent = self.parent(directory)?;
        match &entry.kind {
            Kind::Directory => self.directory(&parent, name, entry),
            Kind::File => self.file(&parent, name, entry, content),
            Kind::Link(target) => self.link(&parent, name, target),
            Kind::Symlink(_) | Kind::Character(..) | Kind::Block(..) | Kind::Fifo => {
                self.node(&parent, name, entry)
            }
        }
    }

    fn count_entry(&mut self, entry: &Entry) -> Result<()> {
        let limits = &self.options.limits;
        self.counted.entries += 1;
        if self.counted.entries > limits.entries {
            return Err(refused(format!("the layer has more than {} entries", limits.entries)));
        }
        if entry.size > limits.single_file {
            return Err(refused(format!("it has more than {} bytes", limits.single_file)));
        }
        self.counted.bytes = self.counted.bytes.saturating_add(entry.size);
        match self.counted.bytes > limits.total_bytes {
            true => Err(refused(format!("the layer's files have more than {} bytes", limits.total_bytes))),
            false => Ok(()),
        }
    }

    fn is_left_out(&self, kind: &Kind) -> Result<bool> {
        match (kind, self.options.devices, self.options.fifos) {
            // In a lower directory of overlayfs it would be a whiteout.
            (Kind::Character(0, 0), ..) => Err(refused("it is a character device 0:0")),
            (Kind::Character(..) | Kind::Block(..), Devices::Refuse, _) => Err(refused("it is a device")),
            (Kind::Fifo, _, Treatment::Refuse) => Err(refused("it is a fifo")),
            (Kind::Character(..) | Kind::Block(..), Devices::Skip, _) => Ok(true),
            (Kind::Fifo, _, Treatment::Strip) => Ok(true),
            _ => Ok(false),
        }
    }

    fn root_entry(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Directory {
            return Err(refused("it would take the place of the root, and is no directory"));
        }
        self.allowed(entry)?;
        let root = self.parent(b"")?;
        self.describe(root.fd.as_fd(), root.ino, entry)
    }

    fn directory(&mut self, parent: &Rc<Parent>, name: &[u8], entry: &Entry) -> Result<()> {
        let made = mkdirat(parent.fd.as_fd(), name, Mode::from_bits_truncate(0o700));
        let mut hides = false;
        match made {
            Err(Errno::EEXIST) => {
                let stat = self.stat(parent, name)?;
                if !is(&stat, SFlag::S_IFDIR) {
                    // It hid a directory of the layers below, whose content must not come back.
                    hides = true;
                    self.clear(parent, name)?;
                    mkdirat(parent.fd.as_fd(), name, Mode::from_bits_truncate(0o700)).call("mkdirat")?;
                }
            }
            made => made.call("mkdirat")?,
        }
        let directory = parents::open_directory(parent.fd.as_fd(), name)?;
        let ino = ino(directory.as_fd())?;
        if hides && matches!(self.options.whiteouts, Whiteouts::Overlay { .. }) {
            self.mark_opaque(directory.as_fd(), ino, &entry.name)?;
        }
        self.describe(directory.as_fd(), ino, entry)
    }

    /// Attributes of a directory that the layer describes; its times follow at the end.
    fn describe(&mut self, directory: BorrowedFd<'_>, ino: u64, entry: &Entry) -> Result<()> {
        self.directories.insert(ino);
        if self.implied.remove(&ino).is_some() {
            self.counted.implied = self.counted.implied.saturating_sub(1);
        }
        self.times.insert(ino, (entry.name.clone(), entry.mtime));
        self.attributes(directory, entry)
    }

    fn link(&mut self, parent: &Rc<Parent>, name: &[u8], target: &[u8]) -> Result<()> {
        let (directory, target) = split(target).ok_or_else(|| refused("it is a hard link to the root"))?;
        let from = self.existing_parent(directory)?;
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        let stat = fstatat(from.fd.as_fd(), target, flags).call("fstatat")?;
        if is(&stat, SFlag::S_IFDIR) || whiteout::is_one(&stat) {
            return Err(refused("it is a hard link to a directory, or to what the layer takes away"));
        }
        let make = |to: &Parent| linkat(from.fd.as_fd(), target, to.fd.as_fd(), name, AtFlags::empty());
        match make(parent) {
            Err(Errno::EEXIST) => {
                let present = self.stat(parent, name)?;
                // Removing the name first would remove the file.
                if (present.st_dev, present.st_ino) != (stat.st_dev, stat.st_ino) {
                    self.clear(parent, name)?;
                    make(parent).call("linkat")?;
                }
            }
            made => made.call("linkat")?,
        }
        self.remember(parent, name);
        Ok(())
    }

    fn node(&mut self, parent: &Rc<Parent>, name: &[u8], entry: &Entry) -> Result<()> {
        let make = || match &entry.kind {
            Kind::Symlink(target) => symlinkat(target.as_slice(), parent.fd.as_fd(), name),
            Kind::Character(major, minor) => special(parent, name, SFlag::S_IFCHR, entry, (*major, *minor)),
            Kind::Block(major, minor) => special(parent, name, SFlag::S_IFBLK, entry, (*major, *minor)),
            _ => special(parent, name, SFlag::S_IFIFO, entry, (0, 0)),
        };
        let call = if matches!(entry.kind, Kind::Symlink(_)) { "symlinkat" } else { "mknodat" };
        match make() {
            Err(Errno::EEXIST) => {
                self.clear(parent, name)?;
                make().call(call)?;
            }
            made => made.call(call)?,
        }
        self.remember(parent, name);
        self.attributes_by_name(parent, name, entry)
    }

    /// What else than a directory this layer made, for the whiteouts that follow.
    fn remember(&mut self, parent: &Rc<Parent>, name: &[u8]) {
        if self.options.whiteouts == Whiteouts::Apply {
            self.made.insert((parent.ino, name.into()));
        }
    }

    fn stat(&self, parent: &Parent, name: &[u8]) -> Result<FileStat> {
        fstatat(parent.fd.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW).call("fstatat")
    }

    /// Removes what stands at a name, whatever it is; never through a link.
    fn clear(&mut self, parent: &Parent, name: &[u8]) -> Result<()> {
        // A directory that was opened may be gone, or a link lead elsewhere.
        self.parents.forget();
        match unlinkat(parent.fd.as_fd(), name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(Errno::EISDIR | Errno::EPERM) => remove::directory(parent.fd.as_fd(), name),
            Err(errno) => Err(Error::call("unlinkat", errno)),
        }
    }

    /// Times of directories; what is left for the parent.
    ///
    /// # Errors
    /// A call.
    pub fn finish(mut self) -> Result<Finished> {
        self.parents.forget();
        for (ino, (name, mtime)) in std::mem::take(&mut self.times) {
            self.directory_time(ino, &name, mtime)?;
        }
        let sorted = |names: HashMap<u64, Vec<u8>>| {
            let mut names = names.into_values().collect::<Vec<_>>();
            names.sort();
            names
        };
        Ok(Finished { opaque: sorted(self.opaque), implied: sorted(self.implied), counted: self.counted })
    }
}

fn special(
    parent: &Parent,
    name: &[u8],
    kind: SFlag,
    entry: &Entry,
    (major, minor): (u32, u32),
) -> nix::Result<()> {
    let device = nix::sys::stat::makedev(major.into(), minor.into());
    mknodat(parent.fd.as_fd(), name, kind, Mode::from_bits_truncate(entry.mode), device)
}

/// Directory and last component; `None` for the root.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.is_empty() {
        return None;
    }
    let slash = name.iter().rposition(|byte| *byte == b'/');
    slash.map_or(Some((b"".as_slice(), name)), |slash| Some((name.get(..slash)?, name.get(slash + 1..)?)))
}

/// Whether it is of this type.
fn is(stat: &FileStat, kind: SFlag) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == kind.bits()
}

fn ino(fd: BorrowedFd<'_>) -> Result<u64> {
    Ok(crate::sys::file::stat(fd).call("fstat")?.ino)
}
