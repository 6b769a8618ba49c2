//! Where an image comes from or goes to: `oci:DIR`, `archive:FILE`, `rootfs:FILE`, `dir:DIR`;
//! and what `--image` takes: one of the first two, or a name.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use super::{FromOsStr, HostPath, ImageRef, refused, word};
use crate::error::Result;

/// A place of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// A directory that is an OCI layout.
    Layout(HostPath),
    /// A tar archive of an OCI layout, or of Docker's.
    Archive(HostPath),
    /// A tar archive of a root file system.
    RootFs(HostPath),
    /// A directory that is a root file system.
    Directory(HostPath),
}

impl FromOsStr for ImageSource {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        let bytes = value.as_bytes();
        let after = |prefix: &str| {
            bytes.strip_prefix(prefix.as_bytes()).map(|path| HostPath::from_os_str(OsStr::from_bytes(path)))
        };
        if let Some(path) = after("oci:") {
            return path.map(Self::Layout);
        }
        if let Some(path) = after("archive:") {
            return path.map(Self::Archive);
        }
        if let Some(path) = after("rootfs:") {
            return path.map(Self::RootFs);
        }
        match after("dir:") {
            Some(path) => path.map(Self::Directory),
            None => Err(refused(value, "one of oci:DIR, archive:FILE, rootfs:FILE, dir:DIR")),
        }
    }
}

/// What a sandbox runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageArg {
    /// An image of the store.
    Named(ImageRef),
    /// One that is brought in first.
    From(ImageSource),
}

impl FromOsStr for ImageArg {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        match ImageSource::from_os_str(value) {
            Ok(source @ (ImageSource::Layout(_) | ImageSource::Archive(_))) => Ok(Self::From(source)),
            Ok(_) => Err(refused(value, "`pinfold image import` brings it in under a name")),
            Err(error) if bytes_are_a_place(value) => Err(error),
            Err(_no_place) => word(value)?.parse().map(Self::Named),
        }
    }
}

fn bytes_are_a_place(value: &OsStr) -> bool {
    ["oci:", "archive:"].iter().any(|prefix| value.as_bytes().starts_with(prefix.as_bytes()))
}

impl fmt::Display for ImageArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(image) => image.fmt(f),
            Self::From(ImageSource::Layout(path)) => write!(f, "oci:{}", path.as_path().display()),
            Self::From(ImageSource::Archive(path)) => write!(f, "archive:{}", path.as_path().display()),
            Self::From(ImageSource::RootFs(path)) => write!(f, "rootfs:{}", path.as_path().display()),
            Self::From(ImageSource::Directory(path)) => write!(f, "dir:{}", path.as_path().display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_from_a_name() {
        let rows = [
            ("oci:/a", "oci:/a"),
            ("archive:a.tar", "archive:a.tar"),
            ("busybox", "busybox:latest"),
            ("registry.example/a:b", "registry.example/a:b"),
        ];
        for (text, shown) in rows {
            assert_eq!(ImageArg::from_os_str(text.as_ref()).unwrap().to_string(), shown);
        }
        for text in ["oci:", "archive:", "rootfs:/a", "dir:/a", "", "/a"] {
            ImageArg::from_os_str(text.as_ref()).unwrap_err();
        }
    }
}
