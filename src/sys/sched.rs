//! sched_setattr(2), since Linux 3.14. \[child\]

use super::{Result, done};

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

const _: () = assert!(size_of::<SchedAttr>() == 56);
