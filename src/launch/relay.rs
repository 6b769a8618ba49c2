//! Copies one stream to another, counting, without ever blocking the supervisor: it reads
//! when there is something and writes when there is room.
//!
//! poll(2) alone does not keep a write from blocking: the program itself may hold the same
//! pipe (`2>&1`) and fill it in between, and pinfold would then miss its own time limit.
//! The caller's streams cannot be made nonblocking either, because every process that
//! shares them would see it (fcntl(2)); so the single write says it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::sys::poll::{POLLIN, POLLOUT, PollFd};
use crate::sys::{self};

/// PIPE_BUF (linux/limits.h).
const CHUNK: usize = 4096;
const BUFFER: usize = 64 << 10;

/// How a write is kept from blocking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    /// RWF_NOWAIT, pwritev2(2).
    Pipe,
    /// MSG_DONTWAIT, send(2).
    Socket,
    /// A file does not block, and a terminal that polls writable has room (tty(4)).
    Other,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Relay {
    from: Option<OwnedFd>,
    to: OwnedFd,
    sink: Sink,
    buffer: Vec<u8>,
    sent: usize,
    /// Bytes read so far.
    pub count: u64,
    /// How many bytes may pass.
    limit: Option<u64>,
}

impl Relay {
    /// From one to the other.
    ///
    /// # Errors
    /// fstat(2).
    pub(super) fn new(from: OwnedFd, to: OwnedFd, limit: Option<u64>) -> Result<Self, Errno> {
        let sink = match sys::file::stat(to.as_fd())?.mode & libc::S_IFMT {
            libc::S_IFIFO => Sink::Pipe,
            libc::S_IFSOCK => Sink::Socket,
            _ => Sink::Other,
        };
        Ok(Self { from: Some(from), to, sink, buffer: vec![], sent: 0, count: 0, limit })
    }

    /// What it holds, for a process that closes all else.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.from.iter().chain([&self.to]).map(AsFd::as_fd)
    }

    /// Nothing more will come.
    pub(super) fn is_done(&self) -> bool {
        self.from.is_none() && self.pending().is_empty()
    }

    /// More was written than may pass.
    pub(super) fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| self.count > limit)
    }

    fn pending(&self) -> &[u8] {
        self.buffer.get(self.sent..).unwrap_or_default()
    }

    /// What to wait for.
    pub(super) fn watch(&self) -> PollFd<'_> {
        match (&self.from, self.pending().is_empty()) {
            (_, false) => PollFd::new(self.to.as_fd(), POLLOUT),
            (Some(from), true) => PollFd::new(from.as_fd(), POLLIN),
            (None, true) => PollFd::nothing(),
        }
    }

    /// Moves what can be moved now; called when the watched descriptor is ready.
    pub(super) fn turn(&mut self) -> Result<(), Errno> {
        match self.pending().is_empty() {
            false => self.write(),
            true => self.read(),
        }
    }

    /// Reads what lies in the source, without waiting for more, until something has to be
    /// written; when nothing is left there, the source has ended.
    pub(super) fn read_what_is_there(&mut self) -> Result<(), Errno> {
        while self.pending().is_empty() && self.from.is_some() {
            if self.is_over() || !self.has_input()? {
                self.from = None;
            } else {
                self.read()?;
            }
        }
        Ok(())
    }

    fn has_input(&self) -> Result<bool, Errno> {
        let Some(from) = &self.from else { return Ok(false) };
        let mut watched = [PollFd::new(from.as_fd(), POLLIN)];
        sys::poll::ppoll(&mut watched, Some(0))?;
        Ok(watched.iter().all(PollFd::readable))
    }

    fn read(&mut self) -> Result<(), Errno> {
        let Some(from) = &self.from else { return Ok(()) };
        let mut chunk = vec![0_u8; BUFFER];
        let length = match sys::file::read(from.as_fd(), &mut chunk) {
            // A pty whose other side is closed (pty(7)).
            Err(Errno::EIO) => 0,
            Err(Errno::EAGAIN) => return Ok(()),
            other => other?,
        };
        if length == 0 {
            self.from = None;
            return Ok(());
        }
        chunk.truncate(length);
        let before = self.count;
        self.count += length as u64;
        // What is within the limit is still passed on.
        if let Some(limit) = self.limit {
            chunk.truncate(usize::try_from(limit.saturating_sub(before)).unwrap_or(usize::MAX));
        }
        self.buffer = chunk;
        self.sent = 0;
        Ok(())
    }

    fn write(&mut self) -> Result<(), Errno> {
        let pending = self.pending();
        let chunk = pending.get(..pending.len().min(CHUNK)).unwrap_or_default();
        let written = match self.sink {
            Sink::Pipe => sys::file::write_nowait(self.to.as_fd(), chunk),
            Sink::Socket => sys::socket::send_nowait(self.to.as_fd(), chunk),
            Sink::Other => nix::unistd::write(&self.to, chunk),
        };
        match written {
            Ok(length) => {
                self.sent += length;
                Ok(())
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            // The reader is gone: the program sees the same when its pipe closes.
            Err(Errno::EPIPE | Errno::ECONNRESET | Errno::EIO) => {
                self.from = None;
                self.buffer.clear();
                self.sent = 0;
                Ok(())
            }
            Err(errno) => Err(errno),
        }
    }
}

/// A descriptor of our own for one of the standard streams.
pub(super) fn own_stream(number: u8) -> Result<OwnedFd, Errno> {
    let stream: BorrowedFd<'static> = sys::file::borrow_stdio(number);
    sys::file::duplicate(stream)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    use super::*;

    /// Fills what the relay writes to, behind its back, and lets it write nevertheless.
    fn writes_into_the_full(read: &OwnedFd, write: OwnedFd) -> Duration {
        let (from, source) = nix::unistd::pipe().unwrap();
        nix::unistd::write(&source, &[1; CHUNK]).unwrap();
        let second = sys::file::duplicate(write.as_fd()).unwrap();
        let mut relay = Relay::new(from, write, None).unwrap();
        relay.turn().unwrap();
        assert!(!relay.pending().is_empty());
        sys::file::set_nonblocking(&second, true).unwrap();
        while nix::unistd::write(&second, &[0; CHUNK]).is_ok() {}
        sys::file::set_nonblocking(&second, false).unwrap();
        // Something ends the wait if the write does wait.
        let reader = sys::file::duplicate(read.as_fd()).unwrap();
        let started = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(500));
                let mut buffer = vec![0; 1 << 20];
                sys::file::read(reader.as_fd(), &mut buffer).unwrap()
            });
            relay.turn().unwrap();
            started.elapsed()
        })
    }

    #[test]
    fn a_full_pipe_or_socket_does_not_block() {
        let (read, write) = nix::unistd::pipe().unwrap();
        assert!(writes_into_the_full(&read, write) < Duration::from_millis(400), "pipe");
        let (read, write) =
            socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::empty()).unwrap();
        assert!(writes_into_the_full(&read, write) < Duration::from_millis(400), "socket");
    }
}
