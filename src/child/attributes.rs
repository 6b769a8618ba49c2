//! What a process hands on through fork and execve besides its credentials: prctl(2),
//! set_mempolicy(2).

use nix::errno::Errno;

use super::Done;
use crate::sys::{mempolicy, prctl};

/// How late a timer may be, by the kernel's own default (PR_SET_TIMERSLACK).
const TIMERSLACK_NS: u32 = 50_000;

/// Nothing of this caller's gets into a sandbox: the lateness of timers, huge pages switched off,
/// merging of equal memory (by which one process can learn what another has), what happens on
/// broken memory, the NUMA policy.
///
/// Not here: speculation controls, MDWE and what else can only be set stricter than the default
/// and stays so; securebits, which a new user namespace resets (capabilities(7)); what execve
/// resets (CPUID faulting, tagged addresses); the TSC, without which pinfold would not start.
pub(super) fn forget_caller() -> Done {
    prctl::set_timerslack(TIMERSLACK_NS)?;
    prctl::set_thp_disable(false)?;
    match prctl::set_memory_merge(false) {
        // Before 6.4, or without KSM: there is nothing to take back.
        Ok(()) | Err(Errno::EINVAL) => {}
        Err(errno) => return Err(errno),
    }
    prctl::clear_mce_kill()?;
    match mempolicy::set_mempolicy(mempolicy::MPOL_DEFAULT, &[], 0) {
        // A kernel without NUMA.
        Err(Errno::ENOSYS) => Ok(()),
        other => other,
    }
}

/// `linux.memoryPolicy`. The kernel looks at one bit less than it is told.
pub(super) fn memory_policy(mode: i32, nodes: &[u64]) -> Done {
    let bits = u64::try_from(nodes.len()).or(Err(Errno::EINVAL))?.saturating_mul(64);
    mempolicy::set_mempolicy(mode, nodes, if bits == 0 { 0 } else { bits + 1 })
}
