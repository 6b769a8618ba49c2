//! Where the store is, and that it is the caller's own.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::geteuid;

use crate::error::{Call, Context, Error, Result};
use crate::image::files;

/// Of root.
const SYSTEM: &str = "/var/lib/pinfold";

/// /var/lib/pinfold, or $XDG_DATA_HOME/pinfold of a user (XDG Base Directory Specification).
///
/// # Errors
/// A user without XDG_DATA_HOME and HOME.
pub fn default_place() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    choose(geteuid().as_raw(), variable("XDG_DATA_HOME"), variable("HOME")).ok_or_else(|| {
        Error::setup("there is no place for images")
            .hint("set HOME or XDG_DATA_HOME to a directory of your own, or give one by --store")
    })
}

fn choose(euid: u32, data: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    if euid == 0 {
        return Some(PathBuf::from(SYSTEM));
    }
    data.or_else(|| home.map(|home| home.join(".local/share"))).map(|data| data.join("pinfold"))
}

/// Opens the directory and verifies it. Links before the last component are the caller's own,
/// or root's; the last one must be a directory that nobody else can look into or write to.
pub(super) fn open_or_make(path: &Path) -> Result<OwnedFd> {
    // Rebuilt from its components: behind a slash the kernel would follow a last link.
    let path: PathBuf = path.components().collect();
    if path.file_name().is_none() {
        return Err(Error::usage("does not name a directory").object(path.display()).field("--store"));
    }
    let opened = match open(&path) {
        Err(Errno::ENOENT) => {
            make(&path)?;
            open(&path)
        }
        opened => opened,
    };
    let dir = match opened {
        Err(Errno::ENOTDIR | Errno::ELOOP) => {
            Err(Error::setup("not a directory, or a symbolic link, which is not followed here"))
        }
        opened => opened.call("openat2"),
    };
    let dir = dir.on(path.display())?;
    verify(&dir).on(path.display())?;
    Ok(dir)
}

fn open(path: &Path) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat2(AT_FDCWD, path, OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS))
}

/// mkdir -p. What is above the store may be a directory that others enter.
fn make(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match (mkdirat(AT_FDCWD, path, files::PRIVATE_DIR), parent) {
        (Ok(()) | Err(Errno::EEXIST), _) => Ok(()),
        (Err(Errno::ENOENT), Some(parent)) => {
            make(parent)?;
            match mkdirat(AT_FDCWD, path, files::PRIVATE_DIR) {
                Ok(()) | Err(Errno::EEXIST) => Ok(()),
                made => made.call("mkdirat").on(path.display()),
            }
        }
        (made, _) => made.call("mkdirat").on(path.display()),
    }
}

/// Whoever else can enter could execute a set-uid file of an image, or plant a blob.
fn verify(dir: &OwnedFd) -> Result<()> {
    let stat = fstat(dir).call("fstat")?;
    if stat.st_uid != geteuid().as_raw() {
        return Err(Error::setup(format!("belongs to user id {}, not to the caller", stat.st_uid)));
    }
    match Mode::from_bits_truncate(stat.st_mode).intersects(Mode::S_IRWXG | Mode::S_IRWXO) {
        true => Err(Error::setup("can be entered or written by its group or by others")
            .hint("chmod 0700, after a look at what is in it")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_place_follows_the_user() {
        let some = |text: &str| Some(PathBuf::from(text));
        let rows = [
            (0, some("/data"), some("/root"), some("/var/lib/pinfold")),
            (1000, some("/data"), some("/home/a"), some("/data/pinfold")),
            (1000, None, some("/home/a"), some("/home/a/.local/share/pinfold")),
            (1000, None, None, None),
        ];
        for (euid, data, home, place) in rows {
            assert_eq!(choose(euid, data, home), place);
        }
    }
}
