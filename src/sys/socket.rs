//! Bytes and one descriptor over a unix socket: unix(7), sendmsg(2), recvmsg(2). All \[child\].
//!
//! Raw calls on the kernel's own structures: libc's differ between glibc and musl.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::{Result, count, descriptor, done, uninterrupted};

/// Get a pidfd of the peer (6.5, `asm-generic/socket.h`).
const SO_PEERPIDFD: i32 = 77;

/// `struct user_msghdr` (`linux/socket.h`).
#[repr(C)]
struct Message {
    name: *mut u8,
    name_len: i32,
    iov: *mut Bytes,
    iov_len: usize,
    control: *mut Control,
    control_len: usize,
    flags: u32,
}

/// `struct iovec` (`linux/uio.h`).
#[repr(C)]
struct Bytes {
    base: *mut u8,
    len: usize,
}

/// `struct cmsghdr` (`linux/socket.h`) and room for one descriptor.
#[repr(C)]
struct Control {
    len: usize,
    level: i32,
    kind: i32,
    fd: i32,
}

/// CMSG_LEN(sizeof(int)): with room for exactly one, the kernel drops every further
/// descriptor and says MSG_CTRUNC.
const CONTROL_LEN: usize = std::mem::offset_of!(Control, fd) + size_of::<i32>();

fn message(iov: &mut Bytes, control: Option<&mut Control>) -> Message {
    let control_len = if control.is_some() { CONTROL_LEN } else { 0 };
    let control = control.map_or(std::ptr::null_mut(), std::ptr::from_mut);
    let name = std::ptr::null_mut();
    Message { name, name_len: 0, iov: std::ptr::from_mut(iov), iov_len: 1, control, control_len, flags: 0 }
}

/// \[child\] sendmsg(2), with `fd` attached (SCM_RIGHTS) and without SIGPIPE. Returns the
/// bytes sent; a stream needs at least one byte to carry a descriptor.
///
/// # Errors
/// EPIPE, ECONNRESET: the peer is gone. EAGAIN: nonblocking and full. ETOOMANYREFS: too
/// many descriptors in flight. EMSGSIZE: too long for one datagram.
pub fn send_fd(socket: BorrowedFd<'_>, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> Result<usize> {
    let mut iov = Bytes { base: bytes.as_ptr().cast_mut(), len: bytes.len() };
    let mut control = fd.map(|fd| Control {
        len: CONTROL_LEN,
        level: libc::SOL_SOCKET,
        kind: libc::SCM_RIGHTS,
        fd: fd.as_raw_fd(),
    });
    let message = message(&mut iov, control.as_mut());
    uninterrupted(|| {
        let flags = libc::MSG_NOSIGNAL;
        // SAFETY: the kernel reads `message`, `iov`, `control` and `bytes`, and writes none;
        // `fd` stays the caller's, the message holds a reference of its own.
        count(unsafe { libc::syscall(libc::SYS_sendmsg, socket.as_raw_fd(), &raw const message, flags) })
    })
}

/// send(2) without SIGPIPE and without waiting for room, whatever the socket's own mode.
///
/// # Errors
/// EAGAIN: no room. EPIPE, ECONNRESET: the peer is gone.
pub fn send_nowait(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    let (address, length) = (std::ptr::null::<u8>(), 0_u32);
    let (raw, start, len) = (socket.as_raw_fd(), bytes.as_ptr(), bytes.len());
    // SAFETY: the kernel reads at most the length of `bytes`, and no address.
    count(unsafe { libc::syscall(libc::SYS_sendto, raw, start, len, flags, address, length) })
}

/// \[child\] recvmsg(2): bytes, and a descriptor (close-on-exec) if the peer attached one.
/// 0 bytes is the end of the stream.
///
/// # Errors
/// EMSGSIZE: the datagram is longer than `buffer`. EPROTO: more than one descriptor or other
/// control data; what came is closed. EAGAIN: nonblocking and empty. ECONNRESET.
pub fn recv_fd(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    let mut iov = Bytes { base: buffer.as_mut_ptr(), len: buffer.len() };
    let mut control = Control { len: 0, level: 0, kind: 0, fd: -1 };
    let mut message = message(&mut iov, Some(&mut control));
    let pointer = &raw mut message;
    let received = uninterrupted(|| {
        let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_NOSIGNAL;
        // SAFETY: the kernel writes into `buffer`, `control` (lengths given) and `message`.
        count(unsafe { libc::syscall(libc::SYS_recvmsg, socket.as_raw_fd(), pointer, flags) })
    })?;
    let flags = message.flags.cast_signed();
    let fd = if message.control_len >= CONTROL_LEN { attached(&control) } else { None };
    match flags {
        flags if flags & libc::MSG_CTRUNC != 0 => Err(Errno::EPROTO),
        flags if flags & libc::MSG_TRUNC != 0 => Err(Errno::EMSGSIZE),
        _ => Ok((received, fd)),
    }
}

fn attached(control: &Control) -> Option<OwnedFd> {
    let rights = control.level == libc::SOL_SOCKET && control.kind == libc::SCM_RIGHTS;
    let present = rights && control.len == CONTROL_LEN && control.fd >= 0;
    // SAFETY: the kernel has just installed this descriptor for us.
    present.then(|| unsafe { OwnedFd::from_raw_fd(control.fd) })
}

/// \[child\] SO_PEERPIDFD, since 6.5: the process that connected or made the pair.
///
/// # Errors
/// ENOPROTOOPT: before 6.5. ENODATA: no peer. ESRCH, EINVAL: the peer has ended.
pub fn peer_pidfd(socket: BorrowedFd<'_>) -> Result<OwnedFd> {
    let mut pidfd: i32 = -1;
    socket_option(socket, SO_PEERPIDFD, std::slice::from_mut(&mut pidfd))?;
    // SAFETY: the kernel has just made this close-on-exec descriptor for us.
    unsafe { descriptor(pidfd.into()) }
}

/// \[child\] SO_PEERCRED: the pid of the process that connected, as it was then; it may be
/// another's by now, so prefer [`peer_pidfd`].
///
/// # Errors
/// ENOTCONN: no peer known (pid 0: it is in a PID namespace that is not visible from here).
pub fn peer_pid(socket: BorrowedFd<'_>) -> Result<nix::unistd::Pid> {
    let mut credentials = [0_i32; 3];
    socket_option(socket, libc::SO_PEERCRED, &mut credentials)?;
    match credentials {
        [pid, ..] if pid > 0 => Ok(nix::unistd::Pid::from_raw(pid)),
        _ => Err(Errno::ENOTCONN),
    }
}

/// getsockopt(2) of a value made of whole ints.
fn socket_option(socket: BorrowedFd<'_>, option: i32, value: &mut [i32]) -> Result<()> {
    let size = i32::try_from(size_of_val(value)).or(Err(Errno::EINVAL))?;
    let mut len = size;
    let (socket, level) = (socket.as_raw_fd(), libc::SOL_SOCKET);
    // SAFETY: the kernel writes at most `len` bytes to `value` and the length to `len`.
    done(unsafe {
        libc::syscall(libc::SYS_getsockopt, socket, level, option, value.as_mut_ptr(), &raw mut len)
    })?;
    if len == size { Ok(()) } else { Err(Errno::EPROTO) }
}

/// \[child\] accept4(2) with SOCK_CLOEXEC.
///
/// # Errors
/// ECONNABORTED: the peer is gone again. EINVAL: not listening.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    let (address, length) = (std::ptr::null_mut::<u8>(), std::ptr::null_mut::<u32>());
    uninterrupted(|| {
        // SAFETY: no address is asked for, so the kernel writes no memory of ours; the new
        // descriptor belongs to us alone.
        unsafe {
            descriptor(libc::syscall(
                libc::SYS_accept4,
                listener.as_raw_fd(),
                address,
                length,
                libc::SOCK_CLOEXEC,
            ))
        }
    })
}
