//! The unpacking itself, in the calling process: decompress, hash, read entries, make files.

use std::io::Read;
use std::os::fd::BorrowedFd;

use super::decompress::Decompressed;
use super::tar::Archive;
use super::tree::{Finished, Tree};
use super::{Compression, Options, pipeline};
use crate::error::{Error, Kind, Result};

/// What came of a layer.
pub struct Outcome {
    /// SHA-256 of the decompressed stream.
    pub diff_id: [u8; 32],
    /// The tree.
    pub finished: Finished,
}

/// Unpacks without any confinement, and leaves what was made behind after an error: the body
/// of the confined process, and what fuzzing and tables of tests call. Directories that only
/// CAP_SYS_ADMIN may mark are named in the outcome.
///
/// # Errors
/// As [`super::layer`].
pub fn unpack(
    blob: impl Read + Send,
    compression: Compression,
    staging: BorrowedFd<'_>,
    options: &Options,
) -> Result<Outcome> {
    let damaged = |error: std::io::Error| Error::new(Kind::ImageFailed, error.to_string());
    std::thread::scope(|scope| {
        // Reading the first bytes may wait; it is done in this thread, so that an error needs no other.
        let stream = Decompressed::new(blob, compression, options.limits).map_err(damaged)?;
        let (stream, hasher) = pipeline::start(scope, stream).map_err(damaged)?;
        let finished = entries(Archive::new(stream, options.limits), staging, options)?;
        let diff_id = hasher.join().map_err(|_panic| Error::internal("the hashing thread ended"))?;
        Ok(Outcome { diff_id, finished })
    })
}

fn entries<R: std::io::BufRead>(
    mut archive: Archive<R>,
    staging: BorrowedFd<'_>,
    options: &Options,
) -> Result<Finished> {
    let mut tree = Tree::new(staging, options)?;
    while let Some(entry) = archive.entry()? {
        let made = tree.apply(&entry, &mut |take| archive.content(take));
        made.map_err(|error| archive.name_entry(error))?;
    }
    tree.finish()
}
