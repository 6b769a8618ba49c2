//! Paths that cannot be mixed up: one type for the host's, one for the container's.

use std::ffi::{CStr, CString, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{FromOsStr, refused};
use crate::error::Result;

/// PATH_MAX without its final NUL (limits.h).
const LONGEST_PATH: usize = 4095;
/// NAME_MAX (limits.h).
const LONGEST_NAME: usize = 255;

/// A path on the host as the caller gave it: not empty, no NUL, every byte kept.
///
/// It says nothing of what the path leads to: that is known once `resolve/` has opened it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPath(CString);

impl HostPath {
    /// The path for a system call.
    pub fn as_c_str(&self) -> &CStr {
        &self.0
    }

    /// The path for the standard library.
    pub fn as_path(&self) -> &Path {
        as_path(&self.0)
    }
}

impl FromOsStr for HostPath {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        if value.is_empty() {
            return Err(refused(value, "a path must not be empty"));
        }
        terminated(value, value.as_bytes()).map(Self)
    }
}

/// A path inside the container: absolute, without `.`, `..`, double slashes or a trailing slash.
///
/// Normalised as text only; a symbolic link in the container may still lead elsewhere *inside*
/// it, which is why it is opened with `RESOLVE_IN_ROOT` (openat2(2)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootPath(CString);

impl RootPath {
    /// `/` itself.
    pub fn root() -> Self {
        Self(c"/".to_owned())
    }

    /// Reads a relative path as relative to `/`, as runtime-spec config.md asks for `destination`.
    ///
    /// # Errors
    /// As for [`FromOsStr`], but for the missing slash.
    pub fn anchored(value: &OsStr) -> Result<Self> {
        let mut clean = Vec::with_capacity(value.len() + 1);
        for name in value.as_bytes().split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => continue,
                b".." => return Err(refused(value, "a path inside the container must not contain \"..\"")),
                _ if name.len() > LONGEST_NAME => {
                    return Err(refused(value, "a name in a path has at most 255 bytes"));
                }
                _ => {}
            }
            clean.push(b'/');
            clean.extend_from_slice(name);
        }
        if clean.is_empty() {
            clean.push(b'/');
        }
        terminated(value, &clean).map(Self)
    }

    /// The path for a system call, with its leading slash.
    pub fn as_c_str(&self) -> &CStr {
        &self.0
    }

    /// The path for messages and comparisons; never for opening it on the host.
    pub fn as_path(&self) -> &Path {
        as_path(&self.0)
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0.as_bytes() == b"/"
    }

    /// Whether this is `other` or lies below it, by whole components.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.as_path().starts_with(other.as_path())
    }

    /// The names between the slashes, from the root down.
    pub fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.0.as_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty()).map(OsStr::from_bytes)
    }
}

impl FromOsStr for RootPath {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        if !value.as_bytes().starts_with(b"/") {
            return Err(refused(value, "a path inside the container must start with '/'"));
        }
        Self::anchored(value)
    }
}

fn as_path(text: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(text.to_bytes()))
}

fn terminated(value: &OsStr, bytes: &[u8]) -> Result<CString> {
    if bytes.len() > LONGEST_PATH {
        return Err(refused(value, "a path has at most 4095 bytes"));
    }
    CString::new(bytes).map_err(|error| refused(value, format!("a path must not contain a NUL: {error}")))
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path().display().fmt(f)
    }
}

impl fmt::Display for RootPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path().display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    fn root_path(text: &str) -> RootPath {
        RootPath::from_os_str(text.as_ref()).unwrap()
    }

    #[test]
    fn a_root_path_is_normalised_as_text() {
        let rows = [
            ("/", "/"),
            ("//", "/"),
            ("/.", "/"),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("//a//b/./c//", "/a/b/c"),
            ("/...", "/..."),
            ("/..a/b..", "/..a/b.."),
            ("/a b", "/a b"),
        ];
        for (text, expected) in rows {
            assert_eq!(root_path(text).as_path(), Path::new(expected), "{text:?}");
        }
        assert!(root_path("/.//").is_root() && !root_path("/a").is_root());
        assert_eq!(RootPath::root(), root_path("/"));
    }

    #[test]
    fn a_root_path_cannot_climb() {
        let long = format!("/{}", "a/".repeat(2048));
        let name = format!("/{}", "a".repeat(256));
        table::refuses_os::<RootPath>(&[
            ("", "start with '/'"),
            ("a", "start with '/'"),
            ("./a", "start with '/'"),
            ("/..", "\"..\""),
            ("/a/../b", "\"..\""),
            ("/a/..", "\"..\""),
            ("/a\0b", "NUL"),
            (long.as_str(), "4095"),
            (name.as_str(), "255"),
        ]);
    }

    #[test]
    fn a_relative_destination_is_anchored_at_the_root() {
        let rows = [("a", "/a"), ("a/./b", "/a/b"), ("", "/"), (".", "/"), ("/a", "/a")];
        for (text, expected) in rows {
            assert_eq!(RootPath::anchored(text.as_ref()).unwrap().as_path(), Path::new(expected), "{text:?}");
        }
        assert!(RootPath::anchored("a/../../etc".as_ref()).is_err());
    }

    #[test]
    fn a_prefix_is_whole_components() {
        assert!(root_path("/a/b").starts_with(&root_path("/a")));
        assert!(root_path("/a").starts_with(&RootPath::root()));
        assert!(!root_path("/ab").starts_with(&root_path("/a")));
        assert_eq!(root_path("/a/b").names().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_host_path_keeps_every_byte() {
        let bytes = OsStr::from_bytes(b"./a/../\xff ");
        assert_eq!(HostPath::from_os_str(bytes).unwrap().as_path().as_os_str(), bytes);
        table::refuses_os::<HostPath>(&[("", "empty"), ("a\0b", "NUL")]);
    }
}
