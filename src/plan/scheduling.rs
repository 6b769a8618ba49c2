//! How the child is scheduled. All of it is the parent's to set: the child has no rights of the
//! host's left to do so.

use crate::sys::sched::{SCHED_BATCH, SCHED_FLAG_RESET_ON_FORK, SCHED_IDLE, SCHED_OTHER, SchedAttr};

/// What the parent sets of a child; what is absent stays as pinfold has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// sched_setattr(2).
    pub attr: Option<SchedAttr>,
    /// ioprio_set(2): class and level.
    pub io_priority: Option<(u16, u16)>,
    /// The processors.
    pub cpus: Cpus,
    /// Whether the caller's being an I/O flusher is taken back (PR_SET_IO_FLUSHER, prctl(2)).
    pub no_io_flusher: bool,
}

/// The processors on which the child may run: sched_setaffinity(2). Bit n is CPU n.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cpus {
    /// All that its cpuset allows, whatever pinfold itself was bound to.
    #[default]
    All,
    /// `process.execCPUAffinity`: before and after the move into the container's cgroup.
    Named {
        /// Where it is born.
        initial: Option<Vec<u64>>,
        /// Where it goes on; absent for what the kernel makes of it.
        last: Option<Vec<u64>>,
    },
}

impl Scheduling {
    /// Whether the policy can be set before the child does anything: it stays over a fork, which
    /// SCHED_DEADLINE forbids and reset_on_fork undoes (sched(7)); and a v1 cgroup takes no
    /// real-time process without a budget for it (cgroup-v1/cpu).
    pub fn attr_comes_first(&self) -> bool {
        self.attr.is_some_and(|attr| {
            matches!(attr.policy, SCHED_OTHER | SCHED_BATCH | SCHED_IDLE)
                && attr.flags & SCHED_FLAG_RESET_ON_FORK == 0
        })
    }
}
