//! seccomp(2), since Linux 3.17. All \[child\].

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use seccompiler::sock_filter;

use super::{Result, descriptor, done};

/// Put every thread under the filter (`linux/seccomp.h`, as all of these).
pub const SECCOMP_FILTER_FLAG_TSYNC: u64 = 1;
/// Log all actions but ALLOW (4.14).
pub const SECCOMP_FILTER_FLAG_LOG: u64 = 1 << 1;
/// No Speculative Store Bypass mitigation (4.17).
pub const SECCOMP_FILTER_FLAG_SPEC_ALLOW: u64 = 1 << 2;
/// Return a listener for USER_NOTIF (5.0).
pub const SECCOMP_FILTER_FLAG_NEW_LISTENER: u64 = 1 << 3;
/// Let TSYNC report failure as ESRCH (5.7); needed with NEW_LISTENER.
pub const SECCOMP_FILTER_FLAG_TSYNC_ESRCH: u64 = 1 << 4;
/// A notified call waits killably (5.19); only with NEW_LISTENER.
pub const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: u64 = 1 << 5;

const SECCOMP_SET_MODE_FILTER: u32 = 1;
const SECCOMP_GET_ACTION_AVAIL: u32 = 2;

/// `struct sock_fprog` (`linux/filter.h`).
#[repr(C)]
struct Program {
    len: u16,
    filter: *const sock_filter,
}

/// \[child\] seccomp(2) SECCOMP_SET_MODE_FILTER: adds a filter for good. The listener comes
/// back when `flags` has NEW_LISTENER. Sets no_new_privs for nobody.
///
/// # Errors
/// EACCES: neither no_new_privs nor CAP_SYS_ADMIN. EINVAL: an unknown flag, or a program
/// that is empty, longer than 4096 or not valid. EBUSY: there is a listener already.
/// ENOMEM: all filters together exceed 32768 instructions. ESRCH: TSYNC failed.
pub fn seccomp_set_mode_filter(flags: u64, program: &[sock_filter]) -> Result<Option<OwnedFd>> {
    let len = u16::try_from(program.len()).or(Err(Errno::EINVAL))?;
    let program = Program { len, filter: program.as_ptr() };
    // SAFETY: the kernel copies `len` instructions (repr(C), as in linux/filter.h).
    let returned =
        unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    if flags & SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 {
        // SAFETY: with this flag a result that is no error is a new close-on-exec descriptor.
        return unsafe { descriptor(returned) }.map(Some);
    }
    // A thread that TSYNC could not reach is reported as its positive id.
    if returned > 0 { Err(Errno::ESRCH) } else { done(returned).map(|()| None) }
}

/// \[child\] seccomp(2) SECCOMP_GET_ACTION_AVAIL, since 4.14: whether the kernel knows the
/// action (`SECCOMP_RET_*`).
///
/// # Errors
/// EINVAL: before 4.14. ENOSYS: no seccomp.
pub fn get_action_avail(action: u32) -> Result<bool> {
    // SAFETY: the kernel reads one u32.
    let returned =
        unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    match done(returned) {
        Ok(()) => Ok(true),
        Err(Errno::EOPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}
