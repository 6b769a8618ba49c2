//! Owner, mode, extended attributes and times, in this order: changing the owner takes set-ID
//! bits and file capabilities away (chown(2)).

use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode, UtimensatFlags, fchmod, futimens, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};

use super::parents::{self, Parent};
use super::{Tree, refused};
use crate::error::{Call, Result};
use crate::image::unpack::tar::{Entry, Kind, escaped};
use crate::image::unpack::{Owners, Treatment};
use crate::sys;

/// Set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;
const CAPABILITY: &[u8] = b"security.capability";

impl Tree<'_> {
    /// What the options refuse, before anything of the entry is made.
    pub(super) fn allowed(&self, entry: &Entry) -> Result<()> {
        let set_id = entry.mode & SET_ID != 0 && is_file(entry);
        if set_id && self.options.setuid == Treatment::Refuse {
            return Err(refused("it is set-user-ID or set-group-ID"));
        }
        for (name, _) in &entry.xattrs {
            self.attribute_allowed(entry, name)?;
        }
        Ok(())
    }

    /// An allow-list: trusted.* and user.overlay.* would speak to overlayfs, other security.*
    /// to the host's security modules.
    fn attribute_allowed(&self, entry: &Entry, name: &[u8]) -> Result<()> {
        let known = match name {
            CAPABILITY => self.options.file_capabilities != Treatment::Refuse && entry.kind == Kind::File,
            _ => name.starts_with(b"user.") && !name.starts_with(b"user.overlay."),
        };
        let has_them = matches!(entry.kind, Kind::File | Kind::Directory);
        match known && has_them && name.len() <= 255 {
            true => Ok(()),
            false => Err(refused(format!("its attribute \"{}\" is refused", escaped(name)))),
        }
    }

    /// Owner, mode and attributes of an open file or directory.
    pub(super) fn attributes(&self, fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
        self.own(fd, entry.uid, entry.gid)?;
        let strip = self.options.setuid != Treatment::Keep && is_file(entry);
        let mode = if strip { entry.mode & !SET_ID } else { entry.mode };
        fchmod(fd, Mode::from_bits_truncate(mode)).call("fchmod")?;
        for (name, value) in &entry.xattrs {
            if name == CAPABILITY && !self.options.keeps_capabilities() {
                continue;
            }
            sys::xattr::fsetxattr(fd, name, value).call(&format!("fsetxattr {}", escaped(name)))?;
        }
        Ok(())
    }

    /// Where everything is the caller's, it is already.
    pub(super) fn own(&self, fd: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
        match self.options.owners {
            Owners::Caller => Ok(()),
            _ => {
                sys::file::fchown(fd, uid, gid).call("fchown").map_err(|error| self.unmapped(error, uid, gid))
            }
        }
    }

    fn unmapped(&self, error: crate::error::Error, uid: u32, gid: u32) -> crate::error::Error {
        match error.errno() {
            Some(nix::errno::Errno::EINVAL) => refused(format!("its owner {uid}:{gid} is not mapped")),
            _ => error,
        }
    }

    /// Of what cannot be opened: links, devices, fifos.
    pub(super) fn attributes_by_name(&self, parent: &Parent, name: &[u8], entry: &Entry) -> Result<()> {
        let fd = parent.fd.as_fd();
        if self.options.owners != Owners::Caller {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            fchownat(fd, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
                .call("fchownat")
                .map_err(|error| self.unmapped(error, entry.uid, entry.gid))?;
        }
        let time = spec(entry.mtime);
        utimensat(fd, name, &time, &time, UtimensatFlags::NoFollowSymlink).call("utimensat")
    }

    pub(super) fn time(&self, fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
        let time = spec(entry.mtime);
        futimens(fd, &time, &time).call("futimens")
    }

    /// Of a directory, once it is complete. One that is gone, or that other entries moved a
    /// link away from, has no time left to set.
    pub(super) fn directory_time(&self, ino: u64, name: &[u8], mtime: (i64, i64)) -> Result<()> {
        let Ok(directory) = parents::open_in_root(self.root.as_fd(), name) else { return Ok(()) };
        if super::ino(directory.as_fd())? != ino {
            return Ok(());
        }
        let time = spec(mtime);
        futimens(directory, &time, &time).call("futimens")
    }
}

/// On a directory set-group-ID means inheritance (inode(7)).
fn is_file(entry: &Entry) -> bool {
    entry.kind != Kind::Directory
}

fn spec((seconds, nanoseconds): (i64, i64)) -> TimeSpec {
    TimeSpec::new(seconds, nanoseconds)
}
