//! The unpacked layers of an image: each is unpacked once, verified by its diffID, and then
//! shared by all images that have it on the same layers below.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, futimens};
use nix::sys::time::TimeSpec;

use super::pack::Attributes;
use super::spec::{Descriptor, LayerCompression};
use super::store::{Layer, LayerInfo, Staged, Staging, Store};
use super::unpack::{self, Compression, Options, Owners, Unpacked, Whiteouts};
use super::{Image, failed, files};
use crate::error::{Call, Context, Result};
use crate::sys;
use crate::types::Digest;

/// What unpacking decides here: overlayfs of a user namespace reads `user.overlay.*`; device
/// nodes are left out, since no root of pinfold's honours one.
pub fn options() -> Options {
    let owners = match nix::unistd::geteuid().is_root() {
        true => Owners::Keep,
        false => Owners::Caller,
    };
    Options { owners, whiteouts: Whiteouts::Overlay { userxattr: true }, ..Options::default() }
}

/// The layers of an image, the lowest first; those that are missing are unpacked.
///
/// # Errors
/// A layer that is damaged, breaks a rule or a limit, or is not what the configuration says:
/// nothing of it stays.
pub fn layers(store: &Store, image: &Image) -> Result<Vec<Layer>> {
    let mut ready: Vec<Layer> = vec![];
    let parts = image.chain.iter().zip(&image.manifest.layers).zip(&image.config.rootfs.diff_ids);
    for (number, ((chain, blob), diff_id)) in parts.enumerate() {
        let layer = match store.stage(chain)? {
            Staged::Present(layer) => layer,
            Staged::Empty(staging) => {
                let made = unpack(store, &staging, blob, &ready);
                let made = made.and_then(|unpacked| verify(unpacked, Some(blob), diff_id));
                finish(staging, made).at(format!("layer {} {}", number + 1, blob.digest))?
            }
        };
        if layer.info.diff_id != *diff_id {
            return Err(failed("the unpacked layer is another one").object(chain));
        }
        ready.push(layer);
    }
    Ok(ready)
}

/// Unpacks a layer by which an image is made: its diffID is learned by that.
///
/// # Errors
/// As [`layers`].
pub fn first_layer(store: &Store, blob: &Descriptor) -> Result<Layer> {
    let staging = store.stage_unknown()?;
    let made = unpack(store, &staging, blob, &[]);
    let made = made.and_then(|unpacked| {
        let diff_id = Digest::from_bytes(unpacked.diff_id);
        verify(unpacked, Some(blob), &diff_id)
    });
    finish(staging, made)
}

/// Fills `directory` with all layers of an image, one over the other.
///
/// # Errors
/// As [`layers`].
pub fn flatten(store: &Store, image: &Image, directory: &OwnedFd) -> Result<()> {
    let options = Options { whiteouts: Whiteouts::Apply, ..options() };
    for (number, (blob, diff_id)) in
        image.manifest.layers.iter().zip(&image.config.rootfs.diff_ids).enumerate()
    {
        let at = format!("layer {} {}", number + 1, blob.digest);
        let source = store.blob(&blob.digest)?;
        let unpacked = unpack::layer(source, compression(blob)?, directory.as_fd(), &options).at(&at)?;
        verify(unpacked, Some(blob), diff_id).at(at)?;
    }
    Ok(())
}

fn unpack(store: &Store, staging: &Staging<'_>, blob: &Descriptor, below: &[Layer]) -> Result<Unpacked> {
    let source: Box<dyn Read> = Box::new(store.blob(&blob.digest)?);
    let unpacked = unpack::layer(source, compression(blob)?, staging.tree().as_fd(), &options())?;
    for path in &unpacked.implied {
        describe_implied(staging.tree(), path, below).on(files::shown(path.as_os_str()))?;
    }
    Ok(unpacked)
}

fn verify(unpacked: Unpacked, blob: Option<&Descriptor>, diff_id: &Digest) -> Result<LayerInfo> {
    let found = Digest::from_bytes(unpacked.diff_id);
    if let Some(blob) = blob
        && (Digest::from_bytes(unpacked.blob_digest) != blob.digest || unpacked.blob_bytes != blob.size)
    {
        return Err(failed("the blob was changed in the store"));
    }
    match found == *diff_id {
        // Fifos are kept, so that only devices can be missing.
        true => Ok(LayerInfo {
            devices_left_out: Some(unpacked.skipped),
            ..LayerInfo::new(found, unpacked.bytes, unpacked.entries)
        }),
        false => {
            Err(failed(format!("its archive has the digest {found}, and the configuration says {diff_id}")))
        }
    }
}

fn finish(staging: Staging<'_>, made: Result<LayerInfo>) -> Result<Layer> {
    match made {
        Ok(info) => staging.publish(&info),
        Err(error) => {
            staging.discard()?;
            Err(error)
        }
    }
}

fn compression(blob: &Descriptor) -> Result<Compression> {
    Ok(match blob.compression()? {
        LayerCompression::Plain => Compression::None,
        LayerCompression::Gzip => Compression::Gzip,
        LayerCompression::Zstd => Compression::Zstd,
    })
}

/// A directory that a layer only implies is, in the stack, the one of the layers below: its
/// own attributes would hide theirs.
fn describe_implied(tree: &OwnedFd, path: &Path, below: &[Layer]) -> Result<()> {
    let Some(found) = below.iter().rev().find_map(|layer| attributes(&layer.tree, path).transpose()) else {
        return Ok(());
    };
    let Some(Described { stat, kept }) = found? else { return Ok(()) };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let directory = match files::open(tree, at_least_dot(path), flags) {
        // A later entry of the layer took its place.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
        opened => opened.call("openat2")?,
    };
    if nix::unistd::geteuid().is_root() {
        sys::file::fchown(directory.as_fd(), stat.st_uid, stat.st_gid).call("fchown")?;
    }
    for (name, value) in &kept {
        sys::xattr::fsetxattr(directory.as_fd(), name, value).call("fsetxattr")?;
    }
    fchmod(&directory, Mode::from_bits_truncate(stat.st_mode)).call("fchmod")?;
    // Last: nothing is made in it any more.
    let mtime = TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec);
    futimens(&directory, &TimeSpec::UTIME_OMIT, &mtime).call("utimensat")
}

/// What a directory has.
struct Described {
    stat: FileStat,
    /// `user.*`; the marks of overlayfs are each layer's own.
    kept: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What the next layer below says: `Some(None)` that there is no such directory any more.
fn attributes(tree: &OwnedFd, path: &Path) -> Result<Option<Option<Described>>> {
    match files::open(tree, at_least_dot(path), OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
        Ok(found) => {
            let kept = Attributes::of(&found)?.kept;
            Ok(Some(Some(Described { stat: fstat(&found).call("fstat")?, kept })))
        }
        // Who is not root owns all of it: a mode that lets the owner not read lets nobody read.
        Err(Errno::EACCES) => {
            let found = files::open(tree, at_least_dot(path), OFlag::O_PATH | OFlag::O_DIRECTORY);
            let stat = fstat(found.call("openat2")?).call("fstat")?;
            Ok(Some(Some(Described { stat, kept: vec![] })))
        }
        Err(Errno::ENOENT) => Ok(None),
        // A whiteout, a file, a link: the layers further below are hidden by it.
        Err(Errno::ENOTDIR | Errno::ELOOP) => Ok(Some(None)),
        Err(errno) => Err(errno).call("openat2"),
    }
}

fn at_least_dot(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}
