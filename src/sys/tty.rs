//! Terminals: ioctl_tty(2), pty(7). All \[child\].

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::{Result, descriptor, done};

// asm-generic/ioctls.h, the same on x86_64 and aarch64
const TIOCSCTTY: libc::c_ulong = 0x540e;
const TIOCGWINSZ: libc::c_ulong = 0x5413;
const TIOCSWINSZ: libc::c_ulong = 0x5414;
const TIOCSPTLCK: libc::c_ulong = 0x4004_5431;
const TIOCGPTPEER: libc::c_ulong = 0x5441;

/// `struct winsize` (`asm-generic/termios.h`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Winsize {
    /// Rows of characters.
    pub rows: u16,
    /// Columns of characters.
    pub columns: u16,
    /// Width in pixels; nobody uses it.
    pub x_pixels: u16,
    /// Height in pixels; nobody uses it.
    pub y_pixels: u16,
}

/// \[child\] TIOCSCTTY: the terminal becomes the controlling one of this session.
///
/// # Errors
/// EPERM: not a session leader, or another session has the terminal (it is not stolen).
/// ENOTTY: not a terminal.
pub fn set_controlling_terminal(terminal: BorrowedFd<'_>) -> Result<()> {
    let do_not_steal: libc::c_ulong = 0;
    // SAFETY: takes no memory; the descriptor stays the caller's.
    done(unsafe { libc::syscall(libc::SYS_ioctl, terminal.as_raw_fd(), TIOCSCTTY, do_not_steal) })
}

/// \[child\] TIOCSWINSZ; the foreground process group gets SIGWINCH.
///
/// # Errors
/// ENOTTY: not a terminal.
pub fn set_winsize(terminal: BorrowedFd<'_>, size: Winsize) -> Result<()> {
    // SAFETY: the kernel reads one `struct winsize`.
    done(unsafe { libc::syscall(libc::SYS_ioctl, terminal.as_raw_fd(), TIOCSWINSZ, &raw const size) })
}

/// \[child\] TIOCGWINSZ.
///
/// # Errors
/// ENOTTY: not a terminal.
pub fn get_winsize(terminal: BorrowedFd<'_>) -> Result<Winsize> {
    let mut size = Winsize::default();
    // SAFETY: the kernel writes one `struct winsize`, which we hold.
    done(unsafe { libc::syscall(libc::SYS_ioctl, terminal.as_raw_fd(), TIOCGWINSZ, &raw mut size) })?;
    Ok(size)
}

/// \[child\] TIOCSPTLCK 0: lets the other side of this ptmx be opened (unlockpt(3)).
///
/// # Errors
/// ENOTTY, EIO: not the master side of a pseudoterminal.
pub fn pty_unlock(master: BorrowedFd<'_>) -> Result<()> {
    let locked: i32 = 0;
    // SAFETY: the kernel reads one int.
    done(unsafe { libc::syscall(libc::SYS_ioctl, master.as_raw_fd(), TIOCSPTLCK, &raw const locked) })
}

/// \[child\] TIOCGPTPEER, since 4.13: opens the other side without a path that someone could
/// have put something else at. `flags` as of open(2); O_CLOEXEC is added.
///
/// # Errors
/// EIO: not unlocked, or not the master side. ENOTTY: before 4.13, or no terminal.
pub fn pty_peer(master: BorrowedFd<'_>, flags: i32) -> Result<OwnedFd> {
    let flags = libc::c_long::from(flags | libc::O_CLOEXEC);
    // SAFETY: takes no memory; it returns a descriptor that is ours.
    unsafe { descriptor(libc::syscall(libc::SYS_ioctl, master.as_raw_fd(), TIOCGPTPEER, flags)) }
}
