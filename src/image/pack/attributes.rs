//! Extended attributes of a file that go into a layer, and what those of overlayfs say of it
//! (Documentation/filesystems/overlayfs.rst).

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;

use crate::error::{Call, Error, Result};
use crate::image::failed;
use crate::sys::xattr::{fgetxattr, flistxattr};

/// XATTR_LIST_MAX, XATTR_SIZE_MAX (xattr(7)).
const LARGEST: usize = 65536;
/// Where overlayfs keeps its own: of a mount by root, and of one with `userxattr`.
const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// What a file has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `user.*` and `security.capability`, sorted.
    pub kept: Vec<(Vec<u8>, Vec<u8>)>,
    /// An upper directory that hides those below it.
    pub opaque: bool,
    /// A whiteout that is no device.
    pub whiteout: bool,
}

impl Attributes {
    /// Reads them. All others belong to the machine: labels, access control lists, `trusted.*`.
    ///
    /// # Errors
    /// fgetxattr(2); a name that a layer cannot say; a mark of overlayfs by which the file is not all there.
    pub fn of(file: impl AsFd) -> Result<Self> {
        let mut names = vec![0; LARGEST];
        let length = match flistxattr(file.as_fd(), &mut names) {
            Err(Errno::EOPNOTSUPP) => return Ok(Self::default()),
            length => length.call("flistxattr")?,
        };
        let mut found = Self::default();
        for name in names.get(..length).unwrap_or_default().split(|byte| *byte == 0) {
            found.take(file.as_fd(), name)?;
        }
        found.kept.sort();
        Ok(found)
    }

    fn take(&mut self, file: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
        if let Some(mark) = OVERLAY.iter().find_map(|start| name.strip_prefix(*start)) {
            return self.mark(mark, &value(file, name)?);
        }
        if !name.starts_with(b"user.") && name != b"security.capability" {
            return Ok(());
        }
        // The name ends there in a PAX record: `user.a=b` would become `user.a`.
        if name.contains(&b'=') {
            return Err(failed("an extended attribute has a name with `=`, which no layer can say"));
        }
        self.kept.push((name.to_vec(), value(file, name)?));
        Ok(())
    }

    fn mark(&mut self, mark: &[u8], value: &[u8]) -> Result<()> {
        match mark {
            // `x` says that whiteouts in it are attributes (Linux 6.7).
            b"opaque" => self.opaque |= value == b"y",
            b"whiteout" => self.whiteout = true,
            b"redirect" | b"metacopy" => {
                let mark = String::from_utf8_lossy(mark);
                return Err(failed(format!(
                    "the mark overlay.{mark} says that its content lies in another layer"
                ))
                .hint("mount with redirect_dir=off,metacopy=off, or copy the file in the container"));
            }
            // Inode numbers, and which copies have been made: nothing of the content.
            _ => {}
        }
        Ok(())
    }
}

fn value(file: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>> {
    let mut value = vec![0; LARGEST];
    match fgetxattr(file, name, &mut value) {
        Ok(length) => {
            value.truncate(length);
            Ok(value)
        }
        Err(errno) => Err(Error::call("fgetxattr", errno)),
    }
}
