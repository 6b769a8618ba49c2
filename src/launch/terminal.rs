//! The caller's terminal while the program has a pty: raw mode, size, and everything back
//! as it was. termios(3), pty(7).

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::termios::{self, OutputFlags, SetArg, Termios};

use crate::error::{Call, Result};
use crate::sys;

/// The caller's terminal in raw mode for as long as this lives.
pub(super) struct RawMode {
    terminal: BorrowedFd<'static>,
    before: Termios,
}

impl RawMode {
    /// Switches the caller's terminal to raw mode, when it has one: what is typed goes to the
    /// program's pty, which alone echoes it and makes signals of it. Output is still processed
    /// here, because the program's pty leaves it as it is (`child::console`).
    pub(super) fn enter() -> Result<Option<Self>> {
        let Some((terminal, before)) = callers() else { return Ok(None) };
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        raw.output_flags |= before.output_flags & OutputFlags::OPOST;
        termios::tcsetattr(terminal, SetArg::TCSANOW, &raw).call("tcsetattr")?;
        Ok(Some(Self { terminal, before }))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let restored = termios::tcsetattr(self.terminal, SetArg::TCSANOW, &self.before);
        // The terminal may be gone with its owner; there is nobody left to tell.
        debug_assert!(matches!(restored, Ok(()) | Err(nix::errno::Errno::EIO)));
    }
}

/// The first standard stream that is a terminal, as runc looks for it: the others may be
/// redirected.
fn callers() -> Option<(BorrowedFd<'static>, Termios)> {
    let streams = [2, 1, 0].into_iter().map(sys::file::borrow_stdio);
    streams.filter_map(|stream| termios::tcgetattr(stream).ok().map(|now| (stream, now))).next()
}

/// Gives the program's pty the size of the caller's terminal.
pub(super) fn copy_size(master: BorrowedFd<'_>) -> Result<()> {
    let Some((terminal, _)) = callers() else { return Ok(()) };
    match sys::tty::get_winsize(terminal.as_fd()) {
        // A terminal that knows no size (script(1), a serial line) says 0: the pty keeps its own.
        Ok(size) if size.rows == 0 || size.columns == 0 => Ok(()),
        Ok(size) => sys::tty::set_winsize(master, size).call("ioctl TIOCSWINSZ"),
        Err(nix::errno::Errno::ENOTTY | nix::errno::Errno::EIO) => Ok(()),
        Err(errno) => Err(errno).call("ioctl TIOCGWINSZ"),
    }
}
