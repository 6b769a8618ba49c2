//! On the real kernel. Children come from clone3 alone, and do only what is marked \[child\]:
//! the test program has many threads.

mod files;
mod process;
mod restrict;
mod sockets;

use std::os::fd::AsFd;

use nix::errno::Errno;

use super::Result;
use super::clone::{CloneArgs, Cloned, clone3, exit_now};
use super::wait::{ExitInfo, WEXITED, waitid_pidfd};

/// A false claim in a child; no call in these tests reports this errno.
const FALSE: Errno = Errno::EBADMSG;

fn ensure(claim: bool) -> Result<()> {
    if claim { Ok(()) } else { Err(FALSE) }
}

/// How a child that ran `steps` ended.
fn ended(flags: u64, steps: impl FnOnce() -> Result<()>) -> ExitInfo {
    let args = CloneArgs { flags, exit_signal: libc::SIGCHLD, cgroup: None };
    match clone3(&args).expect("clone3") {
        Cloned::Child => exit_now(steps().err().map_or(0, |errno| errno as i32)),
        Cloned::Parent { pidfd, .. } => waitid_pidfd(pidfd.as_fd(), WEXITED).unwrap().unwrap(),
    }
}

/// Runs `steps` in a child and shows which errno stopped it.
fn in_child(flags: u64, steps: impl FnOnce() -> Result<()>) {
    let end = ended(flags, steps);
    assert_eq!((end.code, Errno::from_raw(end.status)), (libc::CLD_EXITED, Errno::from_raw(0)));
}
