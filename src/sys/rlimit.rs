//! prlimit(2), since Linux 2.6.36. \[child\]

use super::{Result, done};

/// No limit (`asm-generic/resource.h`).
pub const RLIM_INFINITY: u64 = u64::MAX;
/// Seconds of CPU time (`asm-generic/resource.h`; libc's constants have another type with musl).
pub const RLIMIT_CPU: u32 = 0;
/// Bytes of a file.
pub const RLIMIT_FSIZE: u32 = 1;
/// Bytes of a core dump.
pub const RLIMIT_CORE: u32 = 4;
/// One more than the highest descriptor.
pub const RLIMIT_NOFILE: u32 = 7;
/// Bytes of address space.
pub const RLIMIT_AS: u32 = 9;

/// \[child\] prlimit(2): sets both limits of `pid` (0: the calling process). `resource` is
/// `RLIMIT_*` (`asm-generic/resource.h`), the units are getrlimit(2)'s.
///
/// # Errors
/// EINVAL: soft above hard, or no such resource. EPERM: hard is raised without
/// CAP_SYS_RESOURCE, RLIMIT_NOFILE above `fs.nr_open`, or another user's process. ESRCH.
pub fn prlimit(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let (new, old) = ([soft, hard], std::ptr::null_mut::<u64>());
    // SAFETY: the kernel reads `struct rlimit64`, two u64; the old limits go nowhere.
    done(unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, new.as_ptr(), old) })
}

/// \[child\] prlimit(2): soft and hard limit of `pid` (0: the calling process).
///
/// # Errors
/// EINVAL: no such resource. EPERM, ESRCH: as [`prlimit`].
pub fn prlimit_read(pid: i32, resource: u32) -> Result<(u64, u64)> {
    let (new, mut old) = (std::ptr::null::<u64>(), [0_u64; 2]);
    // SAFETY: the kernel writes `struct rlimit64`, two u64, to the array we hold.
    done(unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, new, old.as_mut_ptr()) })?;
    let [soft, hard] = old;
    Ok((soft, hard))
}
