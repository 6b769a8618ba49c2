//! The caller's terminal while the program has a pty: raw mode, size, and everything back
//! as it was. termios(3).

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::termios::{self, SetArg, Termios};

use crate::error::{Call, Result};
use crate::sys;

/// Raw mode for as long as it lives.
pub(super) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Switches stdin to raw mode, when it is a terminal.
    pub(super) fn enter() -> Result<Option<Self>> {
        let stdin = sys::file::borrow_stdio(0);
        let Ok(before) = termios::tcgetattr(stdin) else { return Ok(None) };
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(stdin, SetArg::TCSANOW, &raw).call("tcsetattr")?;
        Ok(Some(Self { before }))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let restored = termios::tcsetattr(sys::file::borrow_stdio(0), SetArg::TCSANOW, &self.before);
        // The terminal may be gone with its owner; there is nobody left to tell.
        debug_assert!(matches!(restored, Ok(()) | Err(nix::errno::Errno::EIO)));
    }
}

/// Gives the program's pty the size of the caller's terminal.
pub(super) fn copy_size(master: BorrowedFd<'_>) -> Result<()> {
    match sys::tty::get_winsize(sys::file::borrow_stdio(0).as_fd()) {
        Ok(size) => sys::tty::set_winsize(master, size).call("ioctl TIOCSWINSZ"),
        // Not a terminal: the pty keeps its own size.
        Err(_) => Ok(()),
    }
}
