//! User and group ids, and the names that stand for them.

use std::fmt;
use std::str::FromStr;

use super::refused;
use crate::error::{Error, Result};

/// A user or group id: a strict decimal from 0 to 2^32-2.
///
/// 2^32-1 is setresuid(2)'s "no change" and therefore no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u32);

impl Id {
    /// Id 0.
    pub const ROOT: Self = Self(0);

    /// The id, unless it is 2^32-1.
    pub const fn new(raw: u32) -> Option<Self> {
        if raw == u32::MAX { None } else { Some(Self(raw)) }
    }

    /// The id as the kernel takes it.
    pub const fn raw(self) -> u32 {
        self.0
    }
}

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        strict(text).and_then(Self::new).ok_or_else(|| {
            refused(text, "an id is a decimal number from 0 to 4294967294, without sign or leading zero")
        })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A decimal without sign, leading zero or space.
pub(super) fn strict(text: &str) -> Option<u32> {
    let leading_zero = text.len() > 1 && text.starts_with('0');
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if leading_zero || !plain { None } else { text.parse().ok() }
}

/// A user or a group: by id, or by a name that the container's own files resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// By number.
    Id(Id),
    /// By name: no digit, sign, colon, slash, space or control character where it would mislead.
    Name(String),
}

impl FromStr for Principal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // passwd(5) parsers disagree about names that look like numbers: a digit means an id.
        match text.bytes().next() {
            Some(b'0'..=b'9') => text.parse().map(Self::Id),
            Some(b'A'..=b'Z' | b'a'..=b'z' | b'_') if text.bytes().all(is_name_byte) => {
                Ok(Self::Name(text.to_owned()))
            }
            _ => Err(refused(
                text,
                "a user or group is a number, or a name of letters, digits, '_', '.', '-' or '$'",
            )),
        }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-$@".contains(&byte)
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// `USER[:GROUP]`, each by id or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserArg {
    /// Who the program runs as.
    pub user: Principal,
    /// Its primary group, if one was named.
    pub group: Option<Principal>,
}

impl FromStr for UserArg {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some((user, group)) => Ok(Self { user: user.parse()?, group: Some(group.parse()?) }),
            None => Ok(Self { user: text.parse()?, group: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    const NOT_IDS: [&str; 14] = [
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "01",
        "00",
        "0x10",
        "1e3",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "١",
        "1\n",
    ];

    #[test]
    fn an_id_is_a_strict_decimal() {
        table::accepts(&[("0", 0), ("1000", 1000), ("4294967294", 4_294_967_294)], Id::raw);
        table::refuses::<Id>(&NOT_IDS.map(|text| (text, "an id is a decimal number")));
        assert_eq!(Id::new(u32::MAX), None);
    }

    #[test]
    fn a_user_is_an_id_or_a_name() {
        let id = |raw| Principal::Id(Id(raw));
        let name = |text: &str| Principal::Name(text.to_owned());
        let rows = [
            ("0", (id(0), None)),
            ("1000:100", (id(1000), Some(id(100)))),
            ("nobody", (name("nobody"), None)),
            ("_apt:adm", (name("_apt"), Some(name("adm")))),
            ("a.b-c$:0", (name("a.b-c$"), Some(id(0)))),
        ];
        table::accepts::<UserArg, _>(&rows, |arg| (arg.user, arg.group));
    }

    #[test]
    fn what_could_be_read_two_ways_is_no_user() {
        for text in
            NOT_IDS.into_iter().chain(["-a", "+0", "a b", "a:b:c", "a:", ":a", ":", "a/b", "1a", "a\n", "é"])
        {
            assert!(text.parse::<UserArg>().is_err(), "{text:?}");
        }
    }
}
