//! One file of an image, looked up as overlayfs would show it, without mounting anything: the
//! uppermost layer that has a name decides, whiteouts and opaque directories hide what is
//! below, and a link is followed inside the image only.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, readlinkat};
use nix::sys::stat::{FileStat, SFlag, fstatat};

use super::{failed, files};
use crate::error::{Call, Result};
use crate::sys;

/// As the kernel has it (path_resolution(7)).
const MOST_LINKS: usize = 40;
/// Components of a path, those of links counted.
const MOST_STEPS: usize = 1024;

/// The layers of an image.
#[derive(Debug)]
pub struct Merged {
    /// The directory `/` of each, the topmost first.
    pub(super) root: Vec<OwnedFd>,
}

/// What a name is.
enum Found {
    Nothing,
    /// Those of the layers that make it; none for the root.
    Directories(Vec<OwnedFd>),
    Link(OsString),
    File(File),
    Other,
}

impl Merged {
    /// Of the trees of the layers, the topmost first.
    ///
    /// # Errors
    /// fcntl(2).
    pub fn of<'t>(trees: impl Iterator<Item = &'t OwnedFd>) -> Result<Self> {
        let root = trees.map(|tree| tree.try_clone().call("fcntl")).collect::<Result<_>>()?;
        Ok(Self { root })
    }

    /// Reads a regular file of at most `limit` bytes; `None` where there is none.
    ///
    /// # Errors
    /// Something else has the name, or it is larger.
    pub fn read(&self, path: impl AsRef<OsStr>, limit: usize) -> Result<Option<Vec<u8>>> {
        match self.find(path.as_ref())? {
            Found::File(mut file) => files::read(&mut file, limit).map(Some),
            Found::Nothing => Ok(None),
            Found::Directories(_) | Found::Link(_) | Found::Other => Err(failed("is not a regular file")),
        }
    }

    /// Whether a regular file has this path.
    ///
    /// # Errors
    /// As [`Self::read`], but for its size.
    pub fn is_file(&self, path: &str) -> Result<bool> {
        Ok(matches!(self.find(OsStr::new(path))?, Found::File(_)))
    }

    /// The names in a directory, sorted; none where there is no directory.
    ///
    /// # Errors
    /// There are more than `limit`.
    pub fn names(&self, path: &str, limit: usize) -> Result<Vec<OsString>> {
        let Found::Directories(directories) = self.find(OsStr::new(path))? else { return Ok(vec![]) };
        let mut names = std::collections::BTreeSet::new();
        for directory in &directories {
            names.extend(files::names(directory)?);
            if names.len() > limit {
                return Err(failed(format!("has more than {limit} entries")));
            }
        }
        // A whiteout's name is one of them: reading it finds nothing.
        Ok(names.into_iter().collect())
    }

    fn find(&self, path: &OsStr) -> Result<Found> {
        let mut ahead: VecDeque<OsString> = parts(path).collect();
        let mut at: Vec<Vec<OwnedFd>> = vec![];
        let (mut links, mut steps) = (0, 0);
        while let Some(name) = ahead.pop_front() {
            steps += 1;
            if steps > MOST_STEPS {
                return Err(failed("is a path without an end"));
            }
            if name == ".." {
                at.pop();
                continue;
            }
            match look_up(at.last().unwrap_or(&self.root), &name)? {
                Found::Directories(below) => at.push(below),
                Found::Link(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(failed("goes through too many links"));
                    }
                    if target.as_bytes().starts_with(b"/") {
                        at.clear();
                    }
                    parts(&target)
                        .collect::<Vec<_>>()
                        .into_iter()
                        .rev()
                        .for_each(|part| ahead.push_front(part));
                }
                // Below a file there is nothing.
                Found::File(_) if !ahead.is_empty() => return Ok(Found::Nothing),
                found => return Ok(found),
            }
        }
        Ok(Found::Directories(at.pop().unwrap_or_default()))
    }
}

fn parts(path: &OsStr) -> impl Iterator<Item = OsString> {
    let parts = path.as_bytes().split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.map(|part| OsStr::from_bytes(part).to_owned())
}

fn look_up(directories: &[OwnedFd], name: &OsStr) -> Result<Found> {
    let mut below = vec![];
    for directory in directories {
        let stat = match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => continue,
            stat => stat.call("newfstatat")?,
        };
        if files::file_type(&stat) == SFlag::S_IFDIR {
            let opened =
                files::open(directory, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY).call("openat2")?;
            let opaque = sys::overlay::is_opaque(&opened).call("fgetxattr")?;
            below.push(opened);
            if opaque {
                break;
            }
        } else if below.is_empty() {
            return no_directory(directory, name, &stat);
        } else {
            // A directory over a file hides it.
            break;
        }
    }
    Ok(if below.is_empty() { Found::Nothing } else { Found::Directories(below) })
}

fn no_directory(directory: &OwnedFd, name: &OsStr, stat: &FileStat) -> Result<Found> {
    match files::file_type(stat) {
        SFlag::S_IFLNK => readlinkat(directory, name).call("readlinkat").map(Found::Link),
        SFlag::S_IFREG => {
            files::open_file(directory, name).map(|file| file.map_or(Found::Nothing, Found::File))
        }
        SFlag::S_IFCHR if stat.st_rdev == 0 => Ok(Found::Nothing),
        _ => Ok(Found::Other),
    }
}
