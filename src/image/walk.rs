//! Everything that an image shows, as overlayfs would show it, without mounting anything: each
//! entry once, of the uppermost layer that has it, by descriptor and through no link. The layers
//! are a stranger's, so the walk has bounds; what breaks one is an error and no shorter list.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, SFlag, fstatat};

use super::merged::Merged;
use super::{failed, files};
use crate::error::{Call, Context, Result};
use crate::sys;

/// openat2(2) takes no longer path; through links of its own a layer can make one.
const LONGEST_PATH: usize = 4095;

/// What a walk may cost.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Names in the directories of all layers.
    pub names: u64,
    /// Directories in each other.
    pub depth: usize,
    /// When it is given up.
    pub until: Instant,
}

/// One entry.
#[derive(Debug)]
pub struct Seen<'w> {
    /// Without a slash in front.
    pub path: &'w [u8],
    /// Of itself, not of what a link leads to.
    pub stat: FileStat,
    directory: &'w OwnedFd,
    name: &'w OsStr,
}

/// Who is told of the entries, each directory before what is in it.
pub trait Visitor {
    /// An entry.
    ///
    /// # Errors
    /// The walk ends with it.
    fn entry(&mut self, seen: &Seen<'_>) -> Result<()>;

    /// A directory that the caller may not read, and that was not walked.
    fn closed(&mut self, path: &[u8]);
}

impl Seen<'_> {
    /// A regular file to read; `None` where the caller may not.
    ///
    /// # Errors
    /// It is no regular file; openat2(2).
    pub fn open(&self) -> Result<Option<File>> {
        match files::open_file(self.directory, self.name) {
            Err(error) if error.errno() == Some(Errno::EACCES) => Ok(None),
            opened => opened,
        }
    }
}

/// A directory that is still to be walked.
struct Ahead {
    name: OsString,
    /// The layers that have it, the topmost first.
    layers: Vec<usize>,
}

struct Level {
    path: Vec<u8>,
    ahead: std::vec::IntoIter<Ahead>,
}

struct Walk<'m> {
    merged: &'m Merged,
    bounds: Bounds,
    names: u64,
}

impl Merged {
    /// Tells of everything below the root; how many names the layers have.
    ///
    /// # Errors
    /// A bound is broken; a directory cannot be read.
    pub fn walk(&self, bounds: Bounds, visitor: &mut dyn Visitor) -> Result<u64> {
        let mut walk = Walk { merged: self, bounds, names: 0 };
        let all = (0..self.root.len()).collect();
        let mut levels = vec![walk.level(vec![], all, visitor)?];
        while let Some(level) = levels.last_mut() {
            let Some(Ahead { name, layers }) = level.ahead.next() else {
                levels.pop();
                continue;
            };
            let path = join(&level.path, &name);
            if levels.len() > bounds.depth || path.len() > LONGEST_PATH {
                return Err(failed("lies too deep").object(shown(&path)));
            }
            let shown = shown(&path);
            levels.push(walk.level(path, layers, visitor).on(shown)?);
        }
        Ok(walk.names)
    }
}

impl Walk<'_> {
    /// Tells of what is in one directory; its descriptors are closed before what is below.
    fn level(&mut self, path: Vec<u8>, layers: Vec<usize>, visitor: &mut dyn Visitor) -> Result<Level> {
        let mut ahead = vec![];
        match self.open(&path, layers)? {
            None => visitor.closed(&path),
            Some(directories) => {
                for (name, places) in self.listing(&directories)? {
                    if let Some(layers) = one(&directories, &join(&path, &name), &name, &places, visitor)? {
                        ahead.push(Ahead { name, layers });
                    }
                }
            }
        }
        Ok(Level { path, ahead: ahead.into_iter() })
    }

    /// The directory of each layer, down to an opaque one. The root has no mark.
    fn open(&self, path: &[u8], layers: Vec<usize>) -> Result<Option<Vec<(usize, OwnedFd)>>> {
        let place = if path.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(path) };
        let mut opened = vec![];
        for layer in layers {
            let Some(root) = self.merged.root.get(layer) else { continue };
            let directory = match files::open(root, place, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
                Err(Errno::EACCES) => return Ok(None),
                directory => directory.call("openat2")?,
            };
            let opaque = !path.is_empty() && sys::overlay::is_opaque(&directory).call("fgetxattr")?;
            opened.push((layer, directory));
            if opaque {
                break;
            }
        }
        Ok(Some(opened))
    }

    /// Each name, with the places in `directories` that have it.
    fn listing(&mut self, directories: &[(usize, OwnedFd)]) -> Result<BTreeMap<OsString, Vec<usize>>> {
        let mut listing: BTreeMap<OsString, Vec<usize>> = BTreeMap::new();
        for (place, (_, directory)) in directories.iter().enumerate() {
            let names = files::names(directory)?;
            self.names = self.names.saturating_add(names.len() as u64);
            if self.names > self.bounds.names {
                return Err(failed(format!("has more than {} entries", self.bounds.names)));
            }
            for name in names {
                listing.entry(name).or_default().push(place);
            }
        }
        match Instant::now() > self.bounds.until {
            true => Err(failed("took too long to look through")),
            false => Ok(listing),
        }
    }
}

/// Tells of one name. Of a directory the layers that it is made of.
fn one(
    directories: &[(usize, OwnedFd)],
    path: &[u8],
    name: &OsStr,
    places: &[usize],
    visitor: &mut dyn Visitor,
) -> Result<Option<Vec<usize>>> {
    let mut layers = vec![];
    for (layer, directory) in places.iter().filter_map(|place| directories.get(*place)) {
        let stat =
            fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).call("newfstatat").on(shown(path))?;
        let is_directory = files::file_type(&stat) == SFlag::S_IFDIR;
        let whiteout = files::file_type(&stat) == SFlag::S_IFCHR && stat.st_rdev == 0;
        if layers.is_empty() && !whiteout {
            visitor.entry(&Seen { path, stat, directory, name }).on(shown(path))?;
        }
        // What is no directory hides all below it, and is itself hidden by a directory above.
        if !is_directory {
            break;
        }
        layers.push(*layer);
    }
    Ok((!layers.is_empty()).then_some(layers))
}

fn join(path: &[u8], name: &OsStr) -> Vec<u8> {
    let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
    [path, slash, name.as_bytes()].concat()
}

/// A path for a message.
fn shown(path: &[u8]) -> String {
    files::shown(OsStr::from_bytes(path))
}
