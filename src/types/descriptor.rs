//! Where something is read from or written to: a file, an inherited descriptor, stdin.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use super::{FromOsStr, HostPath, refused, word};
use crate::error::{Error, Result};

/// The number of a descriptor that the caller left open for pinfold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FdNumber(u32);

impl FdNumber {
    /// The number, at most 2^31-1.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl FromStr for FdNumber {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = plain.then(|| text.parse::<i32>().ok()).flatten();
        number
            .map(|number| Self(number.unsigned_abs()))
            .ok_or_else(|| refused(text, "a file descriptor is a number from 0 to 2147483647"))
    }
}

impl fmt::Display for FdNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `FILE` or `fd:N`: where the report goes. A file that is named `fd:...` is `./fd:...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportTarget {
    /// A file that pinfold creates or replaces.
    File(HostPath),
    /// A descriptor that the caller left open.
    Fd(FdNumber),
}

impl FromOsStr for ReportTarget {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        match value.as_bytes().strip_prefix(b"fd:") {
            Some(number) => word(OsStr::from_bytes(number))?.parse().map(Self::Fd),
            None => HostPath::from_os_str(value).map(Self::File),
        }
    }
}

/// `FILE`, or `-` for stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputFile {
    /// Standard input.
    Stdin,
    /// A file.
    File(HostPath),
}

impl FromOsStr for InputFile {
    fn from_os_str(value: &OsStr) -> Result<Self> {
        match value.as_bytes() {
            b"-" => Ok(Self::Stdin),
            _ => HostPath::from_os_str(value).map(Self::File),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn a_descriptor_is_a_strict_number() {
        table::accepts(&[("0", 0), ("3", 3), ("2147483647", 2_147_483_647)], FdNumber::number);
        let bad = ["", "-1", "+3", " 3", "3x", "2147483648", "99999999999999999999", "0x3"];
        table::refuses::<FdNumber>(&bad.map(|text| (text, "a file descriptor is a number")));
    }

    #[test]
    fn a_report_goes_to_a_file_or_a_descriptor() {
        let file = |text: &str| HostPath::from_os_str(text.as_ref()).unwrap();
        let rows = [
            ("r.json", ReportTarget::File(file("r.json"))),
            ("./fd:3", ReportTarget::File(file("./fd:3"))),
            ("fd:3", ReportTarget::Fd(FdNumber(3))),
        ];
        for (text, expected) in rows {
            assert_eq!(ReportTarget::from_os_str(text.as_ref()).unwrap(), expected, "{text:?}");
        }
        for text in ["", "fd:", "fd:x", "fd:-1"] {
            assert!(ReportTarget::from_os_str(text.as_ref()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_dash_is_stdin() {
        assert_eq!(InputFile::from_os_str("-".as_ref()).unwrap(), InputFile::Stdin);
        assert!(matches!(InputFile::from_os_str("./-".as_ref()), Ok(InputFile::File(_))));
        table::refuses_os::<InputFile>(&[("", "empty")]);
    }
}
