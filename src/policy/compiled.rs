//! A policy as this very pinfold understood it, so that a launch need not read TOML.
//!
//! The text stays the policy: it is read with each call, and what was compiled counts only if it was made of
//! exactly that text, by a pinfold of exactly these sources. Else the text is parsed.

use std::hash::{DefaultHasher, Hasher};

use super::document::Document;
use crate::error::{Error, Result};

/// Of `build.rs`: changes with any source and any crate.
const MADE_BY: &str = concat!("pinfold policy ", env!("PINFOLD_SOURCES"), "\n");

/// What stands for `text` from here on: who made it, the sum of the rules, the length of the text,
/// the text, the rules.
///
/// # Errors
/// None in practice.
pub fn encode(document: &Document, text: &str) -> Result<Vec<u8>> {
    let rules = postcard::to_stdvec(document).map_err(|error| Error::internal(error.to_string()))?;
    Ok([MADE_BY.as_bytes(), &sum(&rules), &length(text), text.as_bytes(), &rules].concat())
}

/// The policy, if this is what [`encode`] made of `text`.
#[must_use]
pub fn decode(compiled: &[u8], text: &str) -> Option<Document> {
    let rest = compiled.strip_prefix(MADE_BY.as_bytes())?;
    let (kept, rest) = rest.split_first_chunk()?;
    let rules = rest.strip_prefix(&length(text))?.strip_prefix(text.as_bytes())?;
    (*kept == sum(rules)).then(|| postcard::from_bytes(rules).ok()).flatten()
}

fn length(text: &str) -> [u8; size_of::<usize>()] {
    text.len().to_le_bytes()
}

/// Against accidents alone: root writes the file, as it writes the policy. It need not last either, as another
/// compiler's pinfold reads the text.
fn sum(rules: &[u8]) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    hasher.write(rules);
    hasher.finish().to_le_bytes()
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
