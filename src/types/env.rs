//! Environment variables: `KEY=VALUE`, or `KEY` for the caller's own value.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{FromOsStr, refused};
use crate::error::Result;

/// One variable of the program's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvArg {
    /// Its name: not empty, without `=` and NUL.
    pub key: OsString,
    /// Its value, or nothing to take the caller's.
    pub value: Option<OsString>,
}

impl FromOsStr for EnvArg {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        let bytes = value.as_bytes();
        let end = bytes.iter().position(|byte| *byte == b'=');
        let (key, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        if key.is_empty() || bytes.contains(&0) {
            return Err(refused(value, "a variable is KEY=VALUE or KEY, with a KEY that is not empty"));
        }
        let content = rest.strip_prefix(b"=").map(|content| OsStr::from_bytes(content).to_owned());
        Ok(Self { key: OsStr::from_bytes(key).to_owned(), value: content })
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn the_first_equals_sign_ends_the_key() {
        let rows =
            [("A=b", "A", Some("b")), ("A=", "A", Some("")), ("A=b=c", "A", Some("b=c")), ("A", "A", None)];
        for (text, key, value) in rows {
            let variable = EnvArg::from_os_str(text.as_ref()).unwrap();
            assert_eq!(
                (variable.key.to_str(), variable.value.as_deref()),
                (Some(key), value.map(OsStr::new))
            );
        }
        let raw = EnvArg::from_os_str(OsStr::from_bytes(b"A=\xff")).unwrap();
        assert_eq!(raw.value.unwrap().as_bytes(), b"\xff");
    }

    #[test]
    fn a_variable_has_a_name() {
        let words = "a KEY that is not empty";
        table::refuses_os::<EnvArg>(&[("", words), ("=", words), ("=b", words), ("A=b\0c", words)]);
    }
}
