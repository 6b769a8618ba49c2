//! execve(2) and execveat(2) (since Linux 3.19), with arrays that the parent prepared.

use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// Strings and the NULL-terminated array of pointers to them that execve(2) wants.
///
/// Built by the parent; moving it is fine, since the strings lie on the heap. Not `Send`.
#[derive(Debug)]
pub struct CStringArray {
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl CStringArray {
    /// Takes the strings in their order.
    pub fn new(strings: Vec<CString>) -> Self {
        let ends = std::iter::once(std::ptr::null());
        let pointers = strings.iter().map(|string| string.as_ptr()).chain(ends).collect();
        Self { strings, pointers }
    }

    /// The strings.
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }

    fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

impl From<Vec<CString>> for CStringArray {
    fn from(strings: Vec<CString>) -> Self {
        Self::new(strings)
    }
}

/// \[child\] execve(2): returns only when it failed.
///
/// Errors: ENOENT: the program, its interpreter or its loader is missing. EACCES: not
/// executable, noexec mount, or a directory. ENOEXEC: no format the kernel knows.
/// E2BIG: arguments and environment are too long. EAGAIN: RLIMIT_NPROC was exceeded by
/// an earlier change of user id.
pub fn execve(path: &CStr, argv: &CStringArray, envp: &CStringArray) -> Errno {
    // SAFETY: the kernel reads the path and two NULL-terminated arrays of NUL-terminated
    // strings, all owned by the borrowed arguments; on success this memory is gone.
    unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    Errno::last()
}

/// \[child\] execveat(2): `path` relative to `dir`; with AT_EMPTY_PATH and an empty path,
/// the file `dir` itself. Returns only when it failed.
///
/// Errors: as [`execve`]; ENOENT too for a script through a close-on-exec descriptor (its
/// interpreter cannot open `/dev/fd/N`). ELOOP: a symlink under AT_SYMLINK_NOFOLLOW.
pub fn execveat(
    dir: BorrowedFd<'_>,
    path: &CStr,
    argv: &CStringArray,
    envp: &CStringArray,
    flags: i32,
) -> Errno {
    let (dir, path) = (dir.as_raw_fd(), path.as_ptr());
    // SAFETY: as in `execve`; the descriptor stays the caller's.
    unsafe { libc::syscall(libc::SYS_execveat, dir, path, argv.as_ptr(), envp.as_ptr(), flags) };
    Errno::last()
}
