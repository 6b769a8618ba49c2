//! ioprio_set(2), since Linux 2.6.13. \[child\]

use nix::errno::Errno;

use super::{Result, done, int};

/// As the nice value says (`linux/ioprio.h`, as all of these).
pub const IOPRIO_CLASS_NONE: u16 = 0;
/// Real time; needs CAP_SYS_ADMIN or CAP_SYS_NICE.
pub const IOPRIO_CLASS_RT: u16 = 1;
/// Best effort, levels 0 (first) to 7.
pub const IOPRIO_CLASS_BE: u16 = 2;
/// Only when nobody else wants the disk.
pub const IOPRIO_CLASS_IDLE: u16 = 3;

const IOPRIO_WHO_PROCESS: i32 = 1;
const CLASS_SHIFT: u32 = 13;

/// \[child\] ioprio_set(2) for one thread; pid 0 is the calling one.
///
/// # Errors
/// EINVAL: a class above 7 or a level that does not fit. EPERM: no right to the class.
/// ESRCH: no such thread.
pub fn ioprio_set(pid: i32, class: u16, level: u16) -> Result<()> {
    if class > 7 || level >> CLASS_SHIFT != 0 {
        return Err(Errno::EINVAL);
    }
    let priority = i32::from(class) << CLASS_SHIFT | i32::from(level);
    // SAFETY: takes no memory.
    done(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, priority) })
}

/// \[child\] ioprio_get(2) for one thread: class and level.
///
/// # Errors
/// ESRCH: no such thread.
pub fn ioprio_get(pid: i32) -> Result<(u16, u16)> {
    // SAFETY: takes no memory.
    let priority = int(unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, pid) })?;
    let priority = u16::try_from(priority).or(Err(Errno::EOVERFLOW))?;
    Ok((priority >> CLASS_SHIFT, priority & 0x1fff))
}
