//! User and group ids of the calling thread: setgroups(2), setresuid(2), setresgid(2),
//! setfsuid(2), setfsgid(2). All \[child\].
//!
//! Raw calls: libc's wrappers signal every other thread to do the same, for which a
//! cloned child has none, and take a lock (nptl(7)).

use nix::errno::Errno;

use super::{Result, done, int};

/// (uid_t)-1 means "unchanged" to the kernel and is no id anywhere in pinfold.
const UNCHANGED: u32 = u32::MAX;

fn id(id: u32) -> Result<u32> {
    if id == UNCHANGED { Err(Errno::EINVAL) } else { Ok(id) }
}

/// \[child\] setgroups(2): these supplementary groups and no others.
///
/// # Errors
/// EPERM: no CAP_SETGID, or `/proc/self/setgroups` says deny. EINVAL: more than 65536, or
/// one that is not mapped.
pub fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: the kernel reads `len` ids from the slice.
    done(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })
}

/// \[child\] setresuid(2): real, effective and saved user id.
///
/// # Errors
/// EPERM: no CAP_SETUID. EINVAL: not mapped, or 2^32-1. EAGAIN: RLIMIT_NPROC (before 5.14
/// also at the limit only).
pub fn setresuid(uid: u32) -> Result<()> {
    let uid = id(uid)?;
    // SAFETY: takes no memory.
    done(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })
}

/// \[child\] setresgid(2): real, effective and saved group id.
///
/// # Errors
/// EPERM: no CAP_SETGID. EINVAL: not mapped, or 2^32-1.
pub fn setresgid(gid: u32) -> Result<()> {
    let gid = id(gid)?;
    // SAFETY: takes no memory.
    done(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })
}

/// \[child\] setfsuid(2): the user id of file accesses alone. The call itself reports no
/// error, so the result is read back.
///
/// # Errors
/// EPERM: the id did not change. EINVAL: 2^32-1.
pub fn setfsuid(uid: u32) -> Result<()> {
    set_fs(libc::SYS_setfsuid, uid)
}

/// \[child\] setfsgid(2): as [`setfsuid`], for the group.
///
/// # Errors
/// As [`setfsuid`].
pub fn setfsgid(gid: u32) -> Result<()> {
    set_fs(libc::SYS_setfsgid, gid)
}

/// \[child\] The user and group id of file accesses.
pub fn fsids() -> (u32, u32) {
    let now = |call| {
        // SAFETY: takes no memory; -1 is no id: nothing changes, and the present one is returned.
        let id = unsafe { libc::syscall(call, UNCHANGED) };
        u32::try_from(id).unwrap_or(UNCHANGED)
    };
    (now(libc::SYS_setfsuid), now(libc::SYS_setfsgid))
}

fn set_fs(call: libc::c_long, wanted: u32) -> Result<()> {
    let wanted = id(wanted)?;
    // SAFETY: takes no memory; returns the id before.
    unsafe { libc::syscall(call, wanted) };
    // SAFETY: -1 is no id: nothing changes, and the present one is returned.
    let now = unsafe { libc::syscall(call, UNCHANGED) };
    if now == libc::c_long::from(wanted) { Ok(()) } else { Err(Errno::EPERM) }
}

/// \[child\] getppid(2), raw.
///
/// # Errors
/// None.
pub fn getppid() -> Result<i32> {
    // SAFETY: takes no memory.
    int(unsafe { libc::syscall(libc::SYS_getppid) })
}
