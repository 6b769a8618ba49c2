//! The labels of the program: words in files of a procfs that is proven to be one
//! (CVE-2019-16884: a volume of the image's choice lay over /proc, and the word went into its files).

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::steps::List;
use crate::error::{Call, Context, Error, Result};
use crate::plan::{Labels, Step, labels};
use crate::sys;

/// PROC_ROOT_INO (linux/proc_fs.h).
const PROC_ROOT_INO: u64 = 1;

/// Before the descriptors are closed: the host's procfs is reached by one. What is written holds
/// from the next execve on, and through forks.
pub(super) fn of_the_program(list: &mut List, labels: &Labels) -> Result<()> {
    if let Some(profile) = &labels.apparmor {
        tell(list, labels::APPARMOR_FIELD, labels::APPARMOR, format!("exec {profile}"))?;
    }
    match &labels.selinux {
        Some(label) => tell(list, labels::SELINUX_FIELD, labels::SELINUX, label.clone()),
        None => Ok(()),
    }
}

/// Before the keyring is made: the program could not use one with pinfold's label.
pub(super) fn of_the_keyring(list: &mut List, labels: &Labels) -> Result<()> {
    match &labels.selinux {
        Some(label) => tell(list, labels::SELINUX_FIELD, labels::SELINUX_KEYRING, label.clone()),
        None => Ok(()),
    }
}

fn tell(list: &mut List, field: &str, file: &'static CStr, text: String) -> Result<()> {
    let text = CString::new(text).map_err(|error| Error::usage(error.to_string()).field(field))?;
    list.add(field, Step::ExecLabel { proc: procfs().at(field)?, file, text });
    Ok(())
}

/// The root of the procfs at /proc, by its type and its inode number.
fn procfs() -> Result<OwnedFd> {
    let path = "/proc";
    let proc = nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .call("open")
        .on(path)?;
    let magic = sys::file::fstatfs_type(proc.as_fd()).call("fstatfs").on(path)?;
    let inode = sys::file::stat(proc.as_fd()).call("fstat").on(path)?.ino;
    match magic == libc::PROC_SUPER_MAGIC && inode == PROC_ROOT_INO {
        true => Ok(proc),
        false => Err(Error::setup("is not the root of a procfs").object(path)),
    }
}
