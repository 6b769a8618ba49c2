//! The digest of a blob: image-spec, descriptor.md "Digests".

use std::fmt;
use std::str::FromStr;

use super::refused;
use crate::error::{Error, Result};

/// How `sha256:` begins a digest as text.
const ALGORITHM: &str = "sha256:";
/// Hexadecimal digits behind it.
const DIGITS: usize = 64;

/// A SHA-256, written `sha256:` and 64 lower-case hexadecimal digits, and in no other way.
///
/// The digits are a safe name of a file. Another algorithm is refused by name: a blob that
/// cannot be verified is not taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    bytes.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl Digest {
    /// Of the 32 bytes that SHA-256 gives.
    pub fn of_hash(hash: impl AsRef<[u8]>) -> Self {
        Self(format!("{ALGORITHM}{}", hex(hash)))
    }

    /// Of the hash itself.
    pub fn from_bytes(hash: [u8; 32]) -> Self {
        Self::of_hash(hash)
    }

    /// Of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self::of_hash(sha2::Sha256::digest(bytes))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits: a file's name.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix(ALGORITHM).unwrap_or(&self.0)
    }

    /// Of the digits alone.
    ///
    /// # Errors
    /// They are not 64 lower-case hexadecimal digits.
    pub fn from_hex(digits: &str) -> Result<Self> {
        format!("{ALGORITHM}{digits}").parse()
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix(ALGORITHM);
        let plain = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match digits {
            Some(digits) if digits.len() == DIGITS && digits.bytes().all(plain) => Ok(Self(text.to_owned())),
            _ => Err(refused(text, "a digest is sha256: and 64 lower-case hexadecimal digits")),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(|error: Error| serde::de::Error::custom(error))
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn it_is_written_in_one_way() {
        table::accepts(&[(EMPTY, EMPTY.to_owned())], |digest: Digest| digest.to_string());
        assert_eq!(Digest::of(b""), EMPTY.parse().unwrap());
        assert_eq!(Digest::of(b"").hex().len(), 64);
        let accepted = "64 lower-case";
        let upper = EMPTY.to_uppercase();
        let long = format!("{EMPTY}0");
        let other = EMPTY.replace("sha256", "sha512");
        let dots = EMPTY.replace("e3b0c4", "../../");
        table::refuses::<Digest>(&[
            ("", accepted),
            ("sha256:", accepted),
            (&EMPTY[7..], accepted),
            (&EMPTY[..70], accepted),
            (&long, accepted),
            (&upper, accepted),
            (&other, accepted),
            (&dots, accepted),
            (" sha256:0", accepted),
        ]);
    }
}
