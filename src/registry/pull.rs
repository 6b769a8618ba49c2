//! One pull: the reference becomes a digest, the digest documents, and those name blobs. Only
//! the first step believes a registry, and only where the reference has no digest.

use super::config::Endpoint;
use super::failed;
use super::line::Line;
use super::transfer::{End, Job, Seen, Sink, Trouble};
use super::wire::What;
use crate::error::{Context, Error, Result};
use crate::image::json;
use crate::image::spec::{Descriptor, Document, Index, Manifest, MediaType, Wanted};
use crate::image::store::{Begun, Expected, Ingest, Store};
use crate::types::{Digest, ImageRef};

/// An image whose blobs are all in the store.
#[derive(Debug)]
pub struct Pulled {
    /// What the reference meant: a manifest's digest, or an index's.
    pub resolved: Digest,
    /// The manifest for this machine.
    pub manifest: Digest,
    /// The indexes that led to it, the outermost first, which is then `resolved`; they are in
    /// the store.
    pub indexes: Vec<Digest>,
}

/// What is wanted.
pub struct Ask<'a> {
    /// With its registry.
    pub image: &'a ImageRef,
    /// The machine that it is for.
    pub platform: &'a Wanted,
}

/// Brings an image into the store, and gives it no name yet.
///
/// # Errors
/// Kind `ImageFailed`: it is not there, not what was promised, or larger than it may be.
pub fn pull(ask: &Ask<'_>, line: &mut Line<'_>, store: &Store, seen: &mut dyn FnMut(Seen)) -> Result<Pulled> {
    let (resolved, top) = resolve(ask.image, line)?;
    let mut indexes = vec![];
    let (digest, bytes, manifest) = match Document::guess(&top).on(&resolved)? {
        Document::Manifest(manifest) => (resolved.clone(), top, manifest),
        Document::Index(index) => {
            indexes.push(top);
            choose(&index, ask.platform, &mut indexes, line)?
        }
    };
    let blobs = blobs_of(&manifest, line).on(&digest)?;
    fetch(&blobs, line, store, seen)?;
    store.ingest_bytes(&bytes)?;
    let indexes = indexes.iter().map(|index| Ok(store.ingest_bytes(index)?.digest)).collect::<Result<_>>()?;
    Ok(Pulled { resolved, manifest: digest, indexes })
}

/// What the reference means, and its bytes.
fn resolve(image: &ImageRef, line: &mut Line<'_>) -> Result<(Digest, Vec<u8>)> {
    if let Some(digest) = image.digest() {
        return Ok((digest.clone(), document(digest, None, line)?));
    }
    let tag = image.tag().ok_or_else(|| Error::internal("a reference without tag and digest"))?;
    let bytes = small(What::Tag(tag.to_owned()), |place| place.tags, None, line).on(image)?;
    Ok((Digest::of(&bytes), bytes))
}

/// The manifest for a machine; an index may name a further one, and that is all.
fn choose(
    index: &Index,
    platform: &Wanted,
    indexes: &mut Vec<Vec<u8>>,
    line: &mut Line<'_>,
) -> Result<(Digest, Vec<u8>, Manifest)> {
    let mut entry = platform.choose(index)?.clone();
    if entry.kind()? == MediaType::Index {
        let bytes = document(&entry.digest, Some(entry.size), line)?;
        entry = platform.choose(&Index::parse(&bytes).on(&entry.digest)?)?.clone();
        indexes.push(bytes);
    }
    if entry.kind()? != MediaType::Manifest {
        return Err(failed("indexes within indexes name no manifest").object(&entry.digest));
    }
    let bytes = document(&entry.digest, Some(entry.size), line)?;
    let manifest = Manifest::parse(&bytes).on(&entry.digest)?;
    Ok((entry.digest, bytes, manifest))
}

/// A document by its digest, whoever gives it.
pub fn document(digest: &Digest, size: Option<u64>, line: &mut Line<'_>) -> Result<Vec<u8>> {
    if size.is_some_and(|size| size > json::LARGEST as u64) {
        return Err(failed(format!("is larger than {} bytes", json::LARGEST)).object(digest));
    }
    small(What::Manifest(digest.to_string()), |_| true, Some((digest, size)), line).on(digest)
}

/// The document of a tag, where there is one.
pub fn tagged(tag: &str, line: &mut Line<'_>) -> Result<Vec<u8>> {
    small(What::Tag(tag.to_owned()), |place| place.tags, None, line).on(tag)
}

/// A small blob by its digest.
pub fn small_blob(descriptor: &Descriptor, line: &mut Line<'_>) -> Result<Vec<u8>> {
    let what = What::Blob { digest: descriptor.digest.to_string(), offset: 0 };
    small(what, |_| true, Some((&descriptor.digest, Some(descriptor.size))), line).on(&descriptor.digest)
}

fn small(
    what: What,
    may: impl Fn(&Endpoint) -> bool,
    expected: Option<(&Digest, Option<u64>)>,
    line: &mut Line<'_>,
) -> Result<Vec<u8>> {
    line.first(may, &mut |_| {}, |batch| {
        let mut bytes = Bytes(vec![]);
        batch.run(&mut [Job { what: Box::new(|_| what.clone()), sink: &mut bytes }])?;
        match expected {
            Some((_, Some(size))) if size != bytes.0.len() as u64 => {
                Err(Trouble::There(failed(format!("has {} bytes, and {size} were promised", bytes.0.len()))))
            }
            Some((digest, _)) if Digest::of(&bytes.0) != *digest => {
                Err(Trouble::There(failed(format!("has the digest {}", Digest::of(&bytes.0)))))
            }
            _ => Ok(bytes.0),
        }
    })
}

struct Bytes(Vec<u8>);

impl Sink for Bytes {
    fn begin(&mut self) -> Result<u64> {
        self.0.clear();
        Ok(0)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        if self.0.len() + bytes.len() > json::LARGEST {
            return Err(failed(format!("is larger than {} bytes", json::LARGEST)));
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn is_whole(&self) -> Option<bool> {
        None
    }

    fn end(&mut self) -> Result<End> {
        Ok(End::Done)
    }
}

/// The blobs that a manifest names, each once, within the limits.
fn blobs_of(manifest: &Manifest, line: &Line<'_>) -> Result<Vec<Descriptor>> {
    let limits = line.limits();
    let mut blobs: Vec<Descriptor> = vec![];
    let mut total = 0_u64;
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        if blobs.iter().any(|known| known.digest == blob.digest) {
            continue;
        }
        if blob.size > limits.blob {
            return Err(failed(format!("is larger than {} bytes", limits.blob)).object(&blob.digest));
        }
        total = total.saturating_add(blob.size);
        blobs.push(blob.clone());
    }
    blobs.sort_by(|one, other| one.digest.cmp(&other.digest));
    match total > limits.image {
        true => Err(failed(format!("needs {total} bytes, and {} are allowed", limits.image))),
        false => Ok(blobs),
    }
}

/// What is missing comes side by side, in the order of the digests: two pulls of the same
/// blobs then never wait for each other.
fn fetch(blobs: &[Descriptor], line: &mut Line<'_>, store: &Store, seen: &mut dyn FnMut(Seen)) -> Result<()> {
    line.first(
        |_| true,
        seen,
        |batch| {
            let mut coming = vec![];
            for blob in blobs {
                coming.extend(Blob::begin(blob, store)?);
            }
            let missing = |blob: &Blob<'_>| blob.expected.size - blob.offset().min(blob.expected.size);
            (batch.seen)(Seen::Wanted(coming.iter().map(missing).sum()));
            let jobs = coming.iter_mut().map(|blob| {
                let digest = blob.expected.digest.to_string();
                let what = move |offset| What::Blob { digest: digest.clone(), offset };
                Job { what: Box::new(what), sink: blob }
            });
            batch.run(&mut jobs.collect::<Vec<_>>())
        },
    )?;
    seen(Seen::Over);
    Ok(())
}

/// A blob on its way into the store.
struct Blob<'s> {
    store: &'s Store,
    expected: Descriptor,
    ingest: Option<Ingest<'s>>,
    /// Whether it goes on where an earlier pull, or another address, stopped: its beginning may
    /// then be a stranger's.
    resumed: bool,
}

impl<'s> Blob<'s> {
    fn begin(expected: &Descriptor, store: &'s Store) -> Result<Option<Self>> {
        match store.begin(Expected::by(expected))? {
            Begun::Present(_) => Ok(None),
            Begun::Missing(ingest) => {
                let resumed = ingest.offset() > 0;
                Ok(Some(Self { store, expected: expected.clone(), ingest: Some(ingest), resumed }))
            }
        }
    }

    fn offset(&self) -> u64 {
        self.ingest.as_ref().map_or(0, Ingest::offset)
    }
}

impl Sink for Blob<'_> {
    fn begin(&mut self) -> Result<u64> {
        Ok(self.offset())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.ingest.as_mut().map_or(Ok(()), |ingest| ingest.write(bytes))
    }

    fn is_whole(&self) -> Option<bool> {
        Some(self.ingest.is_none() || self.offset() == self.expected.size)
    }

    fn end(&mut self) -> Result<End> {
        let Some(ingest) = self.ingest.take() else { return Ok(End::Done) };
        match ingest.finish() {
            Ok(_) => Ok(End::Done),
            Err(_) if self.resumed => {
                // Nothing of it stayed: from its beginning, once.
                let anew = Self::begin(&self.expected, self.store)?;
                self.ingest = anew.and_then(|blob| blob.ingest);
                self.resumed = false;
                Ok(End::Again)
            }
            Err(error) => Err(error),
        }
    }
}
