//! Regular files, written where they stand: holes stay holes.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::ftruncate;

use super::parents::Parent;
use super::{Tree, refused};
use crate::error::{Call, Result};
use crate::image::unpack::tar::{Entry, Part};

/// Gives the stored bytes of a file, piece by piece.
pub type Content<'c> = &'c mut dyn FnMut(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

impl Tree<'_> {
    pub(super) fn file(
        &mut self,
        parent: &Rc<Parent>,
        name: &[u8],
        entry: &Entry,
        content: Content<'_>,
    ) -> Result<()> {
        let create = || {
            let flags =
                OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat(parent.fd.as_fd(), name, flags, Mode::from_bits_truncate(0o600))
        };
        let file = match create() {
            Err(Errno::EEXIST) => {
                self.clear(parent, name)?;
                create().call("openat")?
            }
            created => created.call("openat")?,
        };
        self.remember(parent, name);
        write(&file, entry, content)?;
        self.attributes(file.as_fd(), entry)?;
        self.time(file.as_fd(), entry)
    }
}

fn write(file: &OwnedFd, entry: &Entry, content: Content<'_>) -> Result<()> {
    let mut parts = Parts { left: &entry.parts, written: 0 };
    content(&mut |piece| parts.write(file, piece))?;
    let stored: u64 = entry.parts.iter().map(|part| part.length).sum();
    let dense = stored == entry.size;
    if dense {
        Ok(())
    } else {
        ftruncate(file, i64::try_from(entry.size).unwrap_or(i64::MAX)).call("ftruncate")
    }
}

/// Where in the file the next stored bytes belong.
struct Parts<'p> {
    left: &'p [Part],
    /// Bytes of the first part that are written.
    written: u64,
}

impl Parts<'_> {
    fn write(&mut self, file: &OwnedFd, mut piece: &[u8]) -> Result<()> {
        while !piece.is_empty() {
            let Some((part, rest)) = self.left.split_first() else {
                return Err(refused("it has more content than it says"));
            };
            if part.length == self.written {
                (self.left, self.written) = (rest, 0);
                continue;
            }
            let most = usize::try_from(part.length - self.written).unwrap_or(usize::MAX);
            let now = piece.get(..most).unwrap_or(piece);
            let at = i64::try_from(part.offset + self.written).unwrap_or(i64::MAX);
            let length = match nix::sys::uio::pwrite(file, now, at) {
                Err(Errno::EINTR) => 0,
                written => written.call("pwrite")?,
            };
            self.written += length as u64;
            piece = piece.get(length..).unwrap_or_default();
        }
        Ok(())
    }
}
