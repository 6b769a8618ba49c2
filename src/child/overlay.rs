//! overlayfs out of the layers of an image: Documentation/filesystems/overlayfs.rst.
//!
//! It is mounted by the child, so that it reads and writes with the rights of the child's user
//! namespace; it then takes `user.overlay.*` as its own marks (`userxattr`). A layer is named by
//! its descriptor: `lowerdir+` (Linux 6.7) takes any number, and a path has no odd letters.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod, mkdirat};

use super::{Done, mounts};
use crate::plan::{Lower, Overlay};
use crate::sys::{self, mount};

/// Makes it. What it stands on is attached to `ground` first: before Linux 6.15 overlayfs takes
/// no detached mount. All of it is detached again here, as overlayfs has clones of its own: what stayed on
/// the old root would be detached by the pivot in its place.
pub(super) fn make(overlay: &Overlay, ground: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let context = mount::fsopen(c"overlay", mount::FSOPEN_CLOEXEC)?;
    mount::fsconfig_string(context.as_fd(), c"source", c"pinfold")?;
    mount::fsconfig_flag(context.as_fd(), c"userxattr")?;
    let mut topmost = None;
    for lower in &overlay.lowers {
        let layer = match lower {
            Lower::Tree(tree) => {
                mount::move_mount(tree.as_fd(), ground, c"", 0)?;
                sys::file::duplicate(tree.as_fd())?
            }
            Lower::Path(reopened) => mounts::same_object(reopened)?,
        };
        layer_of(context.as_fd(), c"lowerdir+", layer.as_fd())?;
        topmost.get_or_insert(sys::file::stat(layer.as_fd())?.mode);
    }
    let room = mounts::make_root(&overlay.upper)?;
    mount::move_mount(room.as_fd(), ground, c"", 0)?;
    for (name, key) in [(c"upper", c"upperdir"), (c"work", c"workdir")] {
        mkdirat(room.as_fd(), name, Mode::S_IRWXU)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = nix::fcntl::openat(room.as_fd(), name, flags, Mode::empty())?;
        // The root directory is as the topmost layer has it.
        fchmod(&directory, Mode::from_bits_truncate(topmost.unwrap_or(0o755)))?;
        layer_of(context.as_fd(), key, directory.as_fd())?;
    }
    mount::fsconfig_create(context.as_fd())?;
    let made = mount::fsmount(context.as_fd(), mount::FSMOUNT_CLOEXEC, overlay.attrs)?;
    detach(overlay, room.as_fd())?;
    nix::unistd::fchdir(ground)?;
    Ok(made)
}

/// The last one first: `.` is the topmost mount that lies there.
fn detach(overlay: &Overlay, room: BorrowedFd<'_>) -> Done {
    let trees = overlay.lowers.iter().rev().filter_map(|lower| match lower {
        Lower::Tree(tree) => Some(tree.as_fd()),
        Lower::Path(_) => None,
    });
    for attached in std::iter::once(room).chain(trees) {
        nix::unistd::fchdir(attached)?;
        sys::file::umount_detach_dot()?;
    }
    Ok(())
}

/// By descriptor since Linux 6.13, and before by the path that leads to it.
fn layer_of(context: BorrowedFd<'_>, key: &CStr, layer: BorrowedFd<'_>) -> Done {
    match mount::fsconfig_fd(context, key, layer) {
        Err(Errno::EINVAL | Errno::EBADF | Errno::EOPNOTSUPP) => {}
        set => return set,
    }
    let mut buffer = [0; 32];
    mount::fsconfig_string(context, key, path_of(layer, &mut buffer)?)
}

/// `/proc/self/fd/N`, without allocating.
fn path_of<'b>(fd: BorrowedFd<'_>, buffer: &'b mut [u8; 32]) -> Result<&'b CStr, Errno> {
    const START: &[u8] = b"/proc/self/fd/";
    let mut number = fd.as_raw_fd().unsigned_abs();
    let mut digits = [0; 10];
    let mut count = 0;
    for digit in &mut digits {
        *digit = b'0' + u8::try_from(number % 10).or(Err(Errno::EINVAL))?;
        number /= 10;
        count += 1;
        if number == 0 {
            break;
        }
    }
    let text = START.iter().chain(digits.iter().take(count).rev()).chain(&[0]);
    for (place, byte) in buffer.iter_mut().zip(text) {
        *place = *byte;
    }
    CStr::from_bytes_until_nul(buffer).or(Err(Errno::EINVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_has_a_path() {
        let files: Vec<_> = (0..120).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        for file in files {
            let mut buffer = [0; 32];
            let own = format!("/proc/self/fd/{}", file.as_raw_fd());
            assert_eq!(path_of(file.as_fd(), &mut buffer).unwrap().to_str().unwrap(), own);
        }
    }
}
