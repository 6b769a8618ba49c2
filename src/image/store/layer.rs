//! Unpacked layers: one tree for each chain, in the form that overlayfs stacks.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
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

/// Which tree of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form<'m> {
    /// With the owners that the image names; of a user all of it is the user's.
    Plain,
    /// With the owners that the image names, by a user's maps, which this word tells from others.
    Mapped(&'m str),
}

/// Where those are that are [`Form::Mapped`]; made by the first.
pub(super) const MAPPED: &str = "mapped";

impl Form<'_> {
    fn title(self, chain: &Digest) -> String {
        match self {
            Self::Plain => chain.hex().to_owned(),
            Self::Mapped(maps) => format!("{}-{maps}", chain.hex()),
        }
    }

    /// While it is being made: [`trash`] knows by this whose the files in it are.
    fn draft(self, chain: &Digest) -> String {
        let start = if self == Self::Plain { "layer-" } else { trash::MAPPED };
        start.to_owned() + &self.title(chain)
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
    form: Form<'s>,
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
        self.layer_as(chain, Form::Plain)
    }

    fn layer_as(&self, chain: &Digest, form: Form<'_>) -> Result<Option<Layer>> {
        let mapped = match form {
            Form::Plain => None,
            Form::Mapped(_) => files::open_dir(&self.dir, MAPPED)?,
        };
        if mapped.is_none() && form != Form::Plain {
            return Ok(None);
        }
        let place = mapped.as_ref().unwrap_or(&self.layers);
        let Some(dir) = files::open_dir(place, form.title(chain))? else { return Ok(None) };
        let incomplete = || failed("the unpacked layer is damaged").object(chain);
        let mut file = files::open_file(&dir, INFO)?.ok_or_else(incomplete)?;
        let info: LayerInfo = json::parse(&files::read(&mut file, 4096)?).on(chain)?;
        if info.version != FORMAT_VERSION {
            let newer = format!("is an unpacked layer of version {}, made by a newer pinfold", info.version);
            return Err(Error::setup(newer).object(chain));
        }
        // Its owner and mode are the image's: the caller may have no right to look into it.
        let flags = if form == Form::Plain { OFlag::O_RDONLY } else { OFlag::O_PATH };
        let tree = match files::open(&dir, TREE, flags | OFlag::O_DIRECTORY) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Err(incomplete()),
            tree => tree.call("openat2").on(chain)?,
        };
        Ok(Some(Layer { chain: chain.clone(), info, tree }))
    }

    /// Bytes of all files of a chain's trees.
    ///
    /// # Errors
    /// As [`Self::layer`].
    pub fn tree_bytes(&self, chain: &Digest) -> Result<u64> {
        let mut bytes = self.layer(chain)?.map_or(0, |layer| layer.info.bytes);
        for (name, _) in self.mapped()?.into_iter().filter(|(_, of)| of == chain) {
            let maps = name.to_str().and_then(|name| name.split_once('-')).map_or("", |(_, maps)| maps);
            bytes += self.layer_as(chain, Form::Mapped(maps))?.map_or(0, |layer| layer.info.bytes);
        }
        Ok(bytes)
    }

    /// All chains that are unpacked.
    ///
    /// # Errors
    /// A name that is no chain's.
    pub fn layers(&self) -> Result<Vec<Digest>> {
        files::names(&self.layers)?.iter().map(|name| chain_of(name, name.to_str())).collect()
    }

    /// The names of all trees whose owners are mapped, with their chains.
    ///
    /// # Errors
    /// A name that is none.
    pub(super) fn mapped(&self) -> Result<Vec<(OsString, Digest)>> {
        let Some(dir) = files::open_dir(&self.dir, MAPPED)? else { return Ok(vec![]) };
        let chain = |name: OsString| {
            let chain = chain_of(&name, name.to_str().and_then(|name| name.split('-').next()))?;
            Ok((name, chain))
        };
        files::names(&dir)?.into_iter().map(chain).collect()
    }

    /// An empty directory for the tree of a chain, or the tree that is there.
    ///
    /// # Errors
    /// It cannot be made, emptied or locked.
    pub fn stage<'s>(&'s self, chain: &Digest, form: Form<'s>) -> Result<Staged<'s>> {
        let name = form.draft(chain);
        loop {
            if let Some(layer) = self.layer_as(chain, form)? {
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
                trash::empty(&dir, form, &self.tmp)?;
                let tree = files::make_dir(&dir, TREE)?;
                return Ok(Staged::Empty(Staging {
                    store: self,
                    chain: Some(chain.clone()),
                    form,
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
        Ok(Staging { store: self, chain: None, form: Form::Plain, name, dir, tree })
    }
}

/// `digits` are the part of a name that says which chain it is.
fn chain_of(name: &OsStr, digits: Option<&str>) -> Result<Digest> {
    Digest::from_hex(digits.unwrap_or_default())
        .map_err(|_what| failed("is no layer").object(files::shown(name)))
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
        let mapped = match self.form {
            Form::Plain => None,
            Form::Mapped(_) => Some(files::make_dir(&self.store.dir, MAPPED)?),
        };
        let place = mapped.as_ref().unwrap_or(&self.store.layers);
        if !files::rename_new(&self.store.tmp, &self.name, place, &self.form.title(chain))? {
            trash::remove(&self.store.tmp, &self.name, &self.store.tmp)?;
        }
        nix::unistd::fsync(place).call("fsync").on("layers")?;
        self.store.layer_as(chain, self.form)?.ok_or_else(|| failed("is gone at once").object(chain))
    }

    /// Removes what was made.
    ///
    /// # Errors
    /// unlinkat(2).
    pub fn discard(self) -> Result<()> {
        trash::remove(&self.store.tmp, &self.name, &self.store.tmp)
    }
}
