//! The init of `pinfold sandbox`: pid 1 beside the tool, with the tool's uid and fewer
//! rights. It reaps, passes signals on, and ends when the tool or pinfold ends; the
//! kernel then kills what is left in the pid namespace (pid_namespaces(7)).
//!
//! It holds two descriptors: the control socket and a signalfd. The tool shares its uid
//! but cannot read or write it: not dumpable, and the same seccomp filter and Landlock
//! domain are in force.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;

use super::{Child, Done, GAVE_UP};
use crate::sys;

/// A message of the parent: pass signal N on to the tool.
pub const SIGNAL: u8 = b's';

impl Child<'_> {
    /// Forks the tool, which goes on with the Plan; the init stays here.
    ///
    /// `detached`: it lives on without pinfold, and keeps the time itself.
    pub(super) fn become_init(&mut self, detached: bool, deadline_ms: Option<u64>) -> Done {
        match sys::clone::fork_plain(0)? {
            None => {
                self.in_tool = true;
                Ok(())
            }
            Some(tool) => match self.serve(tool, detached, deadline_ms) {
                Ok(()) => sys::clone::exit_now(0),
                Err(_) => sys::clone::exit_now(GAVE_UP),
            },
        }
    }

    fn serve(&self, tool: i32, detached: bool, deadline_ms: Option<u64>) -> Done {
        self.records.main_started(tool);
        let end = deadline_ms.map(|ms| sys::clock::monotonic_ms().saturating_add(ms));
        let mut parent = Some(self.socket);
        let children = sys::signal::signalfd(&[libc::SIGCHLD])?;
        close_all_but(self.socket, children.as_fd())?;
        loop {
            let left = end.map(|end| end.saturating_sub(sys::clock::monotonic_ms()));
            if left == Some(0) {
                // The end of pid 1 is the end of everything in its namespace.
                return Ok(());
            }
            let ready = wait_for(parent, children.as_fd(), left)?;
            if ready.1 {
                sys::signal::signalfd_read(children.as_fd())?;
                if let Some(status) = reap_until(tool)? {
                    self.records.main_ended(status);
                    return Ok(());
                }
            }
            if ready.0 && !pass_on(self.socket, tool)? {
                match detached {
                    true => parent = None,
                    false => return Ok(()),
                }
            }
        }
    }
}

/// Sleeps until the socket or the signalfd has something.
fn wait_for(
    socket: Option<BorrowedFd<'_>>,
    children: BorrowedFd<'_>,
    left_ms: Option<u64>,
) -> Result<(bool, bool), Errno> {
    use sys::poll::{POLLIN, PollFd, ppoll};
    let socket = socket.map_or_else(PollFd::nothing, |socket| PollFd::new(socket, POLLIN));
    let mut watched = [socket, PollFd::new(children, POLLIN)];
    match ppoll(&mut watched, left_ms) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno),
    }
    let [socket, children] = watched;
    Ok((socket.readable(), children.readable()))
}

/// Reaps what has ended; the tool's status when it was among them.
fn reap_until(tool: i32) -> Result<Option<i32>, Errno> {
    loop {
        match sys::wait::wait_any_nohang() {
            // A tool that asked to be traced by its parent is reported when it stops, too.
            Ok(Some((pid, status))) if pid == tool && !libc::WIFSTOPPED(status) => return Ok(Some(status)),
            Ok(Some(_)) => {}
            Ok(None) | Err(Errno::ECHILD) => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
}

/// One message of the parent; false when the parent is gone.
fn pass_on(socket: BorrowedFd<'_>, tool: i32) -> Result<bool, Errno> {
    let mut message = [0_u8; 2];
    match sys::socket::recv_fd(socket, &mut message)? {
        (0, _) => Ok(false),
        (2, _) if message[0] == SIGNAL => match sys::signal::kill_raw(tool, i32::from(message[1])) {
            Ok(()) | Err(Errno::ESRCH) => Ok(true),
            Err(errno) => Err(errno),
        },
        _ => Ok(true),
    }
}

/// Everything else is closed, the three streams too: a reader of the tool's output must
/// see its end when the tool ends.
fn close_all_but(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> Done {
    use std::os::fd::AsRawFd;
    let number = |fd: BorrowedFd<'_>| fd.as_raw_fd().cast_unsigned();
    let (low, high) = (number(a).min(number(b)), number(a).max(number(b)));
    sys::close_range::close_gaps(&[low, high])
}
