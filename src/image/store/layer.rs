//! Unpacked layers: one tree for each chain, in the form that overlayfs stacks.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::stat::fstat;
use serde::{Deserialize, Serialize};

use super::lock::{self, Hold};
use super::{Store, failed, files, trash};
use crate::error::{Call, Context, Error, Result};
use crate::image::json;
use crate::types::Digest;

const INFO: &str = "layer.json";
const TREE: &str = "tree";
const FORMAT_VERSION: u32 = 1;

/// What is known of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// The version of this record.
    pub version: u32,
    /// Of its archive, uncompressed.
    pub diff_id: Digest,
    /// Bytes of all files.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
    /// Device nodes of the archive that the tree does not have; older records do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices_left_out: Option<u64>,
}

impl LayerInfo {
    /// A record of this version.
    pub fn new(diff_id: Digest, bytes: u64, entries: u64) -> Self {
        Self { version: FORMAT_VERSION, diff_id, bytes, entries, devices_left_out: None }
    }
}

/// An unpacked layer.
#[derive(Debug)]
pub struct Layer {
    /// The chain that it ends.
    pub chain: Digest,
    /// What is known of it.
    pub info: LayerInfo,
    /// The directory.
    pub tree: OwnedFd,
}

/// A layer that is wanted.
#[derive(Debug)]
pub enum Staged<'s> {
    /// It is there.
    Present(Layer),
    /// Its tree is to be filled.
    Empty(Staging<'s>),
}

/// A tree in the making. It is locked: another that wants the same waits. Dropped before
/// [`Staging::publish`], it is swept by the next who wants it, or by `image gc`.
#[derive(Debug)]
pub struct Staging<'s> {
    store: &'s Store,
    /// Known before, or learned by unpacking.
    chain: Option<Digest>,
    name: String,
    dir: File,
    tree: OwnedFd,
}

impl Store {
    /// The tree of a chain, where it is unpacked.
    ///
    /// # Errors
    /// Something else has its name, or it is of a newer version.
    pub fn layer(&self, chain: &Digest) -> Result<Option<Layer>> {
        let Some(dir) = files::open_dir(&self.layers, chain.hex())? else { return Ok(None) };
        let incomplete = || failed("the unpacked layer is damaged").object(chain);
        let mut file = files::open_file(&dir, INFO)?.ok_or_else(incomplete)?;
        let info: LayerInfo = json::parse(&files::read(&mut file, 4096)?).on(chain)?;
        if info.version != FORMAT_VERSION {
            let newer = format!("is an unpacked layer of version {}, made by a newer pinfold", info.version);
            return Err(Error::setup(newer).object(chain));
        }
        let tree = files::open_dir(&dir, TREE)?.ok_or_else(incomplete)?;
        Ok(Some(Layer { chain: chain.clone(), info, tree }))
    }

    /// All chains that are unpacked.
    ///
    /// # Errors
    /// A name that is no chain's.
    pub fn layers(&self) -> Result<Vec<Digest>> {
        let names = files::names(&self.layers)?;
        let chain = |name: &std::ffi::OsString| {
            let digits = name.to_str().unwrap_or_default();
            Digest::from_hex(digits).map_err(|_what| failed("is no layer").object(files::shown(name)))
        };
        names.iter().map(chain).collect()
    }

    /// An empty directory for the tree of a chain, or the tree that is there.
    ///
    /// # Errors
    /// It cannot be made, emptied or locked.
    pub fn stage(&self, chain: &Digest) -> Result<Staged<'_>> {
        let name = format!("layer-{}", chain.hex());
        loop {
            if let Some(layer) = self.layer(chain)? {
                return Ok(Staged::Present(layer));
            }
            let dir = File::from(files::make_dir(&self.tmp, &name)?);
            lock::take(&dir, Hold::Exclusive)?;
            // Its maker may have finished it, or a sweep taken it away, before the lock came.
            let named = files::open_dir(&self.tmp, &name)?;
            let inode = |dir: &dyn AsFd| Ok::<_, Error>(fstat(dir.as_fd()).call("fstat")?.st_ino);
            let same = match &named {
                Some(named) => inode(named)? == inode(&dir)?,
                None => false,
            };
            if same {
                trash::empty(&dir, &self.tmp)?;
                let tree = files::make_dir(&dir, TREE)?;
                return Ok(Staged::Empty(Staging {
                    store: self,
                    chain: Some(chain.clone()),
                    name,
                    dir,
                    tree,
                }));
            }
        }
    }

    /// An empty directory for the lowest layer of an image that is being made: its chain is
    /// its diffID, which is not known before.
    ///
    /// # Errors
    /// As [`Self::stage`].
    pub fn stage_unknown(&self) -> Result<Staging<'_>> {
        let name = files::random_name("layer-")?;
        let dir = File::from(files::make_dir(&self.tmp, &name)?);
        lock::take(&dir, Hold::Exclusive)?;
        let tree = files::make_dir(&dir, TREE)?;
        Ok(Staging { store: self, chain: None, name, dir, tree })
    }
}

impl Staging<'_> {
    /// The empty directory.
    pub fn tree(&self) -> &OwnedFd {
        &self.tree
    }

    /// Gives the tree its name.
    ///
    /// # Errors
    /// The disk is full.
    pub fn publish(self, info: &LayerInfo) -> Result<Layer> {
        let chain = self.chain.as_ref().unwrap_or(&info.diff_id);
        let content = serde_json::to_vec(info).map_err(|error| Error::internal(error.to_string()))?;
        files::replace(&self.dir, INFO, &content)?;
        // One call for all files of the tree: before the name is on disk, they are.
        nix::unistd::syncfs(&self.dir).call("syncfs").on(chain)?;
        if !files::rename_new(&self.store.tmp, &self.name, &self.store.layers, chain.hex())? {
            trash::remove(&self.store.tmp, &self.name, &self.store.tmp)?;
        }
        nix::unistd::fsync(&self.store.layers).call("fsync").on("layers")?;
        self.store.layer(chain)?.ok_or_else(|| failed("is gone at once").object(chain))
    }

    /// Removes what was made.
    ///
    /// # Errors
    /// unlinkat(2).
    pub fn discard(self) -> Result<()> {
        trash::remove(&self.store.tmp, &self.name, &self.store.tmp)
    }
}
