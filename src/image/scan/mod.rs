//! What is dangerous, or was forgotten, in the files of an image: set-ID files, file
//! capabilities, private keys, credentials, passwords, places that everybody can write, devices.
//!
//! The files are a stranger's: names and contents are looked at within bounds and never
//! interpreted. A scan finds what was left lying around, not what somebody hides.

mod capability;
mod content;
mod names;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::stat::{FileStat, Mode, SFlag};

use super::files;
use super::merged::Merged;
use super::walk::{Bounds, Seen, Visitor};
use crate::error::{Call, Error, Result};
use crate::sys;

/// Findings that are listed one by one; all are counted.
pub const MOST_LISTED: usize = 10_000;
/// What is read of every file, and of one that looks like text.
const HEAD: u64 = 4 << 10;
const TEXT: u64 = 64 << 10;

/// What a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A file with the set-user-ID bit.
    Setuid,
    /// A file with the set-group-ID bit.
    Setgid,
    /// `security.capability` (capabilities(7)).
    FileCapabilities,
    /// A private key, or a store of keys.
    PrivateKey,
    /// A token or password for somewhere else.
    Credentials,
    /// An account of the image that a password opens, or nothing at all.
    Password,
    /// Everybody can write it.
    WorldWritable,
    /// A device node.
    Device,
    /// The caller may not read it, so nobody looked.
    Unreadable,
}

impl What {
    /// As the documents call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Setuid => "setuid",
            Self::Setgid => "setgid",
            Self::FileCapabilities => "file-capabilities",
            Self::PrivateKey => "private-key",
            Self::Credentials => "credentials",
            Self::Password => "password",
            Self::WorldWritable => "world-writable",
            Self::Device => "device",
            Self::Unreadable => "unreadable",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub what: What,
    /// Without a slash in front.
    pub path: Vec<u8>,
    /// `st_mode`, owner and group; none of a directory that was not looked into.
    pub owned: Option<(u32, u32, u32)>,
    /// Words of pinfold's own.
    pub detail: String,
}

/// What a scan came to.
#[derive(Debug, Default)]
pub struct Scan {
    /// By path.
    pub findings: Vec<Finding>,
    /// How many there are of each kind, listed or not.
    pub counts: BTreeMap<What, u64>,
    /// Findings that are only counted.
    pub unlisted: u64,
    /// Entries that the image shows.
    pub entries: u64,
}

/// Looks through all files of an image.
///
/// # Errors
/// There are too many, they lie too deep, or it takes too long; a file cannot be read.
pub fn scan(merged: &Merged) -> Result<Scan> {
    let until = Instant::now() + Duration::from_secs(600);
    let mut scan = Scan::default();
    merged.walk(Bounds { names: 1 << 21, depth: 256, until }, &mut scan)?;
    Ok(scan)
}

impl Visitor for Scan {
    fn entry(&mut self, seen: &Seen<'_>) -> Result<()> {
        self.entries += 1;
        let stat = &seen.stat;
        let mode = Mode::from_bits_truncate(stat.st_mode);
        let kind = files::file_type(stat);
        let sticky_directory = kind == SFlag::S_IFDIR && mode.contains(Mode::S_ISVTX);
        if kind != SFlag::S_IFLNK && mode.contains(Mode::S_IWOTH) && !sticky_directory {
            let what = if kind == SFlag::S_IFDIR { "a directory without the sticky bit" } else { "" };
            self.found(What::WorldWritable, seen, what);
        }
        match kind {
            SFlag::S_IFREG => self.file(seen, mode),
            SFlag::S_IFCHR | SFlag::S_IFBLK => {
                let (major, minor) =
                    (nix::sys::stat::major(stat.st_rdev), nix::sys::stat::minor(stat.st_rdev));
                self.found(What::Device, seen, format!("{major}:{minor}"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn closed(&mut self, path: &[u8]) {
        let detail = "a directory that was not looked into".to_owned();
        self.add(Finding { what: What::Unreadable, path: path.to_vec(), owned: None, detail });
    }
}

impl Scan {
    fn file(&mut self, seen: &Seen<'_>, mode: Mode) -> Result<()> {
        if mode.contains(Mode::S_ISUID) {
            self.found(What::Setuid, seen, "");
        }
        if mode.contains(Mode::S_ISGID) {
            self.found(What::Setgid, seen, "");
        }
        let Some(mut file) = seen.open()? else {
            self.found(What::Unreadable, seen, "a file that was not looked into");
            return Ok(());
        };
        if let Some(sets) = capabilities(&file)? {
            self.found(What::FileCapabilities, seen, sets);
        }
        let read = read(&mut file, &seen.stat)?;
        let by_name = names::named(seen.path, &read);
        let found = by_name.or_else(|| content::look(&read).map(|(what, detail)| (what, detail.to_owned())));
        if let Some((what, detail)) = found {
            self.found(what, seen, detail);
        }
        Ok(())
    }

    fn found(&mut self, what: What, seen: &Seen<'_>, detail: impl Into<String>) {
        let FileStat { st_mode, st_uid, st_gid, .. } = seen.stat;
        let owned = Some((st_mode, st_uid, st_gid));
        self.add(Finding { what, path: seen.path.to_vec(), owned, detail: detail.into() });
    }

    fn add(&mut self, finding: Finding) {
        *self.counts.entry(finding.what).or_insert(0) += 1;
        match self.findings.len() < MOST_LISTED {
            true => self.findings.push(finding),
            false => self.unlisted += 1,
        }
    }
}

/// A path of a finding for a line of text.
pub fn shown(path: &[u8]) -> String {
    files::shown(OsStr::from_bytes(&[b"/", path].concat()))
}

/// The beginning of a file, and more of it where that is text.
fn read(file: &mut File, stat: &FileStat) -> Result<Vec<u8>> {
    let mut read = vec![];
    if stat.st_size == 0 {
        return Ok(read);
    }
    file.take(HEAD).read_to_end(&mut read).call("read")?;
    if !read.contains(&0) {
        file.take(TEXT - HEAD).read_to_end(&mut read).call("read")?;
    }
    Ok(read)
}

fn capabilities(file: &File) -> Result<Option<String>> {
    let mut value = [0; 64];
    match sys::xattr::fgetxattr(file.as_fd(), b"security.capability", &mut value) {
        Ok(length) => Ok(Some(capability::shown(value.get(..length).unwrap_or_default()))),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(None),
        // Of a root that has no id here, or of a form that no kernel writes: it is there all the same.
        Err(Errno::EOVERFLOW | Errno::ERANGE | Errno::EINVAL) => Ok(Some("not readable here".to_owned())),
        Err(errno) => Err(Error::call("fgetxattr", errno)),
    }
}
