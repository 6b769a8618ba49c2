//! The flags of seccomp(2) `SECCOMP_SET_MODE_FILTER`.

/// A flag that a profile can ask for, by its name without `SECCOMP_FILTER_FLAG_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flag {
    /// All threads get the filter.
    Tsync,
    /// Every action but `Allow` is logged (Linux 4.14).
    Log,
    /// The speculative store bypass mitigation stays off (Linux 4.17).
    SpecAllow,
    /// A task that waits for a supervisor can only be killed (Linux 5.19).
    WaitKillableRecv,
}

/// linux/seccomp.h; unsigned long in the call.
const TSYNC: u64 = 1 << 0;
const LOG: u64 = 1 << 1;
const SPEC_ALLOW: u64 = 1 << 2;
const NEW_LISTENER: u64 = 1 << 3;
const TSYNC_ESRCH: u64 = 1 << 4;
const WAIT_KILLABLE_RECV: u64 = 1 << 5;

impl Flag {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "SECCOMP_FILTER_FLAG_TSYNC" => Self::Tsync,
            "SECCOMP_FILTER_FLAG_LOG" => Self::Log,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Self::SpecAllow,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => Self::WaitKillableRecv,
            _ => return None,
        })
    }
}

/// The bits for the kernel. With `notifies` the call returns the listener's descriptor.
pub(super) fn bits(flags: &[Flag], notifies: bool) -> u64 {
    let mut bits = if notifies { NEW_LISTENER } else { 0 };
    for flag in flags {
        bits |= match flag {
            // Both results would come back in the same return value; without ESRCH the kernel refuses.
            Flag::Tsync if notifies => TSYNC | TSYNC_ESRCH,
            Flag::Tsync => TSYNC,
            Flag::Log => LOG,
            Flag::SpecAllow => SPEC_ALLOW,
            // EINVAL without a listener, and without one there is nothing to wait for.
            Flag::WaitKillableRecv if notifies => WAIT_KILLABLE_RECV,
            Flag::WaitKillableRecv => 0,
        };
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_what_the_kernel_accepts_together() {
        let all = [Flag::Tsync, Flag::Log, Flag::SpecAllow, Flag::WaitKillableRecv];
        assert_eq!(bits(&[], false), 0);
        assert_eq!(bits(&[], true), 8);
        assert_eq!(bits(&all, false), 1 | 2 | 4);
        assert_eq!(bits(&all, true), 1 | 2 | 4 | 8 | 16 | 32);
    }
}
