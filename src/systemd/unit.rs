//! `linux.cgroupsPath` in systemd's form, SLICE:PREFIX:NAME, as the name of a unit and the place of its
//! cgroup (systemd.unit(5), systemd.slice(5); the rules are runc's and crun's).

use serde::{Deserialize, Serialize};

use super::bus::Instance;
use crate::cgroup::CgroupPath;
use crate::error::{Error, Result};

const FIELD: &str = "/linux/cgroupsPath";
/// UNIT_NAME_MAX, with its NUL.
const LONGEST: usize = 255;
/// What stands before the id where the configuration names no cgroup.
const PREFIX: &str = "pinfold";

/// The transient scope of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name, `PREFIX-NAME.scope`.
    pub name: String,
    /// The slice that it is in.
    pub slice: String,
    /// Whether the caller's own systemd has it.
    pub user: bool,
}

impl Unit {
    /// The unit that `path` asks for; without a path one that is named after the container.
    ///
    /// # Errors
    /// Another form; a name that systemd would not take.
    pub fn parse(path: Option<&str>, id: &str, instance: Instance) -> Result<Self> {
        let parts: Vec<&str> = path.map(|path| path.split(':').collect()).unwrap_or_default();
        let (slice, prefix, name) = match parts.as_slice() {
            [] => ("", PREFIX, id),
            [slice, prefix, name] => (*slice, *prefix, *name),
            _ => return Err(refused(path.unwrap_or_default(), "is not of the form SLICE:PREFIX:NAME")),
        };
        let user = instance == Instance::User;
        let slice = match (slice, user) {
            ("", false) => "system.slice",
            ("", true) => "user.slice",
            (slice, _) => slice,
        };
        if name.is_empty() {
            return Err(refused(path.unwrap_or_default(), "names no unit"));
        }
        if name.ends_with(".slice") {
            return Err(refused(name, "is a slice, and a slice holds no process itself"));
        }
        let scope = match prefix {
            "" => format!("{name}.scope"),
            prefix => format!("{prefix}-{name}.scope"),
        };
        check(&scope)?;
        slice_path(slice)?;
        Ok(Self { name: scope, slice: slice.to_owned(), user })
    }

    /// Whose systemd.
    pub fn instance(&self) -> Instance {
        if self.user { Instance::User } else { Instance::System }
    }

    /// Where its cgroup is, below the cgroup of the systemd that has it.
    ///
    /// # Errors
    /// A slice that is none.
    pub fn cgroup(&self, root: &str) -> Result<CgroupPath> {
        CgroupPath::parse(&format!("{root}/{}/{}", slice_path(&self.slice)?, self.name))
    }
}

/// A slice lies in the slices that its dashes name: a-b.slice in a.slice. `-.slice` is the root.
fn slice_path(slice: &str) -> Result<String> {
    let Some(stem) = slice.strip_suffix(".slice") else {
        return Err(refused(slice, "is no slice: its name does not end in .slice"));
    };
    check(slice)?;
    if stem == "-" {
        return Ok(String::new());
    }
    let mut path = String::new();
    let mut above = String::new();
    for part in stem.split('-') {
        if part.is_empty() {
            return Err(refused(slice, "has a dash at an end, or two in a row"));
        }
        above.push_str(part);
        path.push_str(&format!("/{above}.slice"));
        above.push('-');
    }
    Ok(path)
}

/// VALID_CHARS of systemd's unit-name.c, without `@`: a template makes no scope.
fn check(name: &str) -> Result<()> {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\".contains(&byte);
    match name {
        _ if name.len() > LONGEST => Err(refused(name, "is longer than 255 bytes")),
        _ if !name.bytes().all(taken) => {
            Err(refused(name, "has a character that names of units do not have (systemd.unit(5))"))
        }
        _ => Ok(()),
    }
}

fn refused(text: &str, reason: &str) -> Error {
    Error::usage(format!("{text:?} {reason}")).field(FIELD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_slice_prefix_and_name() {
        for (path, instance, name, cgroup) in [
            (
                Some("a-b.slice:libpod:1"),
                Instance::System,
                "libpod-1.scope",
                "/a.slice/a-b.slice/libpod-1.scope",
            ),
            (
                Some(":cri-containerd:x"),
                Instance::System,
                "cri-containerd-x.scope",
                "/system.slice/cri-containerd-x.scope",
            ),
            (Some("user.slice::x"), Instance::System, "x.scope", "/user.slice/x.scope"),
            (Some("-.slice:p:x"), Instance::System, "p-x.scope", "/p-x.scope"),
            (Some("::x"), Instance::User, "x.scope", "/u/user.slice/x.scope"),
            (None, Instance::System, "pinfold-id.scope", "/system.slice/pinfold-id.scope"),
            (None, Instance::User, "pinfold-id.scope", "/u/user.slice/pinfold-id.scope"),
        ] {
            let unit = Unit::parse(path, "id", instance).unwrap();
            let root = if instance == Instance::User { "/u" } else { "" };
            assert_eq!(unit.name, name, "{path:?}");
            assert_eq!(unit.cgroup(root).unwrap().to_string(), cgroup, "{path:?}");
            assert_eq!(unit.instance(), instance);
        }
    }

    #[test]
    fn what_systemd_would_not_take_is_refused_by_the_field() {
        let long = format!("::{}", "x".repeat(300));
        for path in [
            "",
            "/a/b",
            "a.slice:p",
            "a.slice:p:n:m",
            "a.slice:p:",
            "a:p:n",
            "a--b.slice:p:n",
            "-a.slice:p:n",
            "a-.slice:p:n",
            ".slice:p:n",
            "a/b.slice:p:n",
            "a.slice:p/q:n",
            "a.slice:p:n/../m",
            "a.slice:p:n m",
            "a.slice:p:n@1",
            "a.slice:p:n.slice",
            "../x.slice:p:n",
            "a.slice:p:\u{e4}",
            &long,
        ] {
            let error = Unit::parse(Some(path), "id", Instance::System).unwrap_err();
            assert_eq!(error.field_name(), Some(FIELD), "{path:?}");
        }
    }
}
