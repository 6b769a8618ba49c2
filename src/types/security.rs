//! `--security-opt`: no_new_privs and the seccomp profile, in Docker's words.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{FromOsStr, HostPath, refused};
use crate::error::Result;

/// Which seccomp filter the program gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeccompChoice {
    /// A profile in the OCI's JSON form.
    File(HostPath),
    /// None: every system call of the kernel can be reached.
    Unconfined,
}

/// One `--security-opt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecurityOpt {
    /// Whether execve(2) may grant privileges: `true` forbids it, which is the default.
    NoNewPrivileges(bool),
    /// The seccomp profile.
    Seccomp(SeccompChoice),
}

impl FromOsStr for SecurityOpt {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        let bytes = value.as_bytes();
        let end = bytes.iter().position(|byte| matches!(byte, b'=' | b':')).unwrap_or(bytes.len());
        let (key, rest) = bytes.split_at(end);
        let content = rest.split_first().map(|(_, content)| content);
        match (key, content) {
            (b"no-new-privileges", None | Some(b"true")) => Ok(Self::NoNewPrivileges(true)),
            (b"no-new-privileges", Some(b"false")) => Ok(Self::NoNewPrivileges(false)),
            (b"seccomp", Some(b"unconfined")) => Ok(Self::Seccomp(SeccompChoice::Unconfined)),
            (b"seccomp", Some(path)) => {
                let path = HostPath::from_os_str(OsStr::from_bytes(path))?;
                Ok(Self::Seccomp(SeccompChoice::File(path)))
            }
            _ => Err(refused(
                value,
                "accepted are no-new-privileges[=true|false], seccomp=FILE and seccomp=unconfined",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn docker_s_spellings_are_known() {
        let file = |text: &str| {
            SecurityOpt::Seccomp(SeccompChoice::File(HostPath::from_os_str(text.as_ref()).unwrap()))
        };
        let rows = [
            ("no-new-privileges", SecurityOpt::NoNewPrivileges(true)),
            ("no-new-privileges:true", SecurityOpt::NoNewPrivileges(true)),
            ("no-new-privileges=true", SecurityOpt::NoNewPrivileges(true)),
            ("no-new-privileges=false", SecurityOpt::NoNewPrivileges(false)),
            ("seccomp=unconfined", SecurityOpt::Seccomp(SeccompChoice::Unconfined)),
            ("seccomp:unconfined", SecurityOpt::Seccomp(SeccompChoice::Unconfined)),
            ("seccomp=/a/b=c.json", file("/a/b=c.json")),
            ("seccomp=./unconfined", file("./unconfined")),
        ];
        for (text, expected) in rows {
            assert_eq!(SecurityOpt::from_os_str(text.as_ref()).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn an_option_that_would_not_be_applied_is_refused() {
        let words = "accepted are no-new-privileges";
        let bad = [
            "",
            "no-new-privileges=",
            "no-new-privileges=1",
            "seccomp",
            "apparmor=x",
            "label=disable",
            "=",
            "x=y",
        ];
        table::refuses_os::<SecurityOpt>(&bad.map(|text| (text, words)));
        assert!(SecurityOpt::from_os_str("seccomp=".as_ref()).is_err());
    }
}
