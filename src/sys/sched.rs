//! sched_setattr(2), since Linux 3.14, and sched_setaffinity(2). \[child\]

use nix::errno::Errno;

use super::{Result, count, done};

// linux/sched.h
/// The default policy.
pub const SCHED_OTHER: u32 = 0;
/// Real time, first in, first out.
pub const SCHED_FIFO: u32 = 1;
/// Real time, in turn.
pub const SCHED_RR: u32 = 2;
/// As the default, for what nobody waits for.
pub const SCHED_BATCH: u32 = 3;
/// Reserved; no kernel has it.
pub const SCHED_ISO: u32 = 4;
/// Below every nice value.
pub const SCHED_IDLE: u32 = 5;
/// A runtime in each period.
pub const SCHED_DEADLINE: u32 = 6;
/// Children do not inherit what is privileged.
pub const SCHED_FLAG_RESET_ON_FORK: u64 = 0x01;
/// The policy stays as it is.
pub const SCHED_FLAG_KEEP_POLICY: u64 = 0x08;
/// The values stay as they are.
pub const SCHED_FLAG_KEEP_PARAMS: u64 = 0x10;

/// `struct sched_attr`, SCHED_ATTR_SIZE_VER1 (`linux/sched/types.h`); zero means unset.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedAttr {
    /// Bytes of this structure; whatever stands here, [`sched_setattr`] fills it in.
    pub size: u32,
    /// `SCHED_*` (`linux/sched.h`).
    pub policy: u32,
    /// `SCHED_FLAG_*` (`linux/sched.h`).
    pub flags: u64,
    /// SCHED_OTHER and SCHED_BATCH: -20 to 19.
    pub nice: i32,
    /// SCHED_FIFO and SCHED_RR: 1 to 99.
    pub priority: u32,
    /// SCHED_DEADLINE, nanoseconds.
    pub runtime: u64,
    /// SCHED_DEADLINE, nanoseconds.
    pub deadline: u64,
    /// SCHED_DEADLINE, nanoseconds.
    pub period: u64,
    /// Utilisation clamp (5.3), 0 to 1024, with SCHED_FLAG_UTIL_CLAMP_MIN.
    pub util_min: u32,
    /// Utilisation clamp (5.3), 0 to 1024, with SCHED_FLAG_UTIL_CLAMP_MAX.
    pub util_max: u32,
}

/// \[child\] sched_setattr(2) for one thread; pid 0 is the calling one.
///
/// # Errors
/// EPERM: no CAP_SYS_NICE and RLIMIT_RTPRIO or RLIMIT_NICE do not allow it; SCHED_DEADLINE
/// with an affinity smaller than its CPUs. EBUSY: no room for the deadline. EINVAL: values
/// out of range. E2BIG: utilisation clamps before 5.3.
pub fn sched_setattr(pid: i32, attr: &SchedAttr) -> Result<()> {
    let mut attr = *attr;
    attr.size = 56;
    let flags: u32 = 0;
    // SAFETY: the kernel reads `size` bytes, the whole structure, and on E2BIG writes `size`.
    done(unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw mut attr, flags) })
}

/// \[child\] sched_getattr(2) of one thread; pid 0 is the calling one.
///
/// # Errors
/// ESRCH: no such thread.
pub fn sched_getattr(pid: i32) -> Result<SchedAttr> {
    let mut attr = SchedAttr::default();
    let flags: u32 = 0;
    // SAFETY: the kernel writes at most the given size, the whole structure.
    done(unsafe {
        libc::syscall(libc::SYS_sched_getattr, pid, &raw mut attr, size_of::<SchedAttr>(), flags)
    })?;
    Ok(attr)
}

/// \[child\] sched_setaffinity(2) of one thread; pid 0 is the calling one. Bit n is CPU n. The
/// kernel leaves out what the cpuset does not allow.
///
/// # Errors
/// EINVAL: none of them is allowed. EPERM: another user's thread, without CAP_SYS_NICE. ESRCH.
pub fn sched_setaffinity(pid: i32, cpus: &[u64]) -> Result<()> {
    // SAFETY: the kernel reads that many bytes of the slice.
    done(unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, size_of_val(cpus), cpus.as_ptr()) })
}

/// \[child\] sched_getaffinity(2) of one thread; pid 0 is the calling one.
///
/// # Errors
/// EINVAL: `cpus` is too small for this kernel. ESRCH.
pub fn sched_getaffinity(pid: i32, cpus: &mut [u64]) -> Result<()> {
    let size = size_of_val(cpus);
    // SAFETY: the kernel writes at most `size` bytes, which the slice has.
    let written = count(unsafe { libc::syscall(libc::SYS_sched_getaffinity, pid, size, cpus.as_mut_ptr()) })?;
    // What the kernel does not know of is not written (sched_setaffinity(2), "C library/kernel differences").
    cpus.get_mut(written / size_of::<u64>()..).ok_or(Errno::EOVERFLOW)?.fill(0);
    Ok(())
}

const _: () = assert!(size_of::<SchedAttr>() == 56);
