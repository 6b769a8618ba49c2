//! A place inside the new root, prepared so that the child can find or make it
//! without allocating.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::error::{Error, Result};

/// What is made where a mount target is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A directory.
    Directory,
    /// An empty regular file.
    File,
    /// The same, for the device node that is bound there: another file in its place is an error.
    Node {
        /// S_IFCHR or S_IFBLK.
        file_type: u32,
        /// The device.
        rdev: u64,
    },
}

/// A path inside the root, with each prefix and last component rendered.
#[derive(Debug, Clone)]
pub struct Target {
    /// The path from the root, without a leading slash; `.` for the root itself.
    pub path: CString,
    /// For each depth: the prefix from the root, and its last component.
    pub prefixes: Vec<(CString, CString)>,
    /// What to make when it is missing.
    pub kind: TargetKind,
    /// Whether symbolic links of the root are followed (in-root) on the way.
    /// Not for /proc, /sys and /dev: CVE-2019-19921, CVE-2023-28642.
    pub follow: bool,
    /// Whether the place may lie on a procfs: everything else there is the kernel's word on
    /// processes, and what covers it could lead writes astray (CVE-2019-16884, CVE-2025-52881).
    pub on_procfs: bool,
}

impl Target {
    /// Renders `path` (absolute or relative to the root).
    ///
    /// # Errors
    /// A `..` component or a NUL byte.
    pub fn new(path: &Path, kind: TargetKind) -> Result<Self> {
        let mut prefixes = vec![];
        let mut prefix: Vec<u8> = vec![];
        for component in path.components() {
            let name = match component {
                Component::RootDir | Component::CurDir => continue,
                Component::Normal(name) => name.as_bytes(),
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(
                        Error::usage("a path inside the root must not contain `..`").object(path.display())
                    );
                }
            };
            if !prefix.is_empty() {
                prefix.push(b'/');
            }
            prefix.extend_from_slice(name);
            prefixes.push((c_string(&prefix, path)?, c_string(name, path)?));
        }
        let whole = prefixes.last().map_or_else(|| c".".to_owned(), |(whole, _)| whole.clone());
        Ok(Self { path: whole, prefixes, kind, follow: true, on_procfs: false })
    }

    /// The same place, reached without following any symbolic link.
    #[must_use]
    pub fn without_links(mut self) -> Self {
        self.follow = false;
        self
    }

    /// The same place, also where a procfs is.
    #[must_use]
    pub fn over_procfs(mut self) -> Self {
        self.on_procfs = true;
        self
    }

    /// As an absolute path inside the root, for messages.
    pub fn display(&self) -> String {
        match self.path.to_bytes() {
            b"." => "/".to_owned(),
            _ => format!("/{}", self.path.to_string_lossy()),
        }
    }
}

fn c_string(bytes: &[u8], path: &Path) -> Result<CString> {
    CString::new(bytes).map_err(|error| Error::usage(error.to_string()).object(path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_grow_by_one_component() {
        let target = Target::new(Path::new("/a/./b//c"), TargetKind::Directory).unwrap();
        let prefixes: Vec<_> = target.prefixes.iter().map(|(p, _)| p.to_str().unwrap()).collect();
        assert_eq!(prefixes, ["a", "a/b", "a/b/c"]);
        assert_eq!(target.display(), "/a/b/c");
    }

    #[test]
    fn a_parent_component_is_refused() {
        assert!(Target::new(Path::new("/a/../b"), TargetKind::File).is_err());
    }
}
