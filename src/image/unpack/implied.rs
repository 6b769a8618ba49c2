//! Directories that a layer only implies, because it has entries in them: in the stack each is the one
//! of the layers below, and its own attributes would hide theirs.
//!
//! Where ids are mapped that are not the caller's own, its rights are too few to look and to give: both
//! are then done in the confined process, below one tree at a time.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod, fstat, futimens};
use nix::sys::time::TimeSpec;
use serde::{Deserialize, Serialize};

use super::Owners;
use super::confine::{self, Job};
use crate::error::{Call, Context, Error, Result};
use crate::image::files;
use crate::image::pack::Attributes;
use crate::sys;

/// What a directory has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    uid: u32,
    gid: u32,
    mode: u32,
    /// Seconds and nanoseconds.
    mtime: (i64, i64),
    /// `user.*`; the marks of overlayfs are each layer's own.
    kept: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a layer says of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// Nothing: those below decide.
    Nothing,
    /// That there is none: a whiteout, a file, a link.
    Hidden,
    /// What it is like.
    Directory(Described),
}

/// One that is to be described.
#[derive(Debug, Serialize, Deserialize)]
struct Describing {
    name: OsString,
    described: Described,
}

/// Gives the directories `names` of a tree what those of the layers below have, the lowest first.
///
/// # Errors
/// A call; the confinement cannot be set up.
pub fn describe<'t>(
    tree: BorrowedFd<'_>,
    names: &[PathBuf],
    below: impl DoubleEndedIterator<Item = BorrowedFd<'t>>,
    owners: &Owners,
) -> Result<()> {
    let confined = matches!(owners, Owners::Map { .. });
    let mut open: Vec<&OsStr> = names.iter().map(|name| name.as_os_str()).collect();
    let mut wanted = vec![];
    for layer in below.rev() {
        let found = if confined { look_confined(layer, &open, owners)? } else { look(layer, &open)? };
        let mut left = vec![];
        for (name, found) in open.into_iter().zip(found) {
            match found {
                Found::Nothing => left.push(name),
                Found::Hidden => {}
                Found::Directory(described) => {
                    wanted.push(Describing { name: name.to_owned(), described });
                }
            }
        }
        open = left;
        if open.is_empty() {
            break;
        }
    }
    match (wanted.is_empty(), confined) {
        (true, _) => Ok(()),
        (_, false) => give(tree, &wanted, *owners == Owners::Keep),
        (_, true) => {
            let input = serde_json::to_vec(&wanted).map_err(|error| Error::internal(error.to_string()))?;
            confine::run(&Job::describe(), input.as_slice(), tree, owners).map(drop)
        }
    }
}

fn look_confined(tree: BorrowedFd<'_>, names: &[&OsStr], owners: &Owners) -> Result<Vec<Found>> {
    let input = serde_json::to_vec(names).map_err(|error| Error::internal(error.to_string()))?;
    let (report, _) = confine::run(&Job::look(), input.as_slice(), tree, owners)?;
    match report.head.found.len() == names.len() {
        true => Ok(report.head.found),
        false => Err(Error::internal("the report has more or fewer directories than were asked for")),
    }
}

/// \[confined\] As [`look`], of names as JSON.
pub(super) fn look_read(tree: BorrowedFd<'_>, input: impl std::io::Read) -> Result<Vec<Found>> {
    let names: Vec<OsString> = read(input)?;
    look(tree, &names.iter().map(OsString::as_os_str).collect::<Vec<_>>())
}

/// \[confined\] As [`give`], of directories as JSON.
pub(super) fn give_read(tree: BorrowedFd<'_>, input: impl std::io::Read) -> Result<()> {
    give(tree, &read::<Vec<Describing>>(input)?, true)
}

fn read<T: serde::de::DeserializeOwned>(input: impl std::io::Read) -> Result<T> {
    serde_json::from_reader(std::io::BufReader::new(input))
        .map_err(|error| Error::internal(format!("the unpacker's input: {error}")))
}

fn look(tree: BorrowedFd<'_>, names: &[&OsStr]) -> Result<Vec<Found>> {
    names.iter().map(|name| look_at(tree, name).on(files::shown(name))).collect()
}

fn look_at(tree: BorrowedFd<'_>, name: &OsStr) -> Result<Found> {
    let (found, kept) = match files::open(tree, at_least_dot(name), OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
        Ok(found) => {
            let kept = Attributes::of(&found)?.kept;
            (found, kept)
        }
        // Who is not root owns all of it: a mode that lets the owner not read lets nobody read.
        Err(Errno::EACCES) => {
            let found = files::open(tree, at_least_dot(name), OFlag::O_PATH | OFlag::O_DIRECTORY);
            (found.call("openat2")?, vec![])
        }
        Err(Errno::ENOENT) => return Ok(Found::Nothing),
        Err(Errno::ENOTDIR | Errno::ELOOP) => return Ok(Found::Hidden),
        Err(errno) => return Err(errno).call("openat2"),
    };
    let stat = fstat(&found).call("fstat")?;
    let mtime = (stat.st_mtime, stat.st_mtime_nsec);
    Ok(Found::Directory(Described { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode, mtime, kept }))
}

/// What lies deeper first: the mode of one above may not let the caller through.
fn give(tree: BorrowedFd<'_>, all: &[Describing], owners: bool) -> Result<()> {
    let mut all: Vec<&Describing> = all.iter().collect();
    all.sort_by(|one, other| other.name.cmp(&one.name));
    all.into_iter()
        .try_for_each(|one| give_one(tree, &one.name, &one.described, owners).on(files::shown(&one.name)))
}

fn give_one(tree: BorrowedFd<'_>, name: &OsStr, described: &Described, owners: bool) -> Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let directory = match files::open(tree, at_least_dot(name), flags) {
        // A later entry of the layer took its place.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
        opened => opened.call("openat2")?,
    };
    if owners {
        sys::file::fchown(directory.as_fd(), described.uid, described.gid).call("fchown")?;
    }
    for (name, value) in &described.kept {
        sys::xattr::fsetxattr(directory.as_fd(), name, value).call("fsetxattr")?;
    }
    fchmod(&directory, Mode::from_bits_truncate(described.mode)).call("fchmod")?;
    // Last: nothing is made in it any more.
    let (seconds, nanoseconds) = described.mtime;
    futimens(&directory, &TimeSpec::UTIME_OMIT, &TimeSpec::new(seconds, nanoseconds)).call("utimensat")
}

fn at_least_dot(name: &OsStr) -> &OsStr {
    if name.is_empty() { OsStr::new(".") } else { name }
}
