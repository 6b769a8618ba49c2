//! The name of a group: relative to the cgroup mount, and unable to climb out of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// NAME_MAX of kernfs.
const COMPONENT_MAX: usize = 255;

/// Where a group lies below the root of every hierarchy, as `linux.cgroupsPath` names it
/// (config-linux.md, "Cgroups Path").
///
/// Parsed once: it has at least one component, and none of them is `.` or `..`.
/// Repeated and trailing slashes mean nothing, as in runc. Shown with a leading slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CgroupPath(String);

impl CgroupPath {
    /// Parses `/a/b` or `a/b`.
    pub fn parse(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return Err(refused(text, "names no group"));
        }
        for part in &parts {
            check_component(part).map_err(|reason| refused(text, reason))?;
        }
        let path = parts.join("/");
        if path.len() >= nix::libc::PATH_MAX.unsigned_abs() as usize {
            return Err(refused(text, "is too long"));
        }
        Ok(Self(path))
    }

    /// The group `name` directly below this one.
    pub fn child(&self, name: &str) -> Result<Self> {
        check_component(name).map_err(|reason| refused(name, reason))?;
        Self::parse(&format!("{}/{name}", self.0))
    }

    /// Whether it lies somewhere below another group.
    pub fn is_below(&self, above: &Self) -> bool {
        self.0.strip_prefix(&above.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The name of the group itself.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The names from the root of the hierarchy down to the group.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Relative to the root of the hierarchy: no leading slash.
    pub fn relative(&self) -> &str {
        &self.0
    }
}

fn check_component(part: &str) -> std::result::Result<(), &'static str> {
    match part {
        "" => Err("has an empty component"),
        "." | ".." => Err("may not contain '.' or '..'"),
        _ if part.contains(['\0', '\n', '/']) => Err("contains NUL, a line break or a slash"),
        _ if part.len() > COMPONENT_MAX => Err("has a component longer than 255 bytes"),
        _ => Ok(()),
    }
}

fn refused(text: &str, reason: &str) -> Error {
    Error::usage(format!("the cgroup path {text:?} {reason}")).field("/linux/cgroupsPath")
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

impl From<CgroupPath> for String {
    fn from(path: CgroupPath) -> Self {
        path.to_string()
    }
}

impl TryFrom<String> for CgroupPath {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_runc_takes_it() {
        for (text, relative, name) in [
            ("/a/b", "a/b", "b"),
            ("a/b", "a/b", "b"),
            ("//a//b//", "a/b", "b"),
            ("x", "x", "x"),
            ("/user.slice/a:b", "user.slice/a:b", "a:b"),
            ("/...", "...", "..."),
        ] {
            let path = CgroupPath::parse(text).unwrap();
            assert_eq!((path.relative(), path.name()), (relative, name), "{text}");
            assert_eq!(path.to_string(), format!("/{relative}"));
        }
    }

    #[test]
    fn a_path_cannot_climb_out() {
        let long = "x".repeat(256);
        let deep = "/abcd".repeat(1024);
        for text in [
            "", "/", "///", ".", "..", "/..", "/a/../b", "a/..", "../a", "/a/./b", "a\0b", "a\nb", &long,
            &deep,
        ] {
            let error = CgroupPath::parse(text).unwrap_err();
            assert_eq!(error.field_name(), Some("/linux/cgroupsPath"), "{text:?}");
        }
        assert!(CgroupPath::parse(&"x".repeat(255)).is_ok());
    }

    #[test]
    fn a_child_is_one_component() {
        let path = CgroupPath::parse("a").unwrap();
        assert_eq!(path.child("b").unwrap().relative(), "a/b");
        for name in ["", ".", "..", "b/c", "b\n", "/b"] {
            assert!(path.child(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_stored_path_is_checked_again() {
        let path: CgroupPath = serde_json::from_str("\"/a/b\"").unwrap();
        assert_eq!(serde_json::to_string(&path).unwrap(), "\"/a/b\"");
        assert!(serde_json::from_str::<CgroupPath>("\"/a/../../b\"").is_err());
    }
}
