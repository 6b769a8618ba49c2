//! `--console-socket` and `--pidfd-socket`: descriptors of the new process, sent to whoever
//! listens on a socket of the caller's (unix(7), SCM_RIGHTS), with runc's words beside them.

use std::os::fd::AsFd;

use crate::cli::LaunchArgs;
use crate::error::{Context, Error, Result};
use crate::launch::{Assembled, send};
use crate::types::HostPath;

/// Where the caller listens.
#[derive(Debug, Clone, Copy)]
pub struct Sockets<'a> {
    /// For the master end of the program's terminal.
    pub console: Option<&'a HostPath>,
    /// For a pidfd of the new process.
    pub pidfd: Option<&'a HostPath>,
}

impl<'a> Sockets<'a> {
    /// Those of `create` and `run`.
    pub fn of(args: &'a LaunchArgs) -> Self {
        Self { console: args.console_socket.as_ref(), pidfd: args.pidfd_socket.as_ref() }
    }

    /// runc's rules, in its words, which callers match: a terminal of a process that outlives
    /// pinfold goes to a socket, and nothing else does.
    ///
    /// # Errors
    /// A terminal without a socket, or a socket without a terminal to send.
    pub fn check_terminal(self, terminal: bool, detaches: bool) -> Result<()> {
        let text = match (terminal && detaches, self.console.is_some()) {
            (true, false) => "cannot allocate tty if runc will detach without setting console socket",
            (false, true) => "cannot use console socket if runc will not detach or allocate tty",
            _ => return Ok(()),
        };
        Err(Error::usage(text).field("--console-socket"))
    }

    /// Sends what was asked for. `kind` tells a reader of the pidfd what it got: `standard`
    /// for a container's first process, `setns` for one of `exec`.
    ///
    /// # Errors
    /// Nobody listens there, or takes what is sent; not a stream socket.
    pub fn send(self, child: &Assembled, kind: &str) -> Result<()> {
        let interrupts = Some(child.interrupts());
        if let (Some(path), Some(master)) = (self.console, &child.console) {
            send(path.as_path(), b"/dev/ptmx", master.as_fd(), interrupts).at("--console-socket")?;
        }
        match self.pidfd {
            Some(path) => {
                let pidfd = child.pidfd.as_fd();
                send(path.as_path(), kind.as_bytes(), pidfd, interrupts).at("--pidfd-socket")
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::FromOsStr;

    #[test]
    fn a_socket_is_for_a_terminal_that_outlives_pinfold() {
        let path = HostPath::from_os_str("/s".as_ref()).ok();
        // terminal, detaches, socket
        let rows = [
            (false, false, false, ""),
            (false, true, false, ""),
            (true, false, false, ""),
            (true, true, true, ""),
            (true, true, false, "cannot allocate tty if runc will detach"),
            (true, false, true, "cannot use console socket if runc will not detach"),
            (false, true, true, "cannot use console socket"),
            (false, false, true, "cannot use console socket"),
        ];
        for (terminal, detaches, socket, text) in rows {
            let sockets = Sockets { console: path.as_ref().filter(|_| socket), pidfd: None };
            let said = sockets.check_terminal(terminal, detaches).err().map(|error| error.to_string());
            let said = said.unwrap_or_default();
            assert!(said.contains(text) && said.is_empty() == text.is_empty(), "{said}");
        }
    }
}
