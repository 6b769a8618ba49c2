//! The documents of an image, as far as they are used: image-spec, descriptor.md, manifest.md,
//! image-index.md, config.md; Docker's image manifest version 2, schema 2.

mod config;
mod descriptor;
mod manifest;
mod platform;

pub use config::{Config, ImageConfig, RootFs};
pub use descriptor::{Descriptor, LayerCompression, MediaType, REF_NAME};
pub use manifest::{Document, Index, Manifest};
pub use platform::{Platform, Wanted};

/// The most manifests of an index, and layers of an image.
pub const MOST_DESCRIPTORS: usize = 500;
