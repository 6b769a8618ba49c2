//! What the verbs print and write: stdout, and files in a directory of the caller.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::caller;
use crate::error::{Call, Context, Result};

/// Whether a file that is there already may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// It is an error (EEXIST), also if it is a symbolic link.
    Refuse,
    /// It is overwritten, unless it is a symbolic link (ELOOP).
    Replace,
}

/// Prints `text` as it is.
pub(super) fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).call("write").on("stdout")
}

/// Writes one file into a directory. A file that was begun and failed does not stay.
pub(super) fn write_file(directory: &Path, name: &str, content: &[u8], existing: Existing) -> Result<()> {
    let _as_caller = caller::rights()?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let parent = open(directory, flags, Mode::empty()).call("open").on(directory.display())?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let flags = flags
        | match existing {
            Existing::Refuse => OFlag::O_EXCL,
            Existing::Replace => OFlag::O_TRUNC,
        };
    let path = directory.join(name);
    let fd = openat(parent.as_fd(), name, flags, Mode::from_bits_truncate(0o666))
        .call("openat")
        .on(path.display())?;
    let written = File::from(fd).write_all(content).call("write").on(path.display());
    if written.is_err() {
        unlinkat(parent.as_fd(), name, UnlinkatFlags::NoRemoveDir).call("unlinkat").on(path.display())?;
    }
    written
}
