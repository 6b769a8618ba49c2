//! Where `--report` goes.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::Mode;

use super::inherited::Inherited;
use crate::commands::caller;
use crate::error::{Call, Context, Error, Result};
use crate::policy;
use crate::sys;
use crate::types::ReportTarget;

/// A regular file that is made or emptied, never through a link; or a descriptor of the caller's.
pub(super) fn open(target: &ReportTarget, inherited: &mut Inherited) -> Result<OwnedFd> {
    match target {
        ReportTarget::Fd(number) => inherited.remove(*number),
        ReportTarget::File(path) => {
            let _as_caller = caller::rights()?;
            let path = path.as_path();
            let how = OpenHow::new()
                .flags(
                    OFlag::O_WRONLY
                        | OFlag::O_CREAT
                        | OFlag::O_NOFOLLOW
                        | OFlag::O_NONBLOCK
                        | OFlag::O_NOCTTY
                        | OFlag::O_CLOEXEC,
                )
                .mode(Mode::S_IRUSR | Mode::S_IWUSR)
                .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
            let file =
                nix::fcntl::openat2(nix::fcntl::AT_FDCWD, path, how).call("openat2").on(path.display())?;
            empty_regular(&file).on(path.display())?;
            Ok(file)
        }
    }
}

/// A file that was there before must be the caller's own, under this name alone: somebody
/// else's would be theirs to rewrite, and a hard link another file's content.
fn empty_regular(file: &OwnedFd) -> Result<()> {
    let stat = sys::file::stat(file.as_fd()).call("fstat")?;
    let magic = sys::file::fstatfs_type(file.as_fd()).call("fstatfs")?;
    if stat.mode & libc::S_IFMT != libc::S_IFREG || policy::is_kernel_filesystem(magic) {
        return Err(Error::usage("not a regular file").hint("use fd:N for a pipe"));
    }
    match stat.nlink == 1 && stat.uid == nix::unistd::geteuid().as_raw() {
        true => nix::unistd::ftruncate(file, 0).call("ftruncate"),
        false => Err(Error::setup("exists, and is another user's or has another name (a hard link)")
            .hint("remove it, or name a file that does not exist")),
    }
}
