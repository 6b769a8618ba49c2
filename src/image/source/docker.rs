//! What `docker save` writes: manifest.json names a configuration and layers, which are plain
//! archives under names of their own. A manifest of OCI is made for it: its layers are known
//! by their diffIDs, which are the digests of plain archives.
//! moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format".

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;

use super::tar_index::{Span, TarIndex};
use super::{Source, made};
use crate::error::{Context, Result};
use crate::image::spec::{
    Descriptor, ImageConfig, Index, LayerCompression, MOST_DESCRIPTORS, MediaType, REF_NAME,
};
use crate::image::store::Store;
use crate::image::{failed, files, json};
use crate::types::Digest;

pub(super) const MANIFEST: &str = "manifest.json";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved1 {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// An archive of Docker's.
pub(super) struct Saved {
    archive: TarIndex,
    index: Index,
    made: BTreeMap<Digest, Vec<u8>>,
    spans: BTreeMap<Digest, Span>,
}

impl Saved {
    pub(super) fn open(_store: &Store, archive: TarIndex) -> Result<Self> {
        let index =
            Index { schema_version: 2, media_type: None, manifests: vec![], annotations: BTreeMap::new() };
        let mut saved = Self { archive, index, made: BTreeMap::new(), spans: BTreeMap::new() };
        let text = saved.read(MANIFEST)?;
        let images: Vec<Saved1> = json::parse(&text).on(MANIFEST)?;
        if images.len() > MOST_DESCRIPTORS {
            return Err(failed("names too many images").object(MANIFEST));
        }
        images.iter().try_for_each(|image| saved.add(image))?;
        Ok(saved)
    }

    fn span(&self, name: &str) -> Result<Span> {
        self.archive.find(name).ok_or_else(|| failed("is missing in the archive").object(format!("{name:?}")))
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        files::read(&mut self.archive.open(self.span(name)?), json::LARGEST).on(format!("{name:?}"))
    }

    fn add(&mut self, image: &Saved1) -> Result<()> {
        let text = self.read(&image.config)?;
        let config = ImageConfig::parse(&text).on(format!("{:?}", image.config))?;
        if config.rootfs.diff_ids.len() != image.layers.len() {
            return Err(failed("names other layers than its configuration").object(MANIFEST));
        }
        let mut layers = vec![];
        for (name, diff_id) in image.layers.iter().zip(&config.rootfs.diff_ids) {
            let span = self.span(name)?;
            self.spans.insert(diff_id.clone(), span);
            let plain = MediaType::Layer(LayerCompression::Plain);
            layers.push(Descriptor::new(plain, diff_id.clone(), span.size));
        }
        let (mut descriptor, manifest) = made(Descriptor::of(MediaType::Config, &text), layers)?;
        self.made.insert(Digest::of(&text), text);
        self.made.insert(descriptor.digest.clone(), manifest);
        if let Some(name) = image.repo_tags.iter().flatten().next() {
            descriptor.annotations.insert(REF_NAME.to_owned(), name.clone());
        }
        self.index.manifests.push(descriptor);
        Ok(())
    }
}

impl Source for Saved {
    fn index(&mut self) -> Result<Index> {
        Ok(self.index.clone())
    }

    fn blob(&mut self, digest: &Digest) -> Result<Box<dyn Read + '_>> {
        if let Some(text) = self.made.get(digest) {
            return Ok(Box::new(text.as_slice()));
        }
        let missing = || failed("is missing in the archive").object(digest);
        Ok(Box::new(self.archive.open(*self.spans.get(digest).ok_or_else(missing)?)))
    }
}
