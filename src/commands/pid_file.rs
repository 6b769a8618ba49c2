//! `--pid-file`: a bare number without a newline. Written beside its place and renamed, so
//! that a reader never sees half of it and a link that somebody planted is replaced, not
//! followed.

use std::os::fd::AsFd;
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;
use nix::unistd::UnlinkatFlags;

use super::caller;
use crate::error::{Call, Context, Error, Result};
use crate::sys;

/// Writes `pid` to `path`.
///
/// # Errors
/// The directory cannot be opened or written.
pub fn write(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().ok_or_else(|| Error::usage("names no file").object(path.display()))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let _as_caller = caller::rights()?;
    let dir = openat2(nix::fcntl::AT_FDCWD, parent, how).call("openat2").on(parent.display())?;
    let mut temporary = std::ffi::OsString::from(format!(".{pid}."));
    temporary.push(name);
    let how = OpenHow::new()
        .flags(OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .mode(Mode::from_bits_truncate(0o644))
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let file = openat2(&dir, temporary.as_os_str(), how).call("openat2").on(path.display())?;
    let written = sys::file::write_all(file.as_fd(), pid.to_string().as_bytes()).call("write");
    let moved =
        written.and_then(|()| nix::fcntl::renameat(&dir, temporary.as_os_str(), &dir, name).call("renameat"));
    if moved.is_err() {
        let gone = nix::unistd::unlinkat(&dir, temporary.as_os_str(), UnlinkatFlags::NoRemoveDir);
        gone.call("unlinkat").on(path.display())?;
    }
    moved.on(path.display())
}
