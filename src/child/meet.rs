//! Where the child waits for the parent, and what it does when the parent is gone.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::{Child, Done, GAVE_UP};
use crate::plan::Meeting;
use crate::sys;

/// The parent's word to go on.
pub const GO: u8 = b'g';

impl Child<'_> {
    /// Waits until id maps, cgroup and scores are written. First of all steps: before it
    /// the child has no ids of its own and no limits.
    pub(super) fn await_release(&self) -> Done {
        await_go(self.socket)
    }

    /// Tells the parent that this point is reached and waits for its word.
    pub(super) fn meet(&self, meeting: Meeting) -> Done {
        sys::socket::send_fd(self.socket, &[meeting as u8], None)?;
        await_go(self.socket)
    }

    /// Ends with pinfold: PDEATHSIG (prctl(2)), after the last change of credentials
    /// because setuid clears it; then a look whether pinfold died in between.
    pub(super) fn die_with_parent(&self) -> Done {
        sys::prctl::set_pdeathsig(libc::SIGKILL)?;
        match hung_up(self.socket)? {
            true => sys::clone::exit_now(GAVE_UP),
            false => Ok(()),
        }
    }

    /// `create` is done; `start` connects to the listener, says go, and gets the records.
    pub(super) fn await_start(&self, listener: &OwnedFd) -> Done {
        loop {
            let starter = sys::socket::accept(listener.as_fd())?;
            sys::socket::send_fd(starter.as_fd(), &[Meeting::Release as u8], Some(self.page))?;
            if await_word(starter.as_fd())? {
                // Held open until execve or exit closes it: its end wakes `start`.
                std::mem::forget(starter);
                return Ok(());
            }
        }
    }
}

/// Waits for the word; the end of the socket means that the parent is gone.
pub(super) fn await_go(socket: BorrowedFd<'_>) -> Done {
    match await_word(socket)? {
        true => Ok(()),
        false => sys::clone::exit_now(GAVE_UP),
    }
}

fn await_word(socket: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut word = [0_u8; 1];
    match sys::socket::recv_fd(socket, &mut word)? {
        (0, _) => Ok(false),
        _ => Ok(word == [GO]),
    }
}

/// Whether the other end is closed, without reading.
fn hung_up(socket: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut watched = [sys::poll::PollFd::new(socket, sys::poll::POLLRDHUP)];
    sys::poll::ppoll(&mut watched, Some(0))?;
    let [watched] = watched;
    Ok(watched.revents() & (sys::poll::POLLHUP | sys::poll::POLLRDHUP) != 0)
}
