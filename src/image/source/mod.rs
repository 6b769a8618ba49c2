//! Where images come from. A source gives documents and blobs by descriptor; what it says is
//! believed only when digest and size are right.

mod archive;
mod docker;
mod layout;
mod tar_index;

pub use archive::open_archive;
pub use layout::LayoutDir;

use std::io::Read;

use super::spec::{Descriptor, Document, ImageConfig, Index, Manifest, MediaType, Wanted};
use super::store::{Expected, Store};
use super::{Image, failed, files, json};
use crate::error::{Context, Result};
use crate::types::Digest;

/// How deep indexes may lie in each other.
const DEEPEST: usize = 3;
/// The most bytes of one blob.
const LARGEST_BLOB: u64 = 16 << 30;

/// A place that has blobs.
pub trait Source {
    /// The index that everything starts from: of a layout its index.json.
    ///
    /// # Errors
    /// It cannot be read.
    fn index(&mut self) -> Result<Index>;

    /// The bytes of a blob. They are verified by who asks.
    ///
    /// # Errors
    /// There is none.
    fn blob(&mut self, digest: &Digest) -> Result<Box<dyn Read + '_>>;
}

/// An image that was brought in.
#[derive(Debug, Clone)]
pub struct Imported {
    /// It.
    pub image: Image,
    /// The name that the source has for it.
    pub name: Option<String>,
    /// The indexes that led to it, the outermost first; they are in the store.
    pub indexes: Vec<Digest>,
}

/// Brings one image into the store: the one of this name where one is given, and the one for
/// this machine. Its blobs are all there afterwards; it has no name yet.
///
/// # Errors
/// There is no such image, or several; a blob is missing or is something else.
pub fn bring_in(
    store: &Store,
    source: &mut dyn Source,
    select: Option<&str>,
    wanted: &Wanted,
) -> Result<Imported> {
    let index = source.index()?;
    let entry = select_entry(&index, select, wanted)?.clone();
    let name = entry.ref_name().map(str::to_owned);
    let (manifest, text, indexes) = manifest(source, entry, wanted)?;
    let config = document(source, &manifest.config)?;
    let config_digest = &manifest.config.digest;
    let parsed = ImageConfig::parse(&config).on(config_digest)?;
    wanted.accept(&parsed.platform)?;
    let image = Image::of(Digest::of(&text), manifest.clone(), parsed)?;
    for layer in &manifest.layers {
        small_enough(layer)?;
        store.ingest(Expected::by(layer), source.blob(&layer.digest)?.as_mut())?;
    }
    store.ingest_bytes(&config)?;
    store.ingest_bytes(&text)?;
    let indexes = indexes.iter().map(|index| Ok(store.ingest_bytes(index)?.digest)).collect::<Result<_>>()?;
    Ok(Imported { image, name, indexes })
}

fn select_entry<'i>(index: &'i Index, select: Option<&str>, wanted: &Wanted) -> Result<&'i Descriptor> {
    let names = || {
        let names: Vec<_> = index.manifests.iter().filter_map(Descriptor::ref_name).collect();
        names.join(", ")
    };
    match (select, index.manifests.as_slice()) {
        (Some(name), entries) => {
            let found = entries.iter().find(|entry| entry.ref_name() == Some(name));
            found.ok_or_else(|| failed(format!("has no image {name:?}, only: {}", names())))
        }
        (None, [only]) => Ok(only),
        (None, entries) if entries.iter().any(|entry| entry.platform.is_some()) => wanted.choose(index),
        (None, []) => Err(failed("has no image")),
        (None, _) => Err(failed(format!("has several images: {}", names())).hint("--select NAME says which")),
    }
}

/// Goes down to the manifest for this machine; with the indexes on the way.
fn manifest(
    source: &mut dyn Source,
    start: Descriptor,
    wanted: &Wanted,
) -> Result<(Manifest, Vec<u8>, Vec<Vec<u8>>)> {
    let (mut at, mut indexes) = (start, vec![]);
    for _ in 0..DEEPEST {
        let text = document(source, &at)?;
        match Document::parse(&text, at.kind().on(&at.digest)?).on(&at.digest)? {
            Document::Manifest(manifest) => return Ok((manifest, text, indexes)),
            Document::Index(index) => {
                at = wanted.choose(&index).on(&at.digest)?.clone();
                indexes.push(text);
            }
        }
    }
    Err(failed("indexes lie too deep in each other").object(&at.digest))
}

/// A small blob, verified.
fn document(source: &mut dyn Source, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let digest = &descriptor.digest;
    let text = files::read(&mut source.blob(digest)?, json::LARGEST).on(digest)?;
    if text.len() as u64 != descriptor.size {
        let text = format!("has {} bytes, and {} were promised", text.len(), descriptor.size);
        return Err(failed(text).object(digest));
    }
    match Digest::of(&text) {
        found if found == *digest => Ok(text),
        found => Err(failed(format!("has the digest {found}")).object(digest)),
    }
}

fn small_enough(layer: &Descriptor) -> Result<()> {
    match layer.size > LARGEST_BLOB {
        true => Err(failed(format!("is larger than {LARGEST_BLOB} bytes")).object(&layer.digest)),
        false => Ok(()),
    }
}

/// The descriptor of a manifest that pinfold makes itself, with its text.
fn made(config: Descriptor, layers: Vec<Descriptor>) -> Result<(Descriptor, Vec<u8>)> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::Manifest.oci().to_owned()),
        config,
        layers,
        annotations: Default::default(),
    };
    let text =
        serde_json::to_vec(&manifest).map_err(|error| crate::error::Error::internal(error.to_string()))?;
    Ok((Descriptor::of(MediaType::Manifest, &text), text))
}

/// Makes an image of `base` with one layer more, whose blob is in the store.
///
/// # Errors
/// The documents cannot be written, or do not fit each other.
pub fn of_one_more(store: &Store, base: &Image, config: &[u8], layer: Descriptor) -> Result<Image> {
    let oci = |layer: &Descriptor| Ok(Descriptor::new(layer.kind()?, layer.digest.clone(), layer.size));
    let mut layers = base.manifest.layers.iter().map(oci).collect::<Result<Vec<_>>>()?;
    layers.push(layer);
    let (descriptor, manifest) = made(Descriptor::of(MediaType::Config, config), layers)?;
    Manifest::parse(&manifest)?;
    store.ingest_bytes(config)?;
    store.ingest_bytes(&manifest)?;
    Image::open(store, &descriptor.digest)
}

/// Makes an image of one layer whose blob is in the store.
///
/// # Errors
/// The documents cannot be written.
pub fn of_one_layer(store: &Store, config: &ImageConfig, layer: Descriptor) -> Result<Image> {
    let text =
        serde_json::to_vec(config).map_err(|error| crate::error::Error::internal(error.to_string()))?;
    let (descriptor, manifest) = made(Descriptor::of(MediaType::Config, &text), vec![layer])?;
    store.ingest_bytes(&text)?;
    store.ingest_bytes(&manifest)?;
    Image::open(store, &descriptor.digest)
}
