//! An OCI layout in a directory: image-spec, image-layout.md. Nothing in it is followed
//! through a link: the directory may be a stranger's.

use std::io::Read;
use std::os::fd::OwnedFd;

use serde::Deserialize;

use super::Source;
use crate::error::{Context, Result};
use crate::image::spec::Index;
use crate::image::{failed, files, json};
use crate::types::Digest;

pub(super) const MARKER: &str = "oci-layout";
pub(super) const INDEX: &str = "index.json";

/// A layout.
#[derive(Debug)]
pub struct LayoutDir(OwnedFd);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

impl LayoutDir {
    /// The layout in an opened directory; `None` where it is another directory.
    ///
    /// # Errors
    /// It is of another version.
    pub fn open(dir: OwnedFd) -> Result<Option<Self>> {
        let Some(mut marker) = files::open_file(&dir, MARKER)? else { return Ok(None) };
        check_marker(&files::read(&mut marker, json::LARGEST)?)?;
        Ok(Some(Self(dir)))
    }
}

/// Refuses a version that is not known.
pub(super) fn check_marker(text: &[u8]) -> Result<()> {
    let marker: Marker = json::parse(text).on(MARKER)?;
    match marker.image_layout_version.as_str() {
        "1.0.0" => Ok(()),
        other => Err(failed(format!("is of version {other:?}, and pinfold reads 1.0.0")).object(MARKER)),
    }
}

/// Where a layout keeps a blob.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

impl Source for LayoutDir {
    fn index(&mut self) -> Result<Index> {
        let missing = || failed("is missing in the layout").object(INDEX);
        let mut file = files::open_file(&self.0, INDEX)?.ok_or_else(missing)?;
        Index::parse(&files::read(&mut file, json::LARGEST)?).on(INDEX)
    }

    fn blob(&mut self, digest: &Digest) -> Result<Box<dyn Read + '_>> {
        let missing = || failed("is missing in the layout").object(digest);
        let file = files::open_file(&self.0, blob_path(digest))?.ok_or_else(missing)?;
        Ok(Box::new(file))
    }
}
