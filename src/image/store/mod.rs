//! The store: blobs by digest, names of images, and one unpacked tree for each chain of
//! layers, which all images share.
//!
//! ```text
//! store.json          the version of this layout
//! lock                flock(2): shared by who uses or adds, exclusive for `image gc`
//! index.json          names and the digests of their manifests; index.lock for its writer
//! blobs/sha256/HEX    verified, never changed
//! layers/HEX          by chain id: layer.json and tree/
//! mapped/HEX-MAPS     the same for a user's subordinate ids
//! leases/             which layers a running sandbox needs
//! tmp/                what is being made; each thing is locked by its maker
//! ```
//!
//! A thing is made in tmp/ and gets its name in one step, on disk before that: at a crash it
//! is there in full, or not. What nobody holds in tmp/ is taken up again, or swept.
//! The directory is its owner's alone: files of images keep their owners and set-uid bits in
//! it, and nobody else may come near them.

mod blob;
mod collect;
mod index;
mod layer;
mod lease;
mod lock;
mod place;
mod trash;

pub use blob::{Begun, Expected, Ingest, Stored};
pub use collect::Collected;
pub use index::{Entry, Signature};
pub use layer::{Form, Layer, LayerInfo, Staged, Staging};
pub use lease::Lease;
pub use lock::Hold;
pub use place::default_place;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use super::{failed, files, json};
use crate::error::{Call, Context, Error, Result};

/// The version of this layout. A newer one is refused by name.
const FORMAT_VERSION: u32 = 1;
const FORMAT: &str = "store.json";

/// store.json.
#[derive(Debug, Serialize, Deserialize)]
struct Format {
    version: u32,
}

/// An opened store, locked as long as this lives.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    dir: OwnedFd,
    blobs: OwnedFd,
    layers: OwnedFd,
    leases: OwnedFd,
    tmp: OwnedFd,
    /// Its lock(2) ends with it.
    _lock: File,
}

impl Store {
    /// Opens the store at `path`, or at the default place, and makes it where it is missing.
    ///
    /// # Errors
    /// It belongs to somebody else, can be written by others, is a link, is of a newer
    /// version, or is locked until the deadline.
    pub fn open(path: Option<&Path>, hold: Hold) -> Result<Self> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => place::default_place()?,
        };
        let dir = place::open_or_make(&path)?;
        Self::in_directory(dir, path.clone(), hold).on(path.display())
    }

    fn in_directory(dir: OwnedFd, path: PathBuf, hold: Hold) -> Result<Self> {
        let lock = lock::open(&dir, "lock")?;
        check_format(&dir)?;
        lock::take(&lock, hold)?;
        write_format(&dir)?;
        let blobs = files::make_dir(&dir, "blobs")?;
        Ok(Self {
            blobs: files::make_dir(blobs, "sha256")?,
            layers: files::make_dir(&dir, "layers")?,
            leases: files::make_dir(&dir, "leases")?,
            tmp: files::make_dir(&dir, "tmp")?,
            dir,
            path,
            _lock: lock,
        })
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A private file without a name, on the filesystem of the store: for what must be read
    /// twice and comes once.
    ///
    /// # Errors
    /// open(2) with O_TMPFILE.
    pub fn nameless(&self) -> Result<File> {
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::fcntl::openat(&self.tmp, ".", flags, mode).map(File::from).call("openat").on("O_TMPFILE")
    }
}

fn check_format(dir: impl AsFd) -> Result<bool> {
    let Some(mut file) = files::open_file(&dir, FORMAT)? else { return Ok(false) };
    let format: Format = json::parse(&files::read(&mut file, 4096)?).on(FORMAT)?;
    match format.version {
        FORMAT_VERSION => Ok(true),
        newer => Err(Error::setup(format!(
            "is a store of version {newer}, made by a newer pinfold; this one knows {FORMAT_VERSION}"
        ))),
    }
}

/// Two that make a new store write the same; a directory with anything else in it is no store.
fn write_format(dir: impl AsFd) -> Result<()> {
    if check_format(&dir)? {
        return Ok(());
    }
    let foreign = |name: &&std::ffi::OsString| {
        !matches!(
            name.to_str(),
            Some(
                "lock"
                    | "store.json"
                    | "store.json.new"
                    | "index.lock"
                    | "blobs"
                    | "layers"
                    | "mapped"
                    | "leases"
                    | "tmp"
            )
        )
    };
    if let Some(name) = files::names(&dir)?.iter().find(foreign) {
        return Err(failed("is there, and the directory is no store").object(files::shown(name)));
    }
    let content = serde_json::to_vec(&Format { version: FORMAT_VERSION })
        .map_err(|error| Error::internal(error.to_string()))?;
    let guard = lock::open(&dir, "index.lock")?;
    lock::take(&guard, Hold::Exclusive)?;
    match check_format(&dir)? {
        true => Ok(()),
        false => files::replace(&dir, FORMAT, &content),
    }
}

#[cfg(test)]
mod tests;
