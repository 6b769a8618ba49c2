//! The limits of whoever called must not decide whether the log is written: RLIMIT_FSIZE is
//! inherited, and ends a process that writes beyond it (setrlimit(2)).

use nix::errno::Errno;

use crate::error::{Call, Error, Result};
use crate::sys::rlimit::{RLIM_INFINITY, RLIMIT_FSIZE, prlimit, prlimit_read};
use crate::sys::signal;

/// While it lives, no signal ends or stops an append, and no file is too large.
pub struct Undisturbed {
    mask: u64,
    limits: (u64, u64),
}

impl Undisturbed {
    /// Blocks the signals, and lifts the limit as far as the caller may.
    ///
    /// # Errors
    /// The file, which has `size` bytes, could not take `more` of them.
    pub fn enter() -> Result<Self> {
        let mask = signal::mask().call("rt_sigprocmask")?;
        signal::block_all().call("rt_sigprocmask")?;
        let limits = prlimit_read(0, RLIMIT_FSIZE).call("prlimit")?;
        let calm = Self { mask, limits };
        if limits != (RLIM_INFINITY, RLIM_INFINITY) {
            match prlimit(0, RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY) {
                // Without CAP_SYS_RESOURCE, up to the hard limit.
                Err(Errno::EPERM) => prlimit(0, RLIMIT_FSIZE, limits.1, limits.1).call("prlimit")?,
                other => other.call("prlimit")?,
            }
        }
        Ok(calm)
    }

    /// Whether a file may grow to this size: the kernel would send SIGXFSZ otherwise.
    ///
    /// # Errors
    /// EFBIG.
    pub fn may_reach(&self, size: u64) -> Result<()> {
        let (soft, _) = prlimit_read(0, RLIMIT_FSIZE).call("prlimit")?;
        match size > soft {
            true => Err(Error::call("write", Errno::EFBIG).hint("the caller's RLIMIT_FSIZE is too low")),
            false => Ok(()),
        }
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        let restored = prlimit(0, RLIMIT_FSIZE, self.limits.0, self.limits.1);
        debug_assert!(restored.is_ok());
        let unblocked = signal::set_mask(self.mask);
        debug_assert!(unblocked.is_ok());
    }
}
