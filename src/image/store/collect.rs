//! What nobody needs is removed: blobs and trees that no image and no lease leads to, and
//! what was left in tmp/.

use std::collections::BTreeSet;
use std::fs::File;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::lock::{self, Hold};
use super::{Store, files, trash};
use crate::error::{Call, Context, Result};
use crate::image::spec::{Document, ImageConfig};
use crate::types::Digest;

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs.
    pub blobs: usize,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Unpacked layers.
    pub layers: usize,
    /// Things that were being made by somebody who is gone.
    pub unfinished: usize,
}

/// What is needed.
#[derive(Debug, Default)]
struct Needed {
    blobs: BTreeSet<Digest>,
    chains: BTreeSet<Digest>,
}

impl Store {
    /// Removes what is not needed. The caller holds the store alone.
    ///
    /// # Errors
    /// A document of an image that cannot be read: nothing is removed then.
    pub fn collect(&self) -> Result<Collected> {
        let needed = self.needed()?;
        let mut collected = Collected::default();
        for digest in self.blobs()?.into_iter().filter(|digest| !needed.blobs.contains(digest)) {
            collected.blob_bytes += self.find(&digest)?.map_or(0, |stored| stored.size);
            files::unlink(&self.blobs, digest.hex())?;
            collected.blobs += 1;
        }
        for chain in self.layers()?.into_iter().filter(|chain| !needed.chains.contains(chain)) {
            trash::remove(&self.layers, chain.hex(), &self.tmp)?;
            collected.layers += 1;
        }
        for (name, _) in self.mapped()?.into_iter().filter(|(_, chain)| !needed.chains.contains(chain)) {
            trash::remove_mapped(&self.dir, &name, &self.tmp)?;
            collected.layers += 1;
        }
        collected.unfinished = self.sweep()?;
        Ok(collected)
    }

    /// Removes what nobody is making any more.
    ///
    /// # Errors
    /// unlinkat(2).
    pub fn sweep(&self) -> Result<usize> {
        let mut swept = 0;
        for name in files::names(&self.tmp)? {
            let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
            let file = match files::open(&self.tmp, &name, flags) {
                Err(Errno::ENOENT) => continue,
                opened => File::from(opened.call("openat2").on(files::shown(&name))?),
            };
            if lock::try_take(&file, Hold::Exclusive)? {
                trash::remove(&self.tmp, &name, &self.tmp)?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    fn needed(&self) -> Result<Needed> {
        let mut needed = Needed::default();
        let (manifests, layers) = self.leased()?;
        needed.chains.extend(layers);
        // A lease outlives its image's name, and perhaps, after an earlier run, its blobs.
        for manifest in manifests {
            if self.find(&manifest)?.is_some() {
                self.needed_by(&manifest, &mut needed)?;
            }
        }
        for entry in self.images()? {
            self.needed_by(&entry.digest, &mut needed)?;
            needed.blobs.extend(entry.indexes);
        }
        Ok(needed)
    }

    fn needed_by(&self, digest: &Digest, needed: &mut Needed) -> Result<()> {
        needed.blobs.insert(digest.clone());
        let Document::Manifest(manifest) = Document::guess(&self.document(digest)?).on(digest)? else {
            return Ok(());
        };
        needed.blobs.extend(manifest.layers.iter().map(|layer| layer.digest.clone()));
        needed.blobs.insert(manifest.config.digest.clone());
        let config =
            ImageConfig::parse(&self.document(&manifest.config.digest)?).on(&manifest.config.digest)?;
        needed.chains.extend(config.chain());
        Ok(())
    }
}
