//! The unpacked layers of an image: each is unpacked once, verified by its diffID, and then
//! shared by all images that have it on the same layers below.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use super::spec::{Descriptor, LayerCompression};
use super::store::{Form, Layer, LayerInfo, Staged, Staging, Store};
use super::subordinate::Subordinate;
use super::unpack::{self, Compression, Options, Owners, Unpacked, Whiteouts, implied};
use super::{Image, failed};
use crate::error::{Context, Result};
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
    layers_as(store, image, Form::Plain, &options())
}

/// The same with the owners that the image names, as the subordinate ids of this caller.
///
/// # Errors
/// As [`layers`]; an owner that is none of these ids.
pub fn mapped(store: &Store, image: &Image, ids: &Subordinate) -> Result<Vec<Layer>> {
    let options = Options { owners: ids.owners(), ..options() };
    layers_as(store, image, Form::Mapped(&ids.word()), &options)
}

fn layers_as(store: &Store, image: &Image, form: Form<'_>, options: &Options) -> Result<Vec<Layer>> {
    let mut ready: Vec<Layer> = vec![];
    let parts = image.chain.iter().zip(&image.manifest.layers).zip(&image.config.rootfs.diff_ids);
    for (number, ((chain, blob), diff_id)) in parts.enumerate() {
        let layer = match store.stage(chain, form)? {
            Staged::Present(layer) => layer,
            Staged::Empty(staging) => {
                let made = unpack(store, &staging, blob, (&ready, options));
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
    let made = unpack(store, &staging, blob, (&[], &options()));
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

fn unpack(
    store: &Store,
    staging: &Staging<'_>,
    blob: &Descriptor,
    (below, options): (&[Layer], &Options),
) -> Result<Unpacked> {
    let source: Box<dyn Read> = Box::new(store.blob(&blob.digest)?);
    let tree = staging.tree().as_fd();
    let unpacked = unpack::layer(source, compression(blob)?, tree, options)?;
    let below = below.iter().map(|layer| layer.tree.as_fd());
    implied::describe(tree, &unpacked.implied, below, &options.owners)?;
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
