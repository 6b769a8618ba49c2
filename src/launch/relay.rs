//! Copies one stream to another, counting, without ever blocking the supervisor: it reads
//! when there is something and writes when there is room (poll(2); a pipe that polls
//! writable takes PIPE_BUF bytes, pipe(7)).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::sys::poll::{POLLIN, POLLOUT, PollFd};
use crate::sys::{self};

/// PIPE_BUF (linux/limits.h).
const CHUNK: usize = 4096;
const BUFFER: usize = 64 << 10;

/// One direction.
#[derive(Debug)]
pub(super) struct Relay {
    from: Option<OwnedFd>,
    to: OwnedFd,
    buffer: Vec<u8>,
    sent: usize,
    /// Bytes read so far.
    pub count: u64,
    /// How many bytes may pass.
    limit: Option<u64>,
}

impl Relay {
    pub(super) fn new(from: OwnedFd, to: OwnedFd, limit: Option<u64>) -> Self {
        Self { from: Some(from), to, buffer: vec![], sent: 0, count: 0, limit }
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
        match nix::unistd::write(&self.to, chunk) {
            Ok(length) => {
                self.sent += length;
                Ok(())
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            // The reader is gone: the program sees the same when its pipe closes.
            Err(Errno::EPIPE | Errno::EIO) => {
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
