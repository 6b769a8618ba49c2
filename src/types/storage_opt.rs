//! `--storage-opt`: Docker's word for the room of a writable root.

use std::str::FromStr;

use super::{ByteSize, refused};
use crate::error::{Error, Result};

/// `size=SIZE`, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageOpt {
    /// The most that can be written.
    pub size: ByteSize,
}

impl FromStr for StorageOpt {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix("size=") {
            Some(size) => Ok(Self { size: size.parse()? }),
            None => Err(refused(text, "the only option is size=SIZE")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn the_size_is_the_only_option() {
        table::accepts(&[("size=1m", 1 << 20)], |option: StorageOpt| option.size.bytes());
        table::refuses::<StorageOpt>(&[("1m", "size="), ("overlay.size=1m", "size="), ("", "size=")]);
    }
}
