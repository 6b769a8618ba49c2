//! Processes by descriptor: pidfd_open(2) since Linux 5.3, pidfd_send_signal(2) since
//! 5.1, pidfd_getfd(2) since 5.6, `PIDFD_GET_*_NAMESPACE` (ioctl_pidfd, `linux/pidfd.h`)
//! since 6.11. All \[child\].

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::unistd::Pid;

use super::{Result, descriptor, done};

/// Which namespace of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// Control groups.
    Cgroup,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Mounts.
    Mount,
    /// Network.
    Network,
    /// Process ids.
    Pid,
    /// Process ids of the children to come.
    PidForChildren,
    /// Clock offsets.
    Time,
    /// Clock offsets of the children to come.
    TimeForChildren,
    /// User and group ids.
    User,
    /// Host and domain name.
    Uts,
}

impl Namespace {
    /// `_IO(PIDFS_IOCTL_MAGIC, n)`, `linux/pidfd.h`.
    const fn request(self) -> libc::c_ulong {
        0xff00
            | match self {
                Self::Cgroup => 1,
                Self::Ipc => 2,
                Self::Mount => 3,
                Self::Network => 4,
                Self::Pid => 5,
                Self::PidForChildren => 6,
                Self::Time => 7,
                Self::TimeForChildren => 8,
                Self::User => 9,
                Self::Uts => 10,
            }
    }
}

/// \[child\] pidfd_open(2): the process that has this pid now.
///
/// # Errors
/// ESRCH: no such process. EINVAL: `pid` is not positive, or a thread that leads no group.
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd> {
    // SAFETY: takes no memory; it returns a descriptor that is ours.
    unsafe { descriptor(libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0)) }
}

/// \[child\] pidfd_send_signal(2). Signal 0 only asks whether the process lives.
///
/// # Errors
/// ESRCH: it has ended and was waited for. EPERM: not allowed. EINVAL: no such signal.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a NULL siginfo is allowed, the kernel then fills in kill(2)'s.
    done(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) })
}

/// \[child\] pidfd_getfd(2): a duplicate of descriptor number `target` of that process.
///
/// # Errors
/// EPERM: no right to ptrace it. EBADF: it has no such descriptor. ESRCH: it ended.
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, target: i32) -> Result<OwnedFd> {
    // SAFETY: takes no memory; it returns a close-on-exec descriptor that is ours.
    unsafe { descriptor(libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), target, 0)) }
}

/// \[child\] A namespace of the process, without `/proc` (ioctl `PIDFD_GET_*_NAMESPACE`).
///
/// # Errors
/// ENOTTY: before 6.11. ESRCH: the process ended. EPERM: no right to read its namespaces.
/// EOPNOTSUPP: the kernel is built without this kind.
pub fn pidfd_namespace(pidfd: BorrowedFd<'_>, kind: Namespace) -> Result<OwnedFd> {
    let no_argument: libc::c_ulong = 0;
    // SAFETY: these requests take no memory; they return a close-on-exec descriptor that is ours.
    unsafe { descriptor(libc::syscall(libc::SYS_ioctl, pidfd.as_raw_fd(), kind.request(), no_argument)) }
}

/// `PIDFD_GET_INFO`, `_IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)` of its first size, 64 bytes.
const GET_INFO: libc::c_ulong = 0xc040_ff0b;
/// `PIDFD_INFO_EXIT` (since Linux 6.15).
const INFO_EXIT: u64 = 1 << 3;

/// `struct pidfd_info` (`linux/pidfd.h`), as Linux 6.13 brought it.
#[repr(C)]
#[derive(Debug, Default)]
struct PidfdInfo {
    mask: u64,
    cgroupid: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// \[child\] The wait(2) status of a process that has ended and was waited for, by whoever is its
/// parent; `None` before that.
///
/// # Errors
/// ENOTTY: before 6.13. ESRCH: 6.13 and 6.14, which do not remember the status.
pub fn pidfd_exit_status(pidfd: BorrowedFd<'_>) -> Result<Option<i32>> {
    let mut info = PidfdInfo { mask: INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the kernel reads and writes 64 bytes, the size of the structure that the request names.
    done(unsafe { libc::syscall(libc::SYS_ioctl, pidfd.as_raw_fd(), GET_INFO, &raw mut info) })?;
    Ok((info.mask & INFO_EXIT != 0).then_some(info.exit_code))
}
