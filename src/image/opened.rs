//! An image of the store, its documents verified again.

use super::failed;
use super::spec::{ImageConfig, Manifest};
use super::store::Store;
use crate::error::{Context, Result};
use crate::types::Digest;

/// An image whose documents are read.
#[derive(Debug, Clone)]
pub struct Image {
    /// Of its manifest: the image's identity.
    pub digest: Digest,
    /// The manifest.
    pub manifest: Manifest,
    /// The configuration.
    pub config: ImageConfig,
    /// The chain of each layer, the lowest first.
    pub chain: Vec<Digest>,
}

impl Image {
    /// Reads the documents of an image; each is what its digest says.
    ///
    /// # Errors
    /// A document that is missing, was changed, or does not fit the other.
    pub fn open(store: &Store, digest: &Digest) -> Result<Self> {
        let manifest = Manifest::parse(&store.document(digest)?).on(digest)?;
        let config = &manifest.config.digest;
        let config = ImageConfig::parse(&store.document(config)?).on(config)?;
        Self::of(digest.clone(), manifest, config).on(digest)
    }

    /// Of documents that are read.
    ///
    /// # Errors
    /// There are more or fewer layers than the configuration knows of, or none.
    pub fn of(digest: Digest, manifest: Manifest, config: ImageConfig) -> Result<Self> {
        let (blobs, known) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if blobs != known {
            return Err(failed(format!("has {blobs} layers, and its configuration knows {known}")));
        }
        if blobs == 0 {
            return Err(failed("has no layers"));
        }
        let chain = config.chain();
        Ok(Self { digest, manifest, config, chain })
    }

    /// Bytes of its blobs.
    pub fn blob_bytes(&self) -> u64 {
        let layers: u64 = self.manifest.layers.iter().map(|layer| layer.size).sum();
        layers.saturating_add(self.manifest.config.size)
    }
}
