//! Where the child waits for the parent, and what it does when the parent is gone.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::{Child, Done, GAVE_UP};
use crate::plan::Meeting;
use crate::sys;

/// The parent's word to go on.
pub const GO: u8 = b'g';
/// The parent's word to set the resource limits, and the answer that they are set.
pub const SET_RLIMITS: u8 = b'l';
/// What ends a process that waits for `start`, as it ends a launch that is being set up.
const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

impl Child<'_> {
    /// Waits until id maps, cgroup and scores are written. First of all steps: before it
    /// the child has no ids of its own and no limits.
    pub(super) fn await_release(&self) -> Done {
        await_go(self.socket)
    }

    /// /proc/PID/cmdline of who is seen from inside would show the options of the launch, the
    /// host's paths and the values of `-e` among them, to whoever looks; no setting hides it.
    pub(super) fn hide_arguments(&self) -> Done {
        self.arguments.as_ref().ok_or(Errno::EINVAL)?.overwrite(b"pinfold");
        Ok(())
    }

    /// Tells the parent that this point is reached and waits for its word.
    pub(super) fn meet(&self, meeting: Meeting) -> Done {
        sys::socket::send_fd(self.socket, &[meeting as u8], None)?;
        loop {
            match word(self.socket)? {
                Some(GO) => return Ok(()),
                Some(SET_RLIMITS) => self.set_rlimits()?,
                _ => sys::clone::exit_now(GAVE_UP),
            }
        }
    }

    /// Where the parent lacks CAP_SYS_RESOURCE, which prlimit(2) wants for another uid's process.
    /// The answer: the index of the limit that was not taken and the errno, or how many were.
    fn set_rlimits(&self) -> Done {
        let mut answer = [SET_RLIMITS, 0, 0];
        for &(resource, soft, hard) in &self.plan.parent.rlimits {
            let done = sys::rlimit::prlimit(0, resource, soft, hard)
                .and_then(|()| sys::rlimit::prlimit_read(0, resource))
                .and_then(|found| if found == (soft, hard) { Ok(()) } else { Err(Errno::EIO) });
            if let Err(errno) = done {
                answer[2] = u8::try_from(errno as i32).unwrap_or(u8::MAX);
                break;
            }
            answer[1] += 1;
        }
        sys::socket::send_fd(self.socket, &answer, None).map(|_| ())
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

    /// From here to the program what is asked to end ends, also as the first process of a pid namespace, which waits
    /// for `start`, perhaps for long. Before the meeting with which `create` ends: none that a caller sends is lost.
    pub(super) fn end_by_signals() -> Done {
        sys::signal::end_on(&ENDING)
    }

    /// `create` is done; `start` connects to the listener, says go, and gets the records.
    ///
    /// What waits, perhaps for long, keeps no code that it does not run meanwhile. Where the kernel cannot give it
    /// back, the container needs more memory and nothing else.
    pub(super) fn await_start(&mut self, listener: &OwnedFd, lean: bool) -> Done {
        let _kept = if lean { sys::pages::give_back() } else { Ok(()) };
        loop {
            let starter = sys::socket::accept(listener.as_fd())?;
            sys::socket::send_fd(starter.as_fd(), &[Meeting::Release as u8], Some(self.page))?;
            if await_word(starter.as_fd())? {
                // Held open until execve or exit closes it: its end wakes `start`.
                self.starter = Some(starter);
                return Ok(());
            }
        }
    }

    /// Tells who waits for this process the number of the listener, and waits until it is sent on.
    pub(super) fn hand_over(&self, listener: BorrowedFd<'_>) -> Done {
        let other = self.starter.as_ref().map_or(self.socket, OwnedFd::as_fd);
        let mut message = [Meeting::Listener as u8, 0, 0, 0, 0];
        message[1..].copy_from_slice(&listener.as_raw_fd().to_le_bytes());
        sys::file::write_all(other, &message)?;
        let mut word = [0_u8; 1];
        match (sys::file::read(other, &mut word)?, word) {
            (1, [GO]) => Ok(()),
            _ => sys::clone::exit_now(GAVE_UP),
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
    Ok(word(socket)? == Some(GO))
}

/// The parent's word; none when its end of the socket is closed.
fn word(socket: BorrowedFd<'_>) -> Result<Option<u8>, Errno> {
    let mut word = [0_u8; 1];
    let (length, _) = sys::socket::recv_fd(socket, &mut word)?;
    let [byte] = word;
    Ok((length != 0).then_some(byte))
}

/// Whether the other end is closed, without reading.
fn hung_up(socket: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut watched = [sys::poll::PollFd::new(socket, sys::poll::POLLRDHUP)];
    sys::poll::ppoll(&mut watched, Some(0))?;
    let [watched] = watched;
    Ok(watched.revents() & (sys::poll::POLLHUP | sys::poll::POLLRDHUP) != 0)
}
