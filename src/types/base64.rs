//! Base64 (RFC 4648, section 4).

use std::str::FromStr;

use super::refused;
use crate::error::{Error, Result};

/// The bytes that a text of base64 stands for. Padding is required, and nothing else is let
/// through: one text for one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base64(pub Vec<u8>);

impl FromStr for Base64 {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        decode(text.as_bytes()).map(Self).ok_or_else(|| refused("", "this is not base64"))
    }
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let digits = text.get(..text.len() - padding)?;
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut value = 0_u32;
        for place in 0..4 {
            value = value << 6 | group.get(place).map_or(Some(0), |byte| digit(*byte))?;
        }
        let [_, one, two, three] = value.to_be_bytes();
        let whole = [one, two, three];
        let count = group.len().checked_sub(1)?;
        // What the last digit says beyond the last byte must be nothing.
        if count == 0 || whole.get(count..)?.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(whole.get(..count)?);
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(text.parse::<Base64>().unwrap().0, bytes.as_bytes(), "{text}");
        }
        assert_eq!("+/+/".parse::<Base64>().unwrap().0, [0xfb, 0xff, 0xbf]);
    }

    #[test]
    fn every_value_has_one_text() {
        for text in [
            "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v\n", " Zm9v", "Zm-v", "=", "====", "Z===",
            "Zg==Zg==",
        ] {
            text.parse::<Base64>().unwrap_err();
        }
    }
}
