//! A policy as this very pinfold understood it, so that a launch need not read TOML.
//!
//! The text stays the policy: it is read with each call, and what was compiled counts only if it was made of
//! exactly that text, by a pinfold of exactly these sources. Else the text is parsed.

use sha2::{Digest, Sha256};

use super::document::Document;
use crate::error::{Error, Result};

/// Of `build.rs`: changes with any source and any crate.
const MADE_BY: &str = concat!("pinfold policy ", env!("PINFOLD_SOURCES"), "\n");
const DIGEST: usize = 32;

/// What stands for `text` from here on.
///
/// # Errors
/// None in practice.
pub fn encode(document: &Document, text: &str) -> Result<Vec<u8>> {
    let body = postcard::to_stdvec(document).map_err(|error| Error::internal(error.to_string()))?;
    let (of_text, of_body) = (Sha256::digest(text), Sha256::digest(&body));
    Ok([MADE_BY.as_bytes(), &of_text, &of_body, &body].concat())
}

/// The policy, if this is what [`encode`] made of `text`.
#[must_use]
pub fn decode(compiled: &[u8], text: &str) -> Option<Document> {
    let rest = compiled.strip_prefix(MADE_BY.as_bytes())?;
    let (of_text, rest) = rest.split_at_checked(DIGEST)?;
    let (of_body, body) = rest.split_at_checked(DIGEST)?;
    let is_made_of_it =
        of_text == Sha256::digest(text).as_slice() && of_body == Sha256::digest(body).as_slice();
    is_made_of_it.then(|| postcard::from_bytes(body).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../examples/policy/gateway.toml");

    #[test]
    fn it_is_what_the_text_says() {
        let document = Document::parse("p", TEXT).unwrap();
        let compiled = encode(&document, TEXT).unwrap();
        assert_eq!(decode(&compiled, TEXT), Some(document));
    }

    #[test]
    fn of_another_text_or_pinfold_or_damaged_it_is_nothing() {
        let compiled = encode(&Document::parse("p", TEXT).unwrap(), TEXT).unwrap();
        assert_eq!(decode(&compiled, &format!("{TEXT}\n")), None);
        assert_eq!(decode(b"", TEXT), None);
        for place in 0..compiled.len() {
            let mut damaged = compiled.clone();
            damaged[place] ^= 1;
            assert_eq!(decode(&damaged, TEXT), None, "byte {place}");
            assert_eq!(decode(&compiled[..place], TEXT), None, "cut at {place}");
        }
    }
}
