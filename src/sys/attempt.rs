//! Calls that a sandbox should not reach, made with arguments that name no memory of ours: the errno
//! tells how far each came. For the probes of `selftest`; nothing else calls them.

use super::{Result, value};

/// A call to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// bpf(2), BPF_PROG_LOAD.
    Bpf,
    /// perf_event_open(2).
    PerfEventOpen,
    /// io_uring_setup(2).
    IoUringSetup,
    /// userfaultfd(2), for user mode only.
    Userfaultfd,
    /// add_key(2).
    AddKey,
    /// open_by_handle_at(2).
    OpenByHandleAt,
    /// init_module(2).
    InitModule,
    /// fsopen(2).
    Fsopen,
    /// setns(2).
    Setns,
    /// unshare(2), CLONE_NEWUSER.
    UnshareUser,
    /// swapon(2).
    Swapon,
    /// syslog(2), SYSLOG_ACTION_READ_ALL.
    Syslog,
    /// clock_settime(2).
    ClockSettime,
    /// socket(2) of this family and type.
    Socket(u8, u8),
    /// shmget(2) of a segment that is there.
    Shmget(u32),
}

/// Number and arguments; where memory is wanted there is a null pointer.
#[rustfmt::skip]
fn call(attempt: Attempt) -> (libc::c_long, [libc::c_long; 3]) {
    const NOWHERE: libc::c_long = 0;
    const NO_FD: libc::c_long = -1;
    match attempt {
        Attempt::Bpf => (libc::SYS_bpf, [5, NOWHERE, 0]),
        Attempt::PerfEventOpen => (libc::SYS_perf_event_open, [NOWHERE, 0, NO_FD]),
        Attempt::IoUringSetup => (libc::SYS_io_uring_setup, [1, NOWHERE, 0]),
        Attempt::Userfaultfd => (libc::SYS_userfaultfd, [1, 0, 0]),
        Attempt::AddKey => (libc::SYS_add_key, [NOWHERE, NOWHERE, NOWHERE]),
        Attempt::OpenByHandleAt => (libc::SYS_open_by_handle_at, [NO_FD, NOWHERE, 0]),
        Attempt::InitModule => (libc::SYS_init_module, [NOWHERE, 0, NOWHERE]),
        Attempt::Fsopen => (libc::SYS_fsopen, [NOWHERE, 0, 0]),
        Attempt::Setns => (libc::SYS_setns, [NO_FD, 0, 0]),
        Attempt::UnshareUser => (libc::SYS_unshare, [0x1000_0000, 0, 0]),
        Attempt::Swapon => (libc::SYS_swapon, [NOWHERE, 0, 0]),
        Attempt::Syslog => (libc::SYS_syslog, [3, NOWHERE, 0]),
        Attempt::ClockSettime => (libc::SYS_clock_settime, [0, NOWHERE, 0]),
        Attempt::Socket(family, kind) => (libc::SYS_socket, [family.into(), kind.into(), 0]),
        Attempt::Shmget(key) => (libc::SYS_shmget, [key.into(), 0, 0]),
    }
}

/// Makes the call.
///
/// # Errors
/// The errno of it.
pub fn attempt(attempt: Attempt) -> Result<()> {
    let (number, [one, two, three]) = call(attempt);
    // SAFETY: each pointer argument is null, so the kernel neither reads nor writes memory of ours; a
    // descriptor that it returns is nobody else's and stays open until the probe ends.
    value(unsafe { libc::syscall(number, one, two, three, 0, 0, 0) }).map(drop)
}

/// TIOCSTI: a character as if it were typed on this terminal.
///
/// # Errors
/// ENOTTY: no terminal. EPERM: not the session's own, or the filter's. EIO: the kernel is set not to do it.
pub fn push(terminal: std::os::fd::BorrowedFd<'_>) -> Result<()> {
    use std::os::fd::AsRawFd;
    // asm-generic/ioctls.h, the same on x86_64 and aarch64
    const TIOCSTI: libc::c_ulong = 0x5412;
    let character = b'x';
    // SAFETY: the kernel reads one byte.
    value(unsafe { libc::syscall(libc::SYS_ioctl, terminal.as_raw_fd(), TIOCSTI, &raw const character) })
        .map(drop)
}

/// \[child\] A call by its number, in a child that ends right after. The arguments are no addresses: small
/// numbers, or all bits set.
///
/// # Errors
/// The errno of it; EINVAL: an argument that could be an address.
pub fn raw(number: u32, arguments: [i64; 6]) -> Result<i64> {
    let is_none = |value: &i64| matches!(value, -1..0x1000 | 0x7fff_fffe | 0xffff_ffff);
    if !arguments.iter().all(is_none) {
        return Err(nix::errno::Errno::EINVAL);
    }
    let [one, two, three, four, five, six] = arguments;
    // SAFETY: no argument is the address of memory of ours: the first page is nobody's (vm.mmap_min_addr),
    // all bits set lie in the kernel's half, and the two others are not aligned to a page. The process is a
    // copy that makes this call, and ends by exit_group(2).
    value(unsafe { libc::syscall(number.into(), one, two, three, four, five, six) })
}

/// shmget(2): a segment of one page under this key, which must not be there.
///
/// # Errors
/// As shmget(2).
pub fn make_segment(key: u32) -> Result<()> {
    const FLAGS: libc::c_long = 0o1000 | 0o2000 | 0o666;
    // SAFETY: shmget(2) takes no pointer.
    value(unsafe { libc::syscall(libc::SYS_shmget, libc::c_long::from(key), 4096, FLAGS) }).map(drop)
}
