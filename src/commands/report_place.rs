//! Where the report of an OCI container goes, whose configuration names it by annotation.
//!
//! An engine may take annotations from an image, so the name alone is no consent: a plain name is
//! made in the bundle, which the engine made for this container, and a path only below a directory
//! that the command line gives for reports (`--report-dir`). Where a policy stands it must name the
//! directory as well. The file must not exist, and no link is followed to it.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

use super::bundle::{Bundle, absolute};
use super::caller;
use super::report::field;
use crate::cli::Global;
use crate::error::{Call, Context, Error, Result};

/// An opened directory, and the name of a file that is not made yet.
pub struct Place {
    dir: OwnedFd,
    name: OsString,
    /// The directory's path, as the policy compares it.
    pub directory: PathBuf,
}

impl Place {
    /// Opens the directory.
    ///
    /// # Errors
    /// A path below no directory for reports, or through a link.
    pub fn open(asked: &Path, global: &Global, bundle: &Bundle) -> Result<Self> {
        Self::opened(asked, global, bundle).at(field())
    }

    fn opened(asked: &Path, global: &Global, bundle: &Bundle) -> Result<Self> {
        let _as_caller = caller::rights()?;
        let no_file = || Error::usage("names no file").object(asked.display());
        let name = asked.file_name().ok_or_else(no_file)?.to_owned();
        let dir = match asked.is_absolute() {
            false => bundle.dir.as_fd().try_clone_to_owned().call("fcntl")?,
            true => given(asked.parent().ok_or_else(no_file)?, global)?,
        };
        let directory = absolute(dir.as_fd())?;
        Ok(Self { dir, name, directory })
    }

    /// Makes the file.
    ///
    /// # Errors
    /// It exists.
    pub fn make(&self) -> Result<OwnedFd> {
        let _as_caller = caller::rights()?;
        let how = OpenHow::new()
            .flags(OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
            .mode(Mode::S_IRUSR | Mode::S_IWUSR)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        let path = self.directory.join(&self.name);
        openat2(&self.dir, self.name.as_os_str(), how).call("openat2").on(path.display()).at(field())
    }
}

/// A directory at or below one of those that the command line gives.
fn given(parent: &Path, global: &Global) -> Result<OwnedFd> {
    let below = |given: &&crate::types::HostPath| parent.starts_with(given.as_path());
    let given = global.report_dir.iter().find(below).ok_or_else(|| {
        Error::usage("lies below no directory for reports")
            .object(parent.display())
            .hint("a plain name is made in the bundle; `--report-dir DIR` gives another directory")
    })?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let top = openat2(AT_FDCWD, given.as_path(), how).call("openat2").on(given.as_path().display())?;
    let rest = parent.strip_prefix(given.as_path()).unwrap_or(Path::new(""));
    match rest.as_os_str().is_empty() {
        true => Ok(top),
        false => {
            let how = how.resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
            openat2(&top, rest, how).call("openat2").on(parent.display())
        }
    }
}
