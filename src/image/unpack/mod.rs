//! Unpacking one layer: a stream of a stranger's bytes becomes a tree.
//!
//! Implements the layer format of the OCI image specification (layer.md): tar in its ustar,
//! PAX and GNU forms, plain or compressed, with whiteouts.
//!
//! Promises: nothing outside of the staging directory changes; no link of the tree leads out;
//! what a limit forbids is an error that names entry and offset; after an error the staging
//! directory is empty.

mod options;

use std::io::Read;
use std::os::fd::BorrowedFd;

pub use options::{Compression, Devices, IdMap, Limits, Options, Owners, Treatment, Unpacked, Whiteouts};

use crate::error::{Error, Kind, Result};

/// Unpacks the layer that `blob` gives until its end into the directory `staging`.
///
/// `staging` is a directory of the caller's own that nobody else writes: empty, or with
/// [`Whiteouts::Apply`] the tree of the layers below. With [`Owners::Map`] and
/// [`Owners::Caller`] it belongs to the id that 0 is mapped to.
/// The caller compares `diff_id`, `blob_digest` and `blob_bytes` with what it expects before
/// it gives the tree a name, and removes `staging` itself; after an error that is empty.
///
/// # Errors
/// Class [`Kind::ImageFailed`]: the layer is damaged, breaks a rule or a limit; the object
/// names the entry and its offset in the decompressed stream. The caller names the layer
/// ([`Error::field`]). Others: the confinement cannot be set up.
pub fn layer(
    blob: impl Read,
    compression: Compression,
    staging: BorrowedFd<'_>,
    options: &Options,
) -> Result<Unpacked> {
    let _ = (blob, compression, staging, options);
    Err(Error::new(Kind::Internal, "not yet"))
}

/// Empties the directory `staging`, whatever a layer put into it, without following a link:
/// also what belongs to ids that the caller itself has no right to, by the maps of `owners`.
///
/// # Errors
/// The confinement cannot be set up; EIO.
pub fn empty(staging: BorrowedFd<'_>, owners: &Owners) -> Result<()> {
    let _ = (staging, owners);
    Err(Error::new(Kind::Internal, "not yet"))
}
