//! The name of a container, which is also the name of its directory below `--root`.

use std::fmt;
use std::str::FromStr;

use super::refused;
use crate::error::{Error, Result};

/// NAME_MAX of Linux: the id is a file name in the state directory.
const LONGEST: usize = 255;

/// A container id by runc's rule: 1 to 255 of `A-Z a-z 0-9 _ + . -`, neither `.` nor `..`.
///
/// runc allows 1024 characters but cannot make the directory of a longer name either.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(String);

impl ContainerId {
    /// The id as text: safe as one component of a path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
        let sound = (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain);
        if !sound || text == "." || text == ".." {
            return Err(refused(
                text,
                "invalid container ID format: 1 to 255 letters, digits, '_', '+', '.' or '-', and neither \".\" nor \"..\"",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn runc_s_characters_make_an_id() {
        let longest = "a".repeat(255);
        for text in ["a", "0", "...", "-c", "A_b+c.d-9", "..a", longest.as_str()] {
            assert_eq!(text.parse::<ContainerId>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_no_file_name_is_no_id() {
        let long = "a".repeat(256);
        let words = "invalid container ID format";
        table::refuses::<ContainerId>(&[
            ("", words),
            (".", words),
            ("..", words),
            ("a/b", words),
            ("../a", words),
            ("a b", words),
            ("a\0", words),
            ("a\n", words),
            ("a:b", words),
            ("é", words),
            (long.as_str(), words),
        ]);
    }
}
