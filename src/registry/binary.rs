//! Where `pinfold-fetch` is: beside pinfold's own binary, or in `../libexec/pinfold`. It is
//! opened once, and that descriptor is executed.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};

use crate::error::{Call, Context, Error, Result};
use crate::sys;

const NAME: &str = "pinfold-fetch";
const LIBEXEC: &str = "../libexec/pinfold";
const SELF: &str = "/proc/self/exe";

/// Opens it: a file of root's, or of whom pinfold's own binary belongs to, that nobody else can
/// write.
///
/// # Errors
/// It is not installed, or not to be trusted.
pub fn open() -> Result<OwnedFd> {
    let own = nix::fcntl::open(SELF, OFlag::O_PATH | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty());
    let owner = sys::file::stat(own.call("open").on(SELF)?.as_fd()).call("fstat").on(SELF)?.uid;
    let path = std::fs::read_link(SELF).call("readlink").on(SELF)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    for directory in [directory.to_owned(), directory.join(LIBEXEC)] {
        let place = directory.join(NAME);
        match open_at(&directory) {
            Err(Errno::ENOENT) => {}
            opened => {
                let file = opened.call("openat2").on(place.display())?;
                verify(&file, owner).on(place.display())?;
                return Ok(file);
            }
        }
    }
    Err(Error::setup("is not installed")
        .object(NAME)
        .hint("pull needs it: `make install` puts it beside pinfold"))
}

fn open_at(directory: &Path) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags | OFlag::O_DIRECTORY).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let directory = openat2(AT_FDCWD, directory, how)?;
    let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    openat2(directory, NAME, OpenHow::new().flags(flags | OFlag::O_NOFOLLOW).resolve(beneath))
}

fn verify(file: &OwnedFd, owner: u32) -> Result<()> {
    let stat = sys::file::stat(file.as_fd()).call("fstat")?;
    if stat.mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Error::setup("is not a regular file"));
    }
    if stat.uid != 0 && stat.uid != owner {
        return Err(Error::setup(format!("belongs to user {}, not to the owner of pinfold", stat.uid)));
    }
    match stat.mode & (libc::S_IWGRP | libc::S_IWOTH) {
        0 => Ok(()),
        _ => Err(Error::setup("can be written by its group or by others")),
    }
}
