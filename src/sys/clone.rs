//! clone3(2), since Linux 5.3, used like fork(2): the child gets a copy of everything.
//!
//! **The single-thread rule.** The child is a copy of the calling thread alone. A lock
//! that another thread held (malloc's, stdio's) stays locked in it for ever, and libc's
//! fork handlers do not run. So the caller has one thread ([`thread_count`]), and the
//! child uses only functions marked \[child\] until execve(2) or [`exit_now`].

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::{Result, int};

/// Set every handled signal to SIG_DFL in the child (5.5, `linux/sched.h`).
pub const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
/// Start in the cgroup of `clone_args.cgroup` (5.7, `linux/sched.h`).
pub const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// New time namespace (5.6, `linux/sched.h`); the child itself is in it.
pub const CLONE_NEWTIME: u64 = 0x80;
/// Return a pidfd (5.2, `linux/sched.h`).
pub const CLONE_PIDFD: u64 = 0x1000;
/// The child's parent is the caller's parent; clone3 then wants `exit_signal` 0.
pub const CLONE_PARENT: u64 = 0x8000;
/// New mount namespace.
pub const CLONE_NEWNS: u64 = 0x2_0000;
/// New cgroup namespace (4.6).
pub const CLONE_NEWCGROUP: u64 = 0x200_0000;
/// New UTS namespace.
pub const CLONE_NEWUTS: u64 = 0x400_0000;
/// New IPC namespace.
pub const CLONE_NEWIPC: u64 = 0x800_0000;
/// New user namespace.
pub const CLONE_NEWUSER: u64 = 0x1000_0000;
/// New PID namespace.
pub const CLONE_NEWPID: u64 = 0x2000_0000;
/// New network namespace.
pub const CLONE_NEWNET: u64 = 0x4000_0000;

/// Flags under which the child would share memory, descriptors or thread identity
/// with its parent, or for which `CloneArgs` has no pointer.
const REFUSED: u64 = 0x0000_0100 // CLONE_VM
    | 0x0000_0400 // CLONE_FILES
    | 0x0000_0800 // CLONE_SIGHAND
    | 0x0001_0000 // CLONE_THREAD
    | 0x0008_0000 // CLONE_SETTLS
    | 0x0010_0000 // CLONE_PARENT_SETTID
    | 0x0020_0000 // CLONE_CHILD_CLEARTID
    | 0x0100_0000; // CLONE_CHILD_SETTID

/// What to clone.
#[derive(Debug, Clone, Copy, Default)]
pub struct CloneArgs<'a> {
    /// `CLONE_*`; CLONE_PIDFD is always added.
    pub flags: u64,
    /// SIGCHLD, or 0: no signal, and only waits with `__WALL` see the child (all of
    /// [`super::wait`] do).
    pub exit_signal: i32,
    /// A cgroup2 directory to be born in; adds CLONE_INTO_CGROUP.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// Which side of the clone this is.
#[derive(Debug)]
pub enum Cloned {
    /// The new process.
    Child,
    /// The caller.
    Parent {
        /// The child's pid in the caller's PID namespace.
        pid: Pid,
        /// The child for good: a pid may be reused, this is not.
        pidfd: OwnedFd,
    },
}

/// `struct clone_args`, CLONE_ARGS_SIZE_VER2 (`linux/sched.h`).
#[repr(C)]
#[derive(Default)]
struct KernelArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// clone3(2), fork-like. See the single-thread rule at the top of this file.
///
/// # Errors
/// EINVAL: a flag that shares memory, descriptors or threads, or a bad combination.
/// EAGAIN: RLIMIT_NPROC or pids.max. EPERM: no right to make the namespace.
/// ENOSPC: a namespace limit (`/proc/sys/user`). EBUSY, EOPNOTSUPP, EACCES: the cgroup
/// has controllers for children, is threaded, or may not be written. ENOSYS: before 5.3
/// or a seccomp filter.
pub fn clone3(args: &CloneArgs<'_>) -> Result<Cloned> {
    if args.flags & REFUSED != 0 || !matches!(args.exit_signal, 0 | libc::SIGCHLD) {
        return Err(Errno::EINVAL);
    }
    let mut pidfd: libc::c_int = -1;
    let mut kernel = KernelArgs {
        flags: args.flags | CLONE_PIDFD,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: u64::from(args.exit_signal.unsigned_abs()),
        ..KernelArgs::default()
    };
    if let Some(cgroup) = args.cgroup {
        kernel.flags |= CLONE_INTO_CGROUP;
        kernel.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    // SAFETY: the kernel reads `kernel` (size given) and writes one int to `pidfd`; both
    // outlive the call. No flag shares memory: the child runs on its own copy of this stack.
    let pid = int(unsafe { libc::syscall(libc::SYS_clone3, &raw mut kernel, size_of::<KernelArgs>()) })?;
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: CLONE_PIDFD made this descriptor for us, in the parent only.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned::Parent { pid: Pid::from_raw(pid), pidfd })
}

/// How many threads this process has: the entries of `/proc/self/task` (proc(5)).
///
/// # Errors
/// ENOENT: `/proc` is not mounted.
pub fn thread_count() -> Result<usize> {
    let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    let mut threads = 0;
    for entry in std::fs::read_dir("/proc/self/task").map_err(errno)? {
        entry.map_err(errno)?;
        threads += 1;
    }
    Ok(threads)
}

/// \[child\] exit_group(2): ends the process without exit handlers or flushed buffers.
pub fn exit_now(code: i32) -> ! {
    loop {
        // SAFETY: takes no memory; it does not return.
        unsafe { libc::syscall(libc::SYS_exit_group, code) };
    }
}

/// \[child\] getpid(2) as the caller's own pid namespace counts; no libc may have cached it.
pub fn own_pid() -> i32 {
    // SAFETY: takes no memory; it cannot fail.
    i32::try_from(unsafe { libc::syscall(libc::SYS_getpid) }).unwrap_or(0)
}

/// \[child\] fork(2) by the plain clone(2), which a seccomp filter can judge by its flags
/// (clone3 hides them in memory, so filters answer it with ENOSYS). `None` in the child.
///
/// # Errors
/// EAGAIN: RLIMIT_NPROC or pids.max. ENOMEM. EINVAL: a flag other than CLONE_PARENT.
pub fn fork_plain(flags: u64) -> Result<Option<i32>> {
    if flags & !CLONE_PARENT != 0 {
        return Err(Errno::EINVAL);
    }
    let flags = flags | u64::from(libc::SIGCHLD.unsigned_abs());
    // SAFETY: no flag shares memory and no stack is given: the child runs on its own copy.
    // Zeroes fit both argument orders of clone(2) (x86_64 and aarch64 swap the last two).
    let pid = int(unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) })?;
    Ok((pid != 0).then_some(pid))
}
