//! JSON of strangers: bounded, and with no key twice. Of two equal keys every parser takes
//! another one, and what was verified would not be what is used.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::failed;
use crate::error::Result;

/// The largest manifest, index or configuration (distribution-spec, "Pushing manifests").
pub const LARGEST: usize = 4 << 20;

/// Reads a document. Keys that its type does not know are passed over (image-spec,
/// considerations.md "Extensibility").
///
/// # Errors
/// Not JSON, a key that occurs twice, a value of another type, with its JSON pointer.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    if text.len() > LARGEST {
        return Err(failed(format!("is larger than {LARGEST} bytes")));
    }
    let value = value(text)?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let pointer = pointer(error.path());
        failed(error.into_inner().to_string()).field(pointer)
    })
}

/// The document as a tree.
///
/// # Errors
/// Not JSON; a key that occurs twice.
pub fn value(text: &[u8]) -> Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Strict.deserialize(&mut deserializer).map_err(|error| failed(error.to_string()))?;
    deserializer.end().map_err(|error| failed(error.to_string()))?;
    Ok(value)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let words = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{key}"),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => "/?".to_owned(),
    });
    words.collect()
}

/// Reads a value; the depth is bounded by serde_json.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Value, A::Error> {
        let mut values = vec![];
        while let Some(value) = list.next_element_seed(Strict)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Value, A::Error> {
        let mut values = Map::new();
        // A name that differs in the case of its letters is the same to some parsers of Go.
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key.to_ascii_lowercase()) {
                return Err(A::Error::custom(format!("the key {key:?} occurs twice")));
            }
            values.insert(key, map.next_value_seed(Strict)?);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_occurs_twice_is_refused_wherever_it_stands() {
        for text in
            [r#"{"a":1,"a":1}"#, r#"{"a":1,"A":1}"#, r#"[{"b":{"a":1,"c":2,"a":3}}]"#, r#"{"a":1,"a":2}"#]
        {
            assert!(value(text.as_bytes()).unwrap_err().to_string().contains("occurs twice"), "{text}");
        }
        assert!(value(br#"{"a":{"a":[1,-1,1.5,null,true,"x"]}}"#).is_ok());
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = "[".repeat(100_000);
        for text in ["", "{", "{} {}", "nul", "\u{feff}{}", &deep] {
            value(text.as_bytes()).unwrap_err();
        }
        let large = vec![b' '; LARGEST + 1];
        assert!(parse::<Value>(&large).unwrap_err().to_string().contains("larger"));
    }
}
