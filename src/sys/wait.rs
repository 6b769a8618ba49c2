//! Waiting for children: wait4(2), and waitid(2) with P_PIDFD (since Linux 5.4). All \[child\].
//!
//! Always with `__WALL` (clone(2)), or children without an exit signal stay unseen.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Result, done, int, uninterrupted};

/// Wait for ended children (`linux/wait.h`).
pub const WEXITED: i32 = 4;
/// Do not block.
pub const WNOHANG: i32 = 1;
/// Leave the child waitable.
pub const WNOWAIT: i32 = 0x100_0000;

const WALL: i32 = 0x4000_0000;
const P_PIDFD: i32 = 3;

/// What waitid(2) says of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitInfo {
    /// `si_code`: CLD_EXITED (1), CLD_KILLED (2), CLD_DUMPED (3), ...
    pub code: i32,
    /// Exit code for CLD_EXITED, signal number for the others.
    pub status: i32,
    /// The child's pid.
    pub pid: i32,
    /// The child's real user id.
    pub uid: u32,
}

/// What an ended child and its waited-for descendants used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rusage {
    /// User CPU time, microseconds.
    pub user_us: u64,
    /// System CPU time, microseconds.
    pub system_us: u64,
    /// Largest resident set of one process, KiB.
    pub max_rss_kib: u64,
}

/// \[child\] wait4(-1, WNOHANG): pid and raw status of one child that ended, if any.
///
/// # Errors
/// ECHILD: there is no child.
pub fn wait_any_nohang() -> Result<Option<(i32, i32)>> {
    let mut status = 0;
    let pid = wait4(-1, &mut status, WNOHANG, std::ptr::null_mut())?;
    Ok((pid != 0).then_some((pid, status)))
}

/// \[child\] Waits for the child `pid` (-1: any) to end: its raw status and what it used.
///
/// # Errors
/// ECHILD: no such child.
pub fn wait4_rusage(pid: i32) -> Result<(i32, Rusage)> {
    let (mut status, mut usage) = (0, [0_i64; 18]);
    wait4(pid, &mut status, 0, usage.as_mut_ptr())?;
    // struct rusage (linux/resource.h): two timevals, then ru_maxrss.
    let [user_s, user_us, system_s, system_us, max_rss, ..] = usage;
    let microseconds =
        |s: i64, us: i64| s.unsigned_abs().saturating_mul(1_000_000).saturating_add(us.unsigned_abs());
    let usage = Rusage {
        user_us: microseconds(user_s, user_us),
        system_us: microseconds(system_s, system_us),
        max_rss_kib: max_rss.unsigned_abs(),
    };
    Ok((status, usage))
}

fn wait4(pid: i32, status: &mut i32, options: i32, usage: *mut i64) -> Result<i32> {
    let options = options | WALL;
    uninterrupted(|| {
        let status = std::ptr::from_mut(status);
        // SAFETY: the kernel writes one int, and `struct rusage` (144 bytes) unless NULL;
        // the callers in this file pass either NULL or 18 words.
        int(unsafe { libc::syscall(libc::SYS_wait4, pid, status, options, usage) })
    })
}

/// \[child\] waitid(2) for the child behind `pidfd`; `flags` are WEXITED and perhaps WNOHANG
/// (then `None`: it still runs) and WNOWAIT.
///
/// # Errors
/// ECHILD: not our child, or waited for already. EINVAL: no WEXITED, or before 5.4.
/// EAGAIN: a nonblocking pidfd (5.10) whose process still runs.
pub fn waitid_pidfd(pidfd: BorrowedFd<'_>, flags: i32) -> Result<Option<ExitInfo>> {
    let mut info = [0_i32; 32];
    let usage = std::ptr::null_mut::<i64>();
    let (fd, flags) = (pidfd.as_raw_fd(), flags | WALL);
    uninterrupted(|| {
        // SAFETY: the kernel writes `siginfo_t` (128 bytes) to the array we hold.
        done(unsafe { libc::syscall(libc::SYS_waitid, P_PIDFD, fd, info.as_mut_ptr(), flags, usage) })
    })?;
    // siginfo_t on 64-bit: signo, errno, code, padding, pid, uid, status.
    let [_, _, code, _, pid, uid, status, ..] = info;
    Ok((pid != 0).then_some(ExitInfo { code, status, pid, uid: uid.cast_unsigned() }))
}
