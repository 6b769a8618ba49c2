//! Secrets: `NAME=file:PATH` or `NAME=fd:N`, never by value, which /proc would show.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use super::{FdNumber, FromOsStr, HostPath, refused, word};
use crate::error::{Error, Result};

/// Where secrets are found inside: a tmpfs of their own.
pub const SECRETS: &str = "/run/secrets";

/// The name of a secret, which is a file name inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

impl SecretName {
    /// The name as text: safe as one component of a path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let sound = (1..=255).contains(&text.len()) && text.bytes().all(plain);
        if !sound || text == "." || text == ".." {
            return Err(refused(text, "the name of a secret is 1 to 255 letters, digits, '_', '.' or '-'"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the content of a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file of the host, read once.
    File(HostPath),
    /// A descriptor that the caller left open, read to its end.
    Fd(FdNumber),
}

/// One secret of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretArg {
    /// Under which name the sandbox finds it.
    pub name: SecretName,
    /// Where its content comes from.
    pub source: SecretSource,
}

impl FromOsStr for SecretArg {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        let form = || refused(value, "a secret is NAME=file:PATH or NAME=fd:N");
        let at = value.as_bytes().iter().position(|byte| *byte == b'=').ok_or_else(form)?;
        let (name, source) = value.as_bytes().split_at(at);
        let source = match source.strip_prefix(b"=file:") {
            Some(path) => SecretSource::File(HostPath::from_os_str(OsStr::from_bytes(path))?),
            None => {
                let number = source.strip_prefix(b"=fd:").ok_or_else(form)?;
                SecretSource::Fd(word(OsStr::from_bytes(number))?.parse()?)
            }
        };
        Ok(Self { name: word(OsStr::from_bytes(name))?.parse()?, source })
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn a_secret_comes_from_a_file_or_a_descriptor() {
        let secret = |text: &str| SecretArg::from_os_str(text.as_ref()).unwrap();
        assert_eq!(secret("API_KEY=fd:3").source, SecretSource::Fd("3".parse().unwrap()));
        let file = HostPath::from_os_str("/a=b:c".as_ref()).unwrap();
        assert_eq!(secret("a.b-c=file:/a=b:c").source, SecretSource::File(file));
        assert_eq!(secret("a.b-c=file:/a=b:c").name.as_str(), "a.b-c");
    }

    #[test]
    fn a_secret_is_never_a_value_and_its_name_is_a_plain_file_name() {
        table::refuses_os::<SecretArg>(&[
            ("", "a secret is"),
            ("A", "a secret is"),
            ("A=", "a secret is"),
            ("A=hunter2", "a secret is"),
            ("A=env:B", "a secret is"),
        ]);
        for text in ["=fd:3", "../a=fd:3", "..=fd:3", "a/b=fd:3", "a b=fd:3", "A=fd:", "A=fd:-1", "A=file:"] {
            assert!(SecretArg::from_os_str(text.as_ref()).is_err(), "{text:?}");
        }
    }
}
