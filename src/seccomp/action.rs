//! What a filter does with a call (seccomp(2), "Filter return values").

/// A filter's answer. The order is the kernel's precedence, strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// SIGSYS ends every thread of the process.
    KillProcess,
    /// SIGSYS ends the calling thread.
    KillThread,
    /// SIGSYS that the process may catch.
    Trap,
    /// The call fails with this errno, at most [`Action::MAX_ERRNO`].
    Errno(u16),
    /// A supervisor decides (seccomp_unotify(2)).
    Notify,
    /// A tracer decides; it reads this number with PTRACE_GETEVENTMSG.
    Trace(u16),
    /// The call runs and is logged.
    Log,
    /// The call runs.
    Allow,
}

/// What a call gets that is newer than its profile: libraries then use an older way.
pub(super) const ENOSYS: Action = Action::Errno(38);

impl Action {
    /// The largest errno that the kernel returns (`MAX_ERRNO`, include/linux/err.h); it caps larger ones.
    pub const MAX_ERRNO: u16 = 4095;

    /// The value of `SECCOMP_RET_*` with its data.
    pub fn to_return_value(self) -> u32 {
        match self {
            Self::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
            Self::KillThread => libc::SECCOMP_RET_KILL_THREAD,
            Self::Trap => libc::SECCOMP_RET_TRAP,
            Self::Errno(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
            Self::Notify => libc::SECCOMP_RET_USER_NOTIF,
            Self::Trace(data) => libc::SECCOMP_RET_TRACE | u32::from(data),
            Self::Log => libc::SECCOMP_RET_LOG,
            Self::Allow => libc::SECCOMP_RET_ALLOW,
        }
    }

    /// The action of a filter's return value. The kernel kills on values that it does not know.
    pub fn from_return_value(value: u32) -> Self {
        let data = u16::try_from(value & libc::SECCOMP_RET_DATA).unwrap_or(u16::MAX);
        match value & libc::SECCOMP_RET_ACTION_FULL {
            libc::SECCOMP_RET_KILL_THREAD => Self::KillThread,
            libc::SECCOMP_RET_TRAP => Self::Trap,
            libc::SECCOMP_RET_ERRNO => Self::Errno(data),
            libc::SECCOMP_RET_USER_NOTIF => Self::Notify,
            libc::SECCOMP_RET_TRACE => Self::Trace(data),
            libc::SECCOMP_RET_LOG => Self::Log,
            libc::SECCOMP_RET_ALLOW => Self::Allow,
            _ => Self::KillProcess,
        }
    }

    /// Whether the kernel would let this action win over `other` in a stack of filters.
    pub fn is_stricter_than(self, other: Self) -> bool {
        self.rank() < other.rank()
    }

    /// Whether the call is carried out without anyone else's consent.
    pub fn lets_run(self) -> bool {
        matches!(self, Self::Allow | Self::Log)
    }

    /// The place in the kernel's precedence: 0 is the strictest.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::KillProcess => 0,
            Self::KillThread => 1,
            Self::Trap => 2,
            Self::Errno(_) => 3,
            Self::Notify => 4,
            Self::Trace(_) => 5,
            Self::Log => 6,
            Self::Allow => 7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_survives_the_way_to_the_kernel_and_back() {
        use Action::*;
        let mut last = None;
        for action in [KillProcess, KillThread, Trap, Errno(38), Notify, Trace(7), Log, Allow] {
            assert_eq!(Action::from_return_value(action.to_return_value()), action);
            // The kernel compares the upper half as a signed number (seccomp_run_filters).
            let signed = action.to_return_value().cast_signed() >> 16;
            assert!(last.is_none_or(|before| before < signed), "{action:?} out of order");
            last = Some(signed);
        }
    }
}
