//! A directory of the caller's as a layer of the store.

use super::open_directory;
use crate::error::{Call, Context, Error, Result};
use crate::image::pack::{Form, Packed, Times, pack};
use crate::image::spec::{Descriptor, LayerCompression, MediaType};
use crate::image::store::{Begun, Expected, Ingest, Store, Stored};
use crate::types::{Digest, HostPath};

/// The most bytes of a layer that is made here.
pub(super) const LARGEST_LAYER: u64 = 16 << 30;

/// A directory becomes a layer that is not compressed: its digest is its diffID, and depends
/// on no compressor's version.
pub(super) fn layer(store: &Store, path: &HostPath, form: Form, verb: &str) -> Result<(Descriptor, Digest)> {
    let directory = open_directory(path.as_path())?;
    let unknown = Expected { digest: None, size: None, limit: LARGEST_LAYER };
    let Begun::Missing(ingest) = store.begin(unknown)? else {
        return Err(Error::internal("a blob without a digest is there"));
    };
    let mut writer = Writer { ingest, failure: None };
    let mut buffered = std::io::BufWriter::with_capacity(1 << 18, &mut writer);
    let packed = pack(&directory, &mut buffered, times()?, form);
    let flushed = std::io::Write::flush(&mut buffered).call("write");
    drop(buffered);
    let stored = writer.finish(packed, flushed, verb).on(path.as_path().display())?;
    let layer =
        Descriptor::new(MediaType::Layer(LayerCompression::Plain), stored.digest.clone(), stored.size);
    Ok((layer, stored.digest))
}

/// An ingest as a writer; its own error is kept, which std::io cannot carry.
struct Writer<'s> {
    ingest: Ingest<'s>,
    failure: Option<Error>,
}

impl std::io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.ingest.write(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.failure = Some(error);
                Err(std::io::Error::other("the store"))
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Writer<'_> {
    fn finish(mut self, packed: Result<Packed>, flushed: Result<()>, verb: &str) -> Result<Stored> {
        if let Some(failure) = self.failure.take() {
            self.ingest.abandon()?;
            return Err(failure);
        }
        match packed.and_then(|packed| flushed.map(|()| packed)) {
            Ok(packed) => {
                if packed.skipped > 0 {
                    crate::error::warn(format_args!(
                        "image {verb}: {} devices and sockets were left out",
                        packed.skipped
                    ));
                }
                self.ingest.finish()
            }
            Err(error) => {
                self.ingest.abandon()?;
                Err(error)
            }
        }
    }
}

/// reproducible-builds.org, "SOURCE_DATE_EPOCH".
fn times() -> Result<Times> {
    match source_date_epoch()? {
        Some(latest) => Ok(Times::AtMost(latest)),
        None => Ok(Times::Kept),
    }
}

pub(super) fn source_date_epoch() -> Result<Option<u64>> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    let wrong =
        || Error::usage("is not a number of seconds").field("SOURCE_DATE_EPOCH").object(format!("{text:?}"));
    seconds.map(Some).ok_or_else(wrong)
}
