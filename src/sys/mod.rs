//! Kernel interfaces that `nix` lacks, in the kernel's spelling: one small file each.
//!
//! This is the only module that may contain unsafe code. It promises:
//!
//! * a function is safe to call with any arguments its types admit, and reports
//!   the errno of exactly its own call;
//! * a descriptor that the kernel hands out is close-on-exec and comes as [`OwnedFd`];
//! * a function marked **\[child\]** neither allocates, locks nor panics, and calls no
//!   libc wrapper that caches ids or signals other threads (nptl(7), "NPTL and
//!   signals"). It may be used between clone3(2) and execve(2).
//!
//! It decides nothing: no policy, no fallback from one call to a weaker one.
#![allow(unsafe_code)]

pub mod arguments;
pub mod attempt;
pub mod bpf;
pub mod caller;
pub mod caps;
pub mod clock;
pub mod clone;
pub mod close_range;
#[cfg(target_arch = "x86_64")]
mod copy;
pub mod directory;
pub mod entry;
pub mod exec;
pub mod file;
#[cfg(target_env = "musl")]
pub mod heap;
pub mod host;
pub mod ids;
pub mod ioprio;
pub mod keyctl;
pub mod landlock;
pub mod mempolicy;
pub mod mount;
pub mod net;
pub mod nsfs;
pub mod openat2;
pub mod overlay;
pub mod pages;
pub mod personality;
pub mod pidfd;
pub mod poll;
pub mod prctl;
pub mod program;
pub mod random;
pub mod regex;
pub mod rename;
pub mod rlimit;
pub mod sched;
pub mod seccomp;
pub mod shared;
pub mod signal;
pub mod socket;
pub mod statmount;
pub mod tty;
pub mod wait;
pub mod xattr;

#[cfg(test)]
mod tests;

use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;

/// What every function here returns: the value, or the errno of the call.
pub type Result<T> = std::result::Result<T, Errno>;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("src/sys spells the 64-bit layouts of kernel structures");

/// The value of a raw system call, or its errno.
fn value(returned: libc::c_long) -> Result<libc::c_long> {
    if returned < 0 { Err(Errno::last()) } else { Ok(returned) }
}

/// A raw system call that returns nothing but success.
fn done(returned: libc::c_long) -> Result<()> {
    value(returned).map(drop)
}

/// A raw system call that returns a count of bytes or of objects.
fn count(returned: libc::c_long) -> Result<usize> {
    usize::try_from(value(returned)?).or(Err(Errno::EOVERFLOW))
}

/// A raw system call that returns an `int`.
fn int(returned: libc::c_long) -> Result<i32> {
    i32::try_from(value(returned)?).or(Err(Errno::EOVERFLOW))
}

/// A raw system call that returns a new descriptor.
///
/// # Safety
/// `returned` is the result of a call that makes a descriptor which nobody else owns.
unsafe fn descriptor(returned: libc::c_long) -> Result<OwnedFd> {
    let fd = int(returned)?;
    // SAFETY: by this function's contract the kernel has just made `fd` for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Repeats a call that a signal interrupted before it did anything (signal(7)).
fn uninterrupted<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}
