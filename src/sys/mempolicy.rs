//! set_mempolicy(2). \[child\]

use nix::errno::Errno;

use super::{Result, done};

// linux/mempolicy.h
/// The system's default policy.
pub const MPOL_DEFAULT: i32 = 0;
/// Try one node first.
pub const MPOL_PREFERRED: i32 = 1;
/// These nodes only.
pub const MPOL_BIND: i32 = 2;
/// In turn over these nodes.
pub const MPOL_INTERLEAVE: i32 = 3;
/// The node of the CPU (3.8).
pub const MPOL_LOCAL: i32 = 4;
/// Try several nodes first (5.15).
pub const MPOL_PREFERRED_MANY: i32 = 5;
/// In turn, weighted (6.9).
pub const MPOL_WEIGHTED_INTERLEAVE: i32 = 6;
/// Mode flag: node numbers do not follow the cpuset.
pub const MPOL_F_STATIC_NODES: i32 = 1 << 15;
/// Mode flag: node numbers are relative to the cpuset.
pub const MPOL_F_RELATIVE_NODES: i32 = 1 << 14;
/// Mode flag: NUMA balancing may move pages (5.12).
pub const MPOL_F_NUMA_BALANCING: i32 = 1 << 13;

/// \[child\] set_mempolicy(2) of the calling thread. Bit n of `mask` is node n; the kernel
/// looks at the first `maxnode - 1` bits. An empty mask with `maxnode` 0 is NULL.
///
/// # Errors
/// EINVAL: `maxnode` exceeds `mask`, or mode and nodes do not go together, or no node is
/// allowed. EPERM, ENOSYS: a filter or a kernel without NUMA.
pub fn set_mempolicy(mode: i32, mask: &[u64], maxnode: u64) -> Result<()> {
    let bits = u64::try_from(mask.len()).or(Err(Errno::EINVAL))?.saturating_mul(64);
    if maxnode.saturating_sub(1) > bits {
        return Err(Errno::EINVAL);
    }
    let mask = if maxnode == 0 { std::ptr::null() } else { mask.as_ptr() };
    // SAFETY: the kernel reads `maxnode - 1` bits in whole words, which the slice has.
    done(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, maxnode) })
}
