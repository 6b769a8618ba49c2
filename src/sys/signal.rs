//! Signals: rt_sigaction(2), rt_sigprocmask(2), signalfd(2), kill(2). All \[child\].
//!
//! Raw calls: libc's refuse the signals that they keep for themselves (32 to 34), which
//! would leave the caller's dispositions and mask of those in the program.

use std::ffi::c_int;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::{Result, descriptor, done, file};

/// `_NSIG` of x86_64 and aarch64 (`asm/signal.h`).
const LAST_SIGNAL: i32 = 64;
/// sizeof(sigset_t) in the kernel.
const SET_SIZE: usize = size_of::<u64>();

/// \[child\] Every signal that can have a disposition gets SIG_DFL, ignored ones too: execve(2)
/// resets handlers but keeps SIG_IGN (pinfold's own SIGPIPE above all).
///
/// # Errors
/// None in practice.
pub fn reset_dispositions() -> Result<()> {
    // struct sigaction of the kernel: handler, flags, restorer, mask; all zero is SIG_DFL.
    let default = [0_u64; 4];
    let old = std::ptr::null_mut::<u64>();
    for signal in (1..=LAST_SIGNAL).filter(|signal| !matches!(*signal, libc::SIGKILL | libc::SIGSTOP)) {
        // SAFETY: the kernel reads one `struct sigaction`; SIG_DFL calls no code of ours.
        done(unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), old, SET_SIZE) })?;
    }
    Ok(())
}

/// \[child\] From here on each of these signals ends the process with the code 128+N, and they alone are not blocked:
/// one that is pending ends it now. Without a handler the first process of a pid namespace never gets them
/// (pid_namespaces(7)). [`reset_dispositions`] takes the handlers away.
///
/// # Errors
/// EINVAL: no such signal, or SIGKILL or SIGSTOP.
pub fn end_on(signals: &[i32]) -> Result<()> {
    let handler = end_by as extern "C" fn(c_int) as usize as u64;
    // x86_64 makes no stack frame without a restorer (arch/x86/kernel/signal_64.c). Nobody returns to this one.
    let ending = [handler, SA_RESTORER, handler, u64::MAX];
    let old = std::ptr::null_mut::<u64>();
    for signal in signals {
        // SAFETY: the kernel reads one `struct sigaction`; the handler makes one system call, does not return, and
        // touches no memory but its stack, whatever it interrupts.
        done(unsafe { libc::syscall(libc::SYS_rt_sigaction, *signal, ending.as_ptr(), old, SET_SIZE) })?;
    }
    set_mask(!mask_of(signals)?)
}

extern "C" fn end_by(signal: c_int) {
    super::clone::exit_now(128 + signal)
}

/// asm/signal.h of x86_64 and aarch64.
const SA_RESTORER: u64 = 0x0400_0000;

/// Bit n-1 is signal n.
fn mask_of(signals: &[i32]) -> Result<u64> {
    signals.iter().try_fold(0_u64, |mask, signal| {
        let bit = u32::try_from(*signal).ok().and_then(|signal| signal.checked_sub(1));
        Ok(mask | bit.and_then(|bit| 1_u64.checked_shl(bit)).ok_or(Errno::EINVAL)?)
    })
}

/// The whole process ignores `signal` from here on.
///
/// # Errors
/// EINVAL: no such signal, or SIGKILL or SIGSTOP.
pub fn ignore(signal: i32) -> Result<()> {
    let ignored = [libc::SIG_IGN as u64, 0, 0, 0];
    let old = std::ptr::null_mut::<u64>();
    // SAFETY: the kernel reads one `struct sigaction`; SIG_IGN calls no code of ours.
    done(unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, ignored.as_ptr(), old, SET_SIZE) })
}

/// \[child\] Blocks every signal that can be blocked, in the calling thread.
///
/// # Errors
/// None in practice.
pub fn block_all() -> Result<()> {
    set_mask(u64::MAX)
}

/// \[child\] Blocks no signal in the calling thread.
///
/// # Errors
/// None in practice.
pub fn set_mask_empty() -> Result<()> {
    set_mask(0)
}

/// \[child\] The calling thread's mask becomes this: bit n-1 is signal n.
///
/// # Errors
/// None in practice.
pub fn set_mask(mask: u64) -> Result<()> {
    let old = std::ptr::null_mut::<u64>();
    let how = libc::SIG_SETMASK;
    // SAFETY: the kernel reads one u64.
    done(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const mask, old, SET_SIZE) })
}

/// \[child\] The calling thread's mask: bit n-1 is signal n.
///
/// # Errors
/// None in practice.
pub fn mask() -> Result<u64> {
    let (new, mut mask) = (std::ptr::null::<u64>(), 0_u64);
    let how = libc::SIG_SETMASK;
    // SAFETY: the kernel writes one u64; a NULL new mask changes nothing.
    done(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, new, &raw mut mask, SET_SIZE) })?;
    Ok(mask)
}

/// \[child\] signalfd(2): a close-on-exec, nonblocking descriptor for these signals, which
/// the caller keeps blocked. It reads the signals of the process that reads it.
///
/// # Errors
/// EINVAL: a number that is no signal. EMFILE, ENFILE, ENOMEM.
pub fn signalfd(signals: &[i32]) -> Result<OwnedFd> {
    let mask = mask_of(signals)?;
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the kernel reads one u64; it returns a descriptor that is ours.
    unsafe { descriptor(libc::syscall(libc::SYS_signalfd4, -1, &raw const mask, SET_SIZE, flags)) }
}

/// \[child\] Takes one signal from a signalfd: its number, `None` when none is pending.
///
/// # Errors
/// EINVAL: not a signalfd.
pub fn signalfd_read(signalfd: BorrowedFd<'_>) -> Result<Option<i32>> {
    // struct signalfd_siginfo (linux/signalfd.h) is 128 bytes, ssi_signo the first u32.
    let mut info = [0; 128];
    match file::read(signalfd, &mut info) {
        Err(Errno::EAGAIN) => return Ok(None),
        Ok(128) => {}
        Ok(_) => return Err(Errno::EINVAL),
        Err(errno) => return Err(errno),
    }
    let [a, b, c, d, ..] = info;
    i32::try_from(u32::from_ne_bytes([a, b, c, d])).map(Some).or(Err(Errno::EINVAL))
}

/// \[child\] kill(2). For one's own children and process group; others by
/// [`super::pidfd::pidfd_send_signal`].
///
/// # Errors
/// ESRCH: no such process. EPERM: not allowed. EINVAL: no such signal.
pub fn kill_raw(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: takes no memory.
    done(unsafe { libc::syscall(libc::SYS_kill, pid, signal) })
}

/// \[child\] What a program expects at its start: every disposition SIG_DFL, no signal blocked.
///
/// # Errors
/// None in practice.
pub fn reset() -> Result<()> {
    reset_dispositions()?;
    set_mask_empty()
}
