//! Marks of overlayfs on directories of a layer: getxattr(2),
//! Documentation/filesystems/overlayfs.rst "whiteouts and opaque directories".

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

use super::{Result, count};

/// Whether an opened directory has `user.overlay.opaque`.
///
/// # Errors
/// EIO, EACCES.
pub fn is_opaque(directory: impl AsFd) -> Result<bool> {
    let mut value = [0_u8; 2];
    let name = c"user.overlay.opaque".as_ptr();
    let raw = directory.as_fd().as_raw_fd();
    // SAFETY: the kernel reads a static string and writes at most two bytes, which we hold.
    match count(unsafe { libc::syscall(libc::SYS_fgetxattr, raw, name, value.as_mut_ptr(), value.len()) }) {
        Ok(length) => Ok(value.get(..length) == Some(b"y")),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(false),
        // A longer value is no mark.
        Err(Errno::ERANGE) => Ok(false),
        Err(errno) => Err(errno),
    }
}
