//! ppoll(2). \[child\]

use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Result, count};

/// There is something to read (`asm-generic/poll.h`, as all of these).
pub const POLLIN: i16 = 1;
/// Writing does not block.
pub const POLLOUT: i16 = 4;
/// An error; always reported.
pub const POLLERR: i16 = 8;
/// The other side hung up; always reported.
pub const POLLHUP: i16 = 16;
/// A socket's other side shut down its writing half (2.6.17).
pub const POLLRDHUP: i16 = 0x2000;

/// One descriptor to watch, `struct pollfd`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PollFd<'a> {
    fd: i32,
    events: i16,
    revents: i16,
    borrowed: PhantomData<BorrowedFd<'a>>,
}

impl<'a> PollFd<'a> {
    /// Watches `fd` for `events`.
    pub fn new(fd: BorrowedFd<'a>, events: i16) -> Self {
        Self { fd: fd.as_raw_fd(), events, revents: 0, borrowed: PhantomData }
    }

    /// A place that watches nothing.
    pub const fn nothing() -> Self {
        Self { fd: -1, events: 0, revents: 0, borrowed: PhantomData }
    }

    /// What the last [`ppoll`] found.
    pub fn revents(&self) -> i16 {
        self.revents
    }

    /// Whether a read would not block: data, end of file or an error.
    pub fn readable(&self) -> bool {
        self.revents & (POLLIN | POLLERR | POLLHUP) != 0
    }
}

/// \[child\] ppoll(2): waits up to `timeout_ms` (`None`: for ever) and returns how many
/// entries have something. The signal mask stays as it is.
///
/// # Errors
/// EINTR: a signal handler ran (not repeated: the time left would be unknown). EINVAL: more
/// entries than RLIMIT_NOFILE. ENOMEM.
pub fn ppoll(fds: &mut [PollFd<'_>], timeout_ms: Option<u64>) -> Result<usize> {
    // struct __kernel_timespec; the kernel updates it.
    let mut timeout = timeout_ms.map(|ms| [ms / 1000, ms % 1000 * 1_000_000]);
    let pointer = timeout.as_mut().map_or(std::ptr::null_mut(), |timeout| timeout.as_mut_ptr());
    let (mask, mask_size) = (std::ptr::null::<u64>(), size_of::<u64>());
    let (start, len) = (fds.as_mut_ptr(), fds.len());
    // SAFETY: the kernel reads and writes `len` entries laid out as `struct pollfd`, and two
    // words of `timeout`, which live until the call returns.
    count(unsafe { libc::syscall(libc::SYS_ppoll, start, len, pointer, mask, mask_size) })
}

const _: () = assert!(size_of::<PollFd<'static>>() == 8);
