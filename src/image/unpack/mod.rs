//! Unpacking one layer: a stream of a stranger's bytes becomes a tree.
//!
//! Implements the layer format of the OCI image specification (layer.md): tar in its ustar,
//! PAX and GNU forms, plain or compressed, with whiteouts.
//!
//! Promises: nothing outside of the staging directory changes; no link of the tree leads out;
//! what a limit forbids is an error that names entry and offset; after an error the staging
//! directory is empty.

pub mod confine;
mod decompress;
pub mod here;
pub mod implied;
mod options;
mod pipeline;
pub mod tar;
pub mod tree;

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

pub use options::{Compression, Devices, IdMap, Limits, Options, Owners, Treatment, Unpacked, Whiteouts};

use crate::error::{Call, Result};
use crate::sys;
use confine::Job;

/// Unpacks the layer that `blob` gives until its end into the directory `staging`, in a
/// confined process ([`confine`]); this one reads the blob and hashes it.
///
/// `staging` is a directory of the caller's own that nobody else writes: empty, or with
/// [`Whiteouts::Apply`] the tree of the layers below. With [`Owners::Map`] and
/// [`Owners::Caller`] it belongs to the id that 0 is mapped to.
/// The caller compares `diff_id`, `blob_digest` and `blob_bytes` with what it expects before
/// it gives the tree a name, and removes `staging` itself; after an error that is empty.
///
/// # Errors
/// Class [`Kind::ImageFailed`](crate::error::Kind): the layer is damaged, breaks a rule or a
/// limit; the object names the entry and its offset in the decompressed stream. The caller
/// names the layer ([`field`](crate::error::Error::field)). Others: the confinement cannot be set up.
pub fn layer(
    blob: impl Read,
    compression: Compression,
    staging: BorrowedFd<'_>,
    options: &Options,
) -> Result<Unpacked> {
    let done = confine::run(&Job::layer(compression, options), blob, staging, &options.owners)
        .and_then(|(report, fed)| Ok((mark_opaque(staging, &report.opaque).map(|()| report)?, fed)));
    match done {
        Ok((report, fed)) => Ok(Unpacked {
            diff_id: report.head.diff_id,
            blob_digest: fed.digest,
            blob_bytes: fed.bytes,
            entries: report.head.entries,
            bytes: report.head.bytes,
            skipped: report.head.skipped,
            implied: report
                .implied
                .into_iter()
                .map(|name| std::ffi::OsString::from_vec(name).into())
                .collect(),
            degraded: report.head.degraded,
        }),
        Err(error) => match empty(staging, &options.owners) {
            Ok(()) => Err(error),
            Err(left) => Err(error.hint(format!("what it made could not be removed: {left}"))),
        },
    }
}

/// Empties the directory `staging`, whatever a layer put into it, without following a link:
/// also what belongs to ids that the caller itself has no right to, by the maps of `owners`.
///
/// # Errors
/// The confinement cannot be set up; EIO.
pub fn empty(staging: BorrowedFd<'_>, owners: &Owners) -> Result<()> {
    confine::run(&Job::empty(), std::io::empty(), staging, owners).map(drop)
}

/// trusted.* is CAP_SYS_ADMIN's, which the unpacker does not have. The names come from a process
/// that a layer may have taken over: nothing but a directory of the tree is marked.
fn mark_opaque(staging: BorrowedFd<'_>, names: &[Vec<u8>]) -> Result<()> {
    for name in names {
        let directory = match below(staging, name) {
            // Another entry of the layer took its place, and is opaque by itself.
            Err(Errno::ENOENT | Errno::ENOTDIR) => continue,
            opened => opened.call("openat2")?,
        };
        sys::xattr::fsetxattr(directory.as_fd(), b"trusted.overlay.opaque", b"y")
            .call("fsetxattr trusted.overlay.opaque")
            .map_err(|error| error.hint("only root may write it; mount with userxattr otherwise"))?;
    }
    Ok(())
}

fn below(staging: BorrowedFd<'_>, name: &[u8]) -> nix::Result<OwnedFd> {
    let name = if name.is_empty() { b".".as_slice() } else { name };
    let resolve =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    openat2(staging, name, OpenHow::new().flags(flags).resolve(resolve))
}
