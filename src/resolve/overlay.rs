//! The layers of an image as the root: trees that show the image's ids through the
//! container's map, below a tmpfs that takes mount points, and changes where they are wanted.

use super::steps::fresh_root;
use super::{Pinned, trees};
use crate::draft::{Draft, MountOptions};
use crate::error::{Context, Error, Result};
use crate::plan::{Lower, MountFrom, Overlay};

/// The root of a Draft that names an image; `layers` has the lowest first.
pub(super) fn overlay(draft: &Draft, layers: &[Pinned]) -> Result<Overlay> {
    let image = draft.root.image.as_ref().ok_or_else(|| Error::internal("a root without an image"))?;
    if layers.len() != image.layers || layers.is_empty() {
        return Err(Error::internal("a layer of the image was not opened"));
    }
    let lowers = layers.iter().rev().map(|layer| lower(draft, layer)).collect::<Result<_>>().at("--image")?;
    let upper = fresh_root(draft.root.size)?;
    Ok(Overlay { lowers, upper, attrs: draft.root.attrs_of_itself(), image: image.digest.clone() })
}

/// A layer cannot be id-mapped without privilege on the host: there everything in it belongs
/// to the caller, who is the program's user inside.
fn lower(draft: &Draft, layer: &Pinned) -> Result<Lower> {
    let options = MountOptions { bind: true, ..MountOptions::default() };
    let wish = trees::Wish { owner: &draft.root.owner, ..trees::Wish::plain(draft, &options) };
    match trees::source(layer, &wish)? {
        MountFrom::Tree(tree, _) => Ok(Lower::Tree(tree)),
        _ => trees::reopened(layer).map(Lower::Path),
    }
}
