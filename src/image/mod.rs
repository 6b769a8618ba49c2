//! Images: from a reference to trees that a root is made of.
//!
//! Everything here is written by strangers: documents are bounded and read strictly, blobs
//! count only once their digest and size were verified, and files are opened as descriptors,
//! through no link. image-spec 1.1; distribution-spec 1.1.

mod files;
pub mod json;
pub mod merged;
pub mod opened;
pub mod pack;
pub mod packages;
pub mod scan;
pub mod source;
pub mod spdx;
pub mod spec;
pub mod store;
pub mod subordinate;
pub mod trees;
pub mod unpack;
pub mod walk;

pub use opened::Image;

use crate::error::{Error, Kind};

/// An image that cannot be read, verified or unpacked.
pub(crate) fn failed(text: impl Into<String>) -> Error {
    Error::new(Kind::ImageFailed, text)
}
