//! sethostname(2) and setdomainname(2) of the calling thread's UTS namespace. \[child\]

use std::ffi::CStr;

use super::{Result, done};

/// \[child\] sethostname(2).
///
/// # Errors
/// EINVAL: longer than 64 bytes. EPERM: no CAP_SYS_ADMIN in the namespace's owner.
pub fn sethostname(name: &CStr) -> Result<()> {
    // SAFETY: the kernel reads `len` bytes of the string.
    done(unsafe { libc::syscall(libc::SYS_sethostname, name.as_ptr(), name.count_bytes()) })
}

/// \[child\] setdomainname(2): the NIS domain name.
///
/// # Errors
/// As [`sethostname`].
pub fn setdomainname(name: &CStr) -> Result<()> {
    // SAFETY: the kernel reads `len` bytes of the string.
    done(unsafe { libc::syscall(libc::SYS_setdomainname, name.as_ptr(), name.count_bytes()) })
}
