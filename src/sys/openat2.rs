//! openat2(2), as nix has it, walked again where what others did made the kernel give up.
//!
//! A walk that meets a mount or a rename anywhere on the machine begins anew, and the links that it
//! followed before are counted twice (fs/namei.c, `total_link_count`; seen on 6.18): ELOOP for far
//! less than forty. A walk that must stay below a root gives up at `..` (EAGAIN). Neither says
//! anything of the path, and neither is rare beside other launches, which all mount.

use std::os::fd::{AsFd, OwnedFd};

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::OpenHow;

use super::Result;

/// Walks until one counts: each met a change on the machine in its few microseconds.
const WALKS: u32 = 100;

/// \[child\] openat2(2) of a path with links; of a `CStr` it allocates nothing.
///
/// # Errors
/// ELOOP: more than forty links, or one that `how` forbids; EAGAIN: others mount without a pause.
pub fn openat2<P: ?Sized + NixPath>(dir: impl AsFd, path: &P, how: OpenHow) -> Result<OwnedFd> {
    let mut walks = 1;
    loop {
        match nix::fcntl::openat2(dir.as_fd(), path, how) {
            Err(Errno::EAGAIN | Errno::ELOOP) if walks < WALKS => walks += 1,
            walked => return walked,
        }
    }
}
