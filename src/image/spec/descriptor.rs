//! A descriptor: what a blob is, its digest and its size. Media types of OCI and of Docker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Platform;
use crate::error::Result;
use crate::image::failed;
use crate::types::Digest;

/// The name of an image in an index of a layout (image-spec, annotations.md).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// image-spec, descriptor.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// For which machine, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Free words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The kinds of blobs that an image is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// A list of manifests.
    Index,
    /// One image.
    Manifest,
    /// Its configuration.
    Config,
    /// A tar archive.
    Layer(LayerCompression),
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerCompression {
    /// Not at all.
    Plain,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl MediaType {
    /// As OCI writes it.
    pub fn oci(self) -> &'static str {
        match self {
            Self::Index => "application/vnd.oci.image.index.v1+json",
            Self::Manifest => "application/vnd.oci.image.manifest.v1+json",
            Self::Config => "application/vnd.oci.image.config.v1+json",
            Self::Layer(LayerCompression::Plain) => "application/vnd.oci.image.layer.v1.tar",
            Self::Layer(LayerCompression::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Layer(LayerCompression::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    /// Reads OCI's word or Docker's.
    ///
    /// # Errors
    /// Another kind of blob, or a layer that may not be distributed and lies elsewhere.
    pub fn parse(text: &str) -> Result<Self> {
        const ALL: [MediaType; 6] = [
            MediaType::Index,
            MediaType::Manifest,
            MediaType::Config,
            MediaType::Layer(LayerCompression::Plain),
            MediaType::Layer(LayerCompression::Gzip),
            MediaType::Layer(LayerCompression::Zstd),
        ];
        let docker = match text {
            "application/vnd.docker.distribution.manifest.list.v2+json" => Some(Self::Index),
            "application/vnd.docker.distribution.manifest.v2+json" => Some(Self::Manifest),
            "application/vnd.docker.container.image.v1+json" => Some(Self::Config),
            "application/vnd.docker.image.rootfs.diff.tar" => Some(Self::Layer(LayerCompression::Plain)),
            "application/vnd.docker.image.rootfs.diff.tar.gzip" => Some(Self::Layer(LayerCompression::Gzip)),
            "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Self::Layer(LayerCompression::Zstd)),
            _ => None,
        };
        let known = docker.or_else(|| ALL.into_iter().find(|known| known.oci() == text));
        known.ok_or_else(|| {
            let shown: String = text.chars().take(128).collect();
            failed("a media type that pinfold does not take").object(format!("{shown:?}"))
        })
    }
}

impl Descriptor {
    /// A descriptor of some bytes.
    pub fn of(kind: MediaType, bytes: &[u8]) -> Self {
        let size = bytes.len() as u64;
        Self::new(kind, Digest::of(bytes), size)
    }

    /// A descriptor of a blob whose digest and size are known.
    pub fn new(kind: MediaType, digest: Digest, size: u64) -> Self {
        Self { media_type: kind.oci().to_owned(), digest, size, platform: None, annotations: BTreeMap::new() }
    }

    /// What it is.
    ///
    /// # Errors
    /// As [`MediaType::parse`].
    pub fn kind(&self) -> Result<MediaType> {
        MediaType::parse(&self.media_type)
    }

    /// How the layer is compressed that it stands for.
    ///
    /// # Errors
    /// It is no layer.
    pub fn compression(&self) -> Result<LayerCompression> {
        match self.kind()? {
            MediaType::Layer(compression) => Ok(compression),
            _ => Err(failed("is no layer").object(&self.digest)),
        }
    }

    /// The name that an index of a layout gives it.
    pub fn ref_name(&self) -> Option<&str> {
        self.annotations.get(REF_NAME).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_ocis_and_dockers() {
        let rows = [
            ("application/vnd.oci.image.index.v1+json", Some(MediaType::Index)),
            ("application/vnd.docker.distribution.manifest.list.v2+json", Some(MediaType::Index)),
            ("application/vnd.oci.image.layer.v1.tar+zstd", Some(MediaType::Layer(LayerCompression::Zstd))),
            (
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                Some(MediaType::Layer(LayerCompression::Gzip)),
            ),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", None),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar", None),
            ("application/vnd.docker.distribution.manifest.v1+prettyjws", None),
            ("application/json", None),
            ("", None),
        ];
        for (text, kind) in rows {
            assert_eq!(MediaType::parse(text).ok(), kind, "{text}");
        }
    }
}
