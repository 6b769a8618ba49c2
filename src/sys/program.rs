//! What the standard library would do before `main`, as far as a program of one thread needs it.
//!
//! The library's own start makes a second signal stack and handlers that explain an overflow of the
//! first: five system calls and a page, and a panic where the kernel has no memory for it. Here an
//! overflow is a SIGSEGV, as in a program of C.

use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;
use std::sync::OnceLock;

use nix::errno::Errno;

use super::{Result, done, signal, uninterrupted};

static WORDS: OnceLock<Vec<OsString>> = OnceLock::new();

/// The command line, the program's own name first.
#[must_use]
pub fn arguments() -> Vec<OsString> {
    WORDS.get().cloned().unwrap_or_else(|| std::env::args_os().collect())
}

/// Keeps the command line; opens `/dev/null` for each of stdin, stdout and stderr that is closed, so that
/// no file of pinfold's own ever gets their number; a write to a pipe that nobody reads is EPIPE.
///
/// # Errors
/// `/dev/null` cannot be opened.
///
/// # Safety
/// The arguments are those that libc gave to `main`.
pub unsafe fn begin(count: c_int, words: *const *const c_char) -> Result<()> {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: argv[0] to argv[argc - 1] are strings that live as long as the process (C17, 5.1.2.2.1).
    let word = |index| unsafe { CStr::from_ptr(*words.add(index)) };
    let owned = |word: &CStr| OsString::from_vec(word.to_bytes().to_vec());
    WORDS.get_or_init(|| (0..count).map(|index| owned(word(index))).collect());
    standard_files()?;
    signal::ignore(libc::SIGPIPE)
}

fn standard_files() -> Result<()> {
    let asked = |fd| libc::pollfd { fd, events: 0, revents: 0 };
    let mut files = [asked(0), asked(1), asked(2)];
    // SAFETY: the kernel reads and writes three `struct pollfd`.
    uninterrupted(|| done(unsafe { libc::poll(files.as_mut_ptr(), 3, 0) }.into()))?;
    for file in files.iter().filter(|file| file.revents & libc::POLLNVAL != 0) {
        // SAFETY: the path is a string. The lowest free number is that of the closed file, from 0 upwards.
        let opened = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        done(opened.into())?;
        if opened != file.fd {
            return Err(Errno::EBADF);
        }
    }
    Ok(())
}
