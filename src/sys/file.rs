//! Operations on open files, and the few calls around the root. All \[child\].

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::{Result, count, descriptor, done, int, uninterrupted};

const AT_EMPTY_PATH: i32 = 0x1000;

/// \[child\] read(2), repeated when a signal interrupts it; 0 is end of file.
///
/// # Errors
/// EAGAIN: nonblocking and empty. EIO: a terminal whose other side is gone.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    uninterrupted(|| {
        // SAFETY: the kernel writes at most the length of `buffer`, which we hold.
        count(unsafe { libc::syscall(libc::SYS_read, fd.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) })
    })
}

/// All of a file that the kernel or root writes, such as one of /proc: its size may be told as 0.
///
/// # Errors
/// Of openat(2) and read(2).
pub fn whole(path: &str) -> Result<Vec<u8>> {
    // Nearly every one of them fits, and a read of /proc makes the text anew.
    const PART: usize = 4096;
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let file = nix::fcntl::openat(nix::fcntl::AT_FDCWD, path, flags, nix::sys::stat::Mode::empty())?;
    let (mut content, mut length, mut part) = (vec![], 0, PART);
    loop {
        content.resize(length + part, 0);
        let read = read(file.as_fd(), content.get_mut(length..).unwrap_or_default())?;
        length += read;
        if read == 0 {
            content.truncate(length);
            return Ok(content);
        }
        part = if read == part { part * 4 } else { part };
    }
}

/// [`whole`], of a text.
///
/// # Errors
/// As [`whole`]; EILSEQ: it is not UTF-8.
pub fn whole_text(path: &str) -> Result<String> {
    String::from_utf8(whole(path)?).map_err(|_not_utf8| Errno::EILSEQ)
}

/// \[child\] pipe2(2): the end to read from, which is nonblocking, and the end to write to.
///
/// # Errors
/// EMFILE, ENFILE.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    set_nonblocking(&read, true)?;
    Ok((read, write))
}

/// \[child\] write(2) until all is written. To a pipe without a reader it raises SIGPIPE.
///
/// # Errors
/// EPIPE, ENOSPC, EIO; EAGAIN when nonblocking and full (some bytes may be written).
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let written = uninterrupted(|| {
            // SAFETY: the kernel reads at most the length of `bytes`.
            count(unsafe { libc::syscall(libc::SYS_write, fd.as_raw_fd(), bytes.as_ptr(), bytes.len()) })
        })?;
        if written == 0 {
            return Err(Errno::EIO);
        }
        bytes = bytes.get(written..).ok_or(Errno::EIO)?;
    }
    Ok(())
}

/// A write that does not wait for room although the descriptor is blocking: pwritev2(2)
/// with RWF_NOWAIT, which pipes know since Linux 6.4; before, it is a plain write(2).
///
/// # Errors
/// EAGAIN: no room. EPIPE.
pub fn write_nowait(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize> {
    // linux/fs.h; offset -1 is the descriptor's own position.
    const RWF_NOWAIT: i32 = 8;
    let iov = [bytes.as_ptr() as usize, bytes.len()];
    let raw = fd.as_raw_fd();
    // SAFETY: the kernel reads one `struct iovec`, two words, and the bytes that it names.
    let written =
        unsafe { libc::syscall(libc::SYS_pwritev2, raw, iov.as_ptr(), 1, -1_i64, -1_i64, RWF_NOWAIT) };
    if count(written) != Err(Errno::EOPNOTSUPP) {
        return count(written);
    }
    // SAFETY: the kernel reads at most the length of `bytes`.
    let written = unsafe { libc::syscall(libc::SYS_write, raw, bytes.as_ptr(), bytes.len()) };
    count(written)
}

/// \[child\] The raw getcwd(2), without the NUL. Where libc says ENOENT the kernel says
/// `(unreachable)` first: the directory is outside the root (CVE-2024-21626's sign).
///
/// # Errors
/// ERANGE: `buffer` is too small. ENOENT: the directory was removed.
pub fn getcwd_raw(buffer: &mut [u8]) -> Result<&[u8]> {
    // SAFETY: the kernel writes at most the length of `buffer`, which we hold.
    let length = count(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) })?;
    buffer.get(..length.saturating_sub(1)).ok_or(Errno::EOVERFLOW)
}

/// \[child\] fstatfs(2): the filesystem's magic number (`linux/magic.h`).
///
/// # Errors
/// EBADF never; ENOSYS: the filesystem cannot tell.
pub fn fstatfs_type(fd: BorrowedFd<'_>) -> Result<i64> {
    let mut statfs = [0_i64; 32];
    // SAFETY: the kernel writes `struct statfs` (120 bytes, f_type first) to our 256.
    done(unsafe { libc::syscall(libc::SYS_fstatfs, fd.as_raw_fd(), statfs.as_mut_ptr()) })?;
    let [f_type, ..] = statfs;
    Ok(f_type)
}

/// faccessat2(2), since Linux 5.8: whether the effective ids may do this with the object itself,
/// whatever it was opened for. `mode` is made of R_OK, W_OK and X_OK.
///
/// # Errors
/// EACCES: they may not. EROFS: written, and on a read-only mount.
pub fn faccess(fd: BorrowedFd<'_>, mode: i32) -> Result<()> {
    let flags = libc::AT_EACCESS | libc::AT_EMPTY_PATH;
    // SAFETY: the kernel reads the empty string.
    done(unsafe { libc::syscall(libc::SYS_faccessat2, fd.as_raw_fd(), c"".as_ptr(), mode, flags) })
}

/// What fstat(2) says of an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// Device of the filesystem.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Type and permission bits (inode(7)).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The device that a device node stands for.
    pub rdev: u64,
    /// Number of hard links.
    pub nlink: u64,
    /// Bytes.
    pub size: i64,
    /// When it was last read and last changed: seconds and nanoseconds since the epoch.
    pub times: [(i64, i64); 2],
    /// When its inode last changed: nobody sets it (`st_ctim`).
    pub changed: (i64, i64),
}

/// \[child\] fstat(2); works on O_PATH descriptors (since 3.6) and triggers no automount.
///
/// # Errors
/// ESTALE, EIO: of network filesystems.
#[allow(clippy::useless_conversion)] // st_nlink is u32 on aarch64
pub fn stat(fd: BorrowedFd<'_>) -> Result<FileStat> {
    let stat = nix::sys::stat::fstat(fd)?;
    Ok(FileStat {
        dev: stat.st_dev,
        ino: stat.st_ino,
        mode: stat.st_mode,
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: stat.st_rdev,
        nlink: u64::from(stat.st_nlink),
        size: stat.st_size,
        times: [(stat.st_atime, stat.st_atime_nsec), (stat.st_mtime, stat.st_mtime_nsec)],
        changed: (stat.st_ctime, stat.st_ctime_nsec),
    })
}

/// \[child\] dup3(2): makes `new` a duplicate of `old`, closing what `new` was. The caller
/// answers for the number: 0 to 2, or one that no OwnedFd holds.
///
/// # Errors
/// EINVAL: `old` is `new`, or a flag other than O_CLOEXEC. EBADF: `new` is negative or
/// above RLIMIT_NOFILE.
pub fn dup3(old: BorrowedFd<'_>, new: i32, flags: i32) -> Result<()> {
    // SAFETY: takes no memory; `new` is a number that the caller answers for.
    uninterrupted(|| done(unsafe { libc::syscall(libc::SYS_dup3, old.as_raw_fd(), new, flags) }))
}

/// \[child\] pivot_root(".", "."): the working directory becomes the root and the old root
/// is stacked on top of it (pivot_root(2), NOTES); [`umount_detach_dot`] takes it away.
///
/// # Errors
/// EINVAL: the new root is not a mount point, or it or its parent mount is shared, or the
/// present root is the initial ramfs. EBUSY: it is the root already. EPERM: no CAP_SYS_ADMIN.
pub fn pivot_root_dot() -> Result<()> {
    let dot = c".".as_ptr();
    // SAFETY: the kernel reads a static string twice.
    done(unsafe { libc::syscall(libc::SYS_pivot_root, dot, dot) })
}

/// \[child\] umount2(".", MNT_DETACH): takes the mount on top of the working directory away.
///
/// # Errors
/// EINVAL: not a mount point, or locked. EPERM: no CAP_SYS_ADMIN.
pub fn umount_detach_dot() -> Result<()> {
    // SAFETY: the kernel reads a static string.
    done(unsafe { libc::syscall(libc::SYS_umount2, c".".as_ptr(), libc::MNT_DETACH) })
}

/// \[child\] fchown(2).
///
/// # Errors
/// EPERM: no CAP_CHOWN. EINVAL: an id that is not mapped, or 2^32-1. EBADF: O_PATH.
pub fn fchown(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
    known(uid, gid)?;
    // SAFETY: takes no memory; the descriptor stays the caller's.
    done(unsafe { libc::syscall(libc::SYS_fchown, fd.as_raw_fd(), uid, gid) })
}

/// \[child\] fchown(2) of the user alone: the group stays, whatever it is.
///
/// # Errors
/// As [`fchown`].
pub fn fchown_user(fd: BorrowedFd<'_>, uid: u32) -> Result<()> {
    known(uid, 0)?;
    // SAFETY: takes no memory; the descriptor stays the caller's.
    done(unsafe { libc::syscall(libc::SYS_fchown, fd.as_raw_fd(), uid, u32::MAX) })
}

/// \[child\] fchownat(2) with AT_EMPTY_PATH: as [`fchown`], for O_PATH descriptors too, and
/// of a symlink itself.
///
/// # Errors
/// As [`fchown`]. EROFS.
pub fn fchownat_empty(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
    known(uid, gid)?;
    let (fd, empty) = (fd.as_raw_fd(), c"".as_ptr());
    // SAFETY: the kernel reads a static string; the descriptor stays the caller's.
    done(unsafe { libc::syscall(libc::SYS_fchownat, fd, empty, uid, gid, AT_EMPTY_PATH) })
}

/// 2^32-1 would mean "leave as it is".
fn known(uid: u32, gid: u32) -> Result<()> {
    if uid == u32::MAX || gid == u32::MAX { Err(Errno::EINVAL) } else { Ok(()) }
}

/// \[child\] Sets or clears O_NONBLOCK of the open file description: every process that
/// shares the description sees it (fcntl(2)).
///
/// # Errors
/// EBADF: O_PATH.
pub fn set_nonblocking(fd: impl AsFd, nonblocking: bool) -> Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let mut flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
    flags.set(OFlag::O_NONBLOCK, nonblocking);
    fcntl(&fd, FcntlArg::F_SETFL(flags)).map(drop)
}

/// \[child\] Standard input (0), output (1) or error (2). Rust opens them at start if they
/// are closed, and nothing in pinfold closes them before exec.
pub fn borrow_stdio(number: u8) -> BorrowedFd<'static> {
    // SAFETY: 0..=2 are open for the life of the process; a closed one gives EBADF, not a
    // descriptor of somebody else's.
    unsafe { BorrowedFd::borrow_raw(i32::from(number.min(2))) }
}

/// \[child\] Makes standard stream `number` (0..=2) a copy of `fd`, open across execve.
///
/// # Errors
/// EBADF, EMFILE.
pub fn dup_onto(fd: BorrowedFd<'_>, number: u8) -> Result<()> {
    let number = i32::from(number.min(2));
    match fd.as_raw_fd() == number {
        true => Ok(()),
        false => dup3(fd, number, 0),
    }
}

/// The number under which a program is executed from its descriptor.
pub const PROGRAM: u32 = 3;
const RAW_PROGRAM: i32 = 3;

/// \[child\] Makes [`PROGRAM`] a copy of `fd`, open across execve. What had that number is closed.
///
/// # Errors
/// EBADF, EMFILE.
pub fn dup_as_program(fd: BorrowedFd<'_>) -> Result<()> {
    if fd.as_raw_fd() == RAW_PROGRAM {
        // SAFETY: takes no memory; clears FD_CLOEXEC.
        return done(unsafe { libc::syscall(libc::SYS_fcntl, RAW_PROGRAM, libc::F_SETFD, 0) });
    }
    dup3(fd, RAW_PROGRAM, 0)
}

/// \[child\] What [`dup_as_program`] made.
pub fn borrow_program() -> BorrowedFd<'static> {
    // SAFETY: only behind `dup_as_program`, in a process that executes it next; a closed one gives EBADF.
    unsafe { BorrowedFd::borrow_raw(RAW_PROGRAM) }
}

/// \[child\] A second descriptor for the same open file, close-on-exec, not one of the
/// standard streams.
///
/// # Errors
/// EMFILE.
pub fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    // SAFETY: takes no memory; the new descriptor belongs to us alone.
    unsafe { descriptor(libc::syscall(libc::SYS_fcntl, fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3)) }
}

/// A descriptor that the caller of pinfold left open and named by its number (`fd:N`), as a
/// duplicate of our own; the original is closed, so that nothing below inherits it.
///
/// # Errors
/// EBADF: not open. EINVAL: a standard stream.
pub fn take_inherited(number: u32) -> Result<OwnedFd> {
    let raw = i32::try_from(number).map_err(|_too_large| Errno::EBADF)?;
    if raw <= 2 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: a number that is not open gives EBADF; an open one is only read by fcntl. It is
    // nobody's OwnedFd: this is called before pinfold opens descriptors of its own.
    let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
    let own = duplicate(borrowed)?;
    super::close_range::close_range(number, number, 0)?;
    Ok(own)
}

/// A descriptor that the caller of pinfold left open, by its number. It survived execve(2), so it has no
/// FD_CLOEXEC; all that pinfold opens has it, and cannot be had here.
///
/// # Errors
/// EBADF: not open, or not the caller's.
pub fn inherited(number: i32) -> Result<BorrowedFd<'static>> {
    // SAFETY: reads a flag of a descriptor; a number that is not open gives EBADF.
    match int(unsafe { libc::syscall(libc::SYS_fcntl, number, libc::F_GETFD) })? {
        // SAFETY: open, and nobody's OwnedFd: nothing closes what the caller left open while a verb reads files.
        flags if flags & libc::FD_CLOEXEC == 0 => Ok(unsafe { BorrowedFd::borrow_raw(number) }),
        _ => Err(Errno::EBADF),
    }
}

/// Whether a descriptor of this number is open.
pub fn is_open(number: i32) -> bool {
    // SAFETY: reads a flag of a descriptor; a number that is not open gives EBADF.
    unsafe { libc::syscall(libc::SYS_fcntl, number, libc::F_GETFD) >= 0 }
}

/// \[child\] umask(2), which always succeeds; a filter around pinfold can answer another way, and nix panics then.
///
/// # Errors
/// Whatever such a filter says.
pub fn umask(mask: u32) -> Result<()> {
    // SAFETY: takes no memory.
    done(unsafe { libc::syscall(libc::SYS_umask, mask) })
}
