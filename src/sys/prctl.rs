//! prctl(2): attributes of the calling thread or process. All \[child\].

use std::ffi::CStr;

use nix::errno::Errno;

use super::{Result, int};

/// prctl(2) with arguments that are numbers; unused ones are zero, as the kernel demands.
pub(super) fn prctl(option: i32, second: libc::c_ulong, third: libc::c_ulong) -> Result<i32> {
    let zero: libc::c_ulong = 0;
    // SAFETY: the options used in this module take numbers, or a string that outlives the call.
    int(unsafe { libc::syscall(libc::SYS_prctl, option, second, third, zero, zero) })
}

/// \[child\] PR_SET_PDEATHSIG: the signal to get when the parent *thread* ends; 0 is none.
/// Cleared by fork, set-ID execve and changes of ids (so set it after those), and lost if
/// the parent ended before: compare getppid(2) afterwards.
///
/// # Errors
/// EINVAL: no such signal.
pub fn set_pdeathsig(signal: i32) -> Result<()> {
    let signal = libc::c_ulong::try_from(signal).or(Err(Errno::EINVAL))?;
    prctl(libc::PR_SET_PDEATHSIG, signal, 0).map(drop)
}

/// \[child\] PR_SET_DUMPABLE: whether others of the same user may ptrace this process and
/// read its `/proc` entries.
///
/// # Errors
/// None in practice.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, dumpable.into(), 0).map(drop)
}

/// \[child\] PR_GET_DUMPABLE: 0 no, 1 yes, 2 root only (proc(5), suid_dumpable).
///
/// # Errors
/// None in practice.
pub fn dumpable() -> Result<i32> {
    prctl(libc::PR_GET_DUMPABLE, 0, 0)
}

/// \[child\] PR_SET_KEEPCAPS: permitted capabilities survive leaving uid 0, until execve.
///
/// # Errors
/// EPERM: SECBIT_KEEP_CAPS_LOCKED.
pub fn set_keepcaps(keep: bool) -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, keep.into(), 0).map(drop)
}

/// \[child\] PR_SET_NO_NEW_PRIVS, since 3.5: execve grants nothing any more, for good.
///
/// # Errors
/// None in practice.
pub fn set_no_new_privs() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

/// \[child\] PR_GET_NO_NEW_PRIVS.
///
/// # Errors
/// None in practice.
pub fn no_new_privs() -> Result<bool> {
    prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0).map(|set| set == 1)
}

/// \[child\] PR_SET_CHILD_SUBREAPER, since 3.4: orphaned descendants become our children.
///
/// # Errors
/// None in practice.
pub fn set_child_subreaper(subreaper: bool) -> Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, subreaper.into(), 0).map(drop)
}

/// \[child\] PR_SET_SECUREBITS (capabilities(7)).
///
/// # Errors
/// EPERM: no CAP_SETPCAP, or a bit is locked.
pub fn set_securebits(bits: u32) -> Result<()> {
    prctl(libc::PR_SET_SECUREBITS, bits.into(), 0).map(drop)
}

/// \[child\] PR_SET_NAME: `comm` of the thread; the kernel keeps 15 bytes.
///
/// # Errors
/// None in practice.
pub fn set_name(name: &CStr) -> Result<()> {
    prctl(libc::PR_SET_NAME, name.as_ptr() as libc::c_ulong, 0).map(drop)
}

/// \[child\] PR_SET_TIMERSLACK: by how many nanoseconds timers of the thread may be late.
/// Inherited by fork and kept by execve, as the four below are.
///
/// # Errors
/// None in practice.
pub fn set_timerslack(nanoseconds: u32) -> Result<()> {
    prctl(libc::PR_SET_TIMERSLACK, nanoseconds.into(), 0).map(drop)
}

/// \[child\] PR_SET_THP_DISABLE, since 3.15: no transparent huge pages.
///
/// # Errors
/// EINTR.
pub fn set_thp_disable(disable: bool) -> Result<()> {
    prctl(libc::PR_SET_THP_DISABLE, disable.into(), 0).map(drop)
}

/// \[child\] PR_SET_MEMORY_MERGE, since 6.4: all memory may be merged with that of others that
/// is equal (ksm).
///
/// # Errors
/// EINVAL: an older kernel, or one without KSM.
pub fn set_memory_merge(merge: bool) -> Result<()> {
    const PR_SET_MEMORY_MERGE: i32 = 67;
    prctl(PR_SET_MEMORY_MERGE, merge.into(), 0).map(drop)
}

/// \[child\] PR_MCE_KILL with PR_MCE_KILL_CLEAR: what the host has set decides about broken memory.
///
/// # Errors
/// None in practice.
pub fn clear_mce_kill() -> Result<()> {
    prctl(libc::PR_MCE_KILL, 0, 0).map(drop)
}

/// \[child\] PR_SET_IO_FLUSHER, since 5.6: memory is allocated as for who serves the disk.
///
/// # Errors
/// EPERM: no CAP_SYS_RESOURCE in the initial user namespace. EINVAL: an older kernel.
pub fn set_io_flusher(flusher: bool) -> Result<()> {
    const PR_SET_IO_FLUSHER: i32 = 57;
    prctl(PR_SET_IO_FLUSHER, flusher.into(), 0).map(drop)
}
