//! `org.systemd.property.NAME` annotations: further properties of the unit, in the text form of GVariant
//! (GLib, "GVariant Text Format"), as runc has them. Types that no property of a scope needs are refused.

use std::collections::BTreeMap;

use super::properties::Property;
use super::wire::Value;
use crate::error::{Error, Result};

/// What these annotations begin with.
pub const PREFIX: &str = "org.systemd.property.";

/// What decides where and with which processes the scope is made: pinfold's alone.
const OWN: [&str; 6] = ["Delegate", "DelegateSubgroup", "Description", "PIDs", "PIDFDs", "Slice"];

/// The properties that annotations ask for.
///
/// # Errors
/// A name or a value that is none, by its annotation.
pub fn annotated(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>> {
    let mut found = vec![];
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(PREFIX) else { continue };
        let field = format!("/annotations/{key}");
        found.push(property(name, text).map_err(|error| error.field(field))?);
    }
    Ok(found)
}

fn property(name: &str, text: &str) -> Result<Property> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Error::usage("is no name of a property"));
    }
    if OWN.contains(&name) {
        return Err(Error::usage("is set by pinfold itself"));
    }
    let value = value(text.trim())?;
    // In the configuration in seconds, on the bus in microseconds.
    match (name.strip_suffix("Sec"), name.ends_with("USec")) {
        (Some(stem), false) => Ok((format!("{stem}USec"), microseconds(&value)?)),
        _ => Ok((name.to_owned(), value)),
    }
}

fn microseconds(seconds: &Value) -> Result<Value> {
    let refused = || Error::usage("is no number of seconds");
    let whole = match seconds {
        Value::Byte(value) => u64::from(*value),
        Value::Uint32(value) => u64::from(*value),
        Value::Uint64(value) => *value,
        Value::Int32(value) => u64::try_from(*value).or(Err(refused()))?,
        Value::Int64(value) => u64::try_from(*value).or(Err(refused()))?,
        Value::Double(value) => {
            let exact = std::time::Duration::try_from_secs_f64(*value).or(Err(refused()))?;
            return u64::try_from(exact.as_micros()).map(Value::Uint64).or(Err(refused()));
        }
        _ => return Err(refused()),
    };
    whole.checked_mul(1_000_000).map(Value::Uint64).ok_or_else(refused)
}

fn value(text: &str) -> Result<Value> {
    let refused =
        || Error::usage(format!("{text:?} is no value that a property takes (GVariant text format)"));
    match text {
        "true" => return Ok(Value::Bool(true)),
        "false" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if let Some(text) = quoted(text) {
        return text.map(Value::Text);
    }
    if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return texts(inside).map(Value::Texts).ok_or_else(refused);
    }
    let parsed = match text.split_once(' ') {
        Some(("byte", number)) => number.parse().ok().map(Value::Byte),
        Some(("int32", number)) => number.parse().ok().map(Value::Int32),
        Some(("uint32", number)) => number.parse().ok().map(Value::Uint32),
        Some(("int64", number)) => number.parse().ok().map(Value::Int64),
        Some(("uint64", number)) => number.parse().ok().map(Value::Uint64),
        Some(("boolean", "true")) => Some(Value::Bool(true)),
        Some(("boolean", "false")) => Some(Value::Bool(false)),
        Some(("string", text)) => quoted(text).transpose()?.map(Value::Text),
        Some(_) => None,
        // Without a type a whole number has 32 bits.
        None if text.contains(['.', 'e']) => {
            text.parse().ok().filter(|value: &f64| value.is_finite()).map(Value::Double)
        }
        None => text.parse().ok().map(Value::Int32),
    };
    parsed.ok_or_else(refused)
}

/// A text in quotes; `None` for what is none.
fn quoted(text: &str) -> Option<Result<String>> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    let inside = text.strip_prefix(quote)?;
    let mut found = String::new();
    let mut letters = inside.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(plain @ ('\\' | '\'' | '"')) => found.push(plain),
                Some('n') => found.push('\n'),
                Some('t') => found.push('\t'),
                _ => break,
            },
            end if end == quote => {
                return match letters.next() {
                    None => Some(Ok(found)),
                    Some(_) => Some(Err(Error::usage(format!("{text:?} goes on after its end")))),
                };
            }
            other => found.push(other),
        }
    }
    Some(Err(Error::usage(format!("{text:?} is no text in quotes"))))
}

/// A list of texts that have neither commas nor escapes inside.
fn texts(inside: &str) -> Option<Vec<String>> {
    let parts = inside.split(',').map(|part| quoted(part.trim())?.ok());
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, text: &str) -> Result<Vec<Property>> {
        annotated(&BTreeMap::from([(format!("{PREFIX}{name}"), text.to_owned())]))
    }

    #[test]
    fn a_value_has_the_type_that_its_text_says() {
        for (text, value) in [
            ("true", Value::Bool(true)),
            ("boolean false", Value::Bool(false)),
            ("'inactive-or-failed'", Value::Text("inactive-or-failed".into())),
            ("\"it's\"", Value::Text("it's".into())),
            ("'a\\'b'", Value::Text("a'b".into())),
            ("string 'x'", Value::Text("x".into())),
            ("uint64 123456789", Value::Uint64(123_456_789)),
            ("uint32 7", Value::Uint32(7)),
            ("int64 -7", Value::Int64(-7)),
            ("int32 7", Value::Int32(7)),
            ("byte 7", Value::Byte(7)),
            ("7", Value::Int32(7)),
            ("1.5", Value::Double(1.5)),
            ("['a', 'b']", Value::Texts(vec!["a".into(), "b".into()])),
        ] {
            assert_eq!(of("X", text).unwrap(), [("X".to_owned(), value)], "{text}");
        }
    }

    #[test]
    fn seconds_become_microseconds() {
        for (name, text, told) in [
            ("TimeoutStopSec", "2", 2_000_000),
            ("TimeoutStopSec", "uint64 3", 3_000_000),
            ("TimeoutStopSec", "0.5", 500_000),
            ("TimeoutStopUSec", "uint64 5", 5),
        ] {
            assert_eq!(
                of(name, text).unwrap(),
                [("TimeoutStopUSec".to_owned(), Value::Uint64(told))],
                "{text}"
            );
        }
        for text in ["'2'", "-1", "true", "uint64 18446744073709551615", "1e300"] {
            assert!(of("TimeoutStopSec", text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_property_is_refused_by_its_annotation() {
        for (name, text) in [
            ("", "true"),
            ("A B", "true"),
            ("A", ""),
            ("A", "'x"),
            ("A", "'x' y"),
            ("A", "word"),
            ("A", "uint32 -1"),
            ("A", "(1, 2)"),
            ("A", "{'a': 1}"),
            ("A", "['a', 1]"),
            ("A", "99999999999"),
            ("A", "1e999"),
            ("Slice", "'x.slice'"),
            ("PIDs", "[1]"),
            ("Delegate", "false"),
        ] {
            let error = of(name, text).unwrap_err();
            assert_eq!(error.field_name(), Some(format!("/annotations/{PREFIX}{name}").as_str()), "{text}");
        }
        assert!(annotated(&BTreeMap::from([("org.example".to_owned(), "x".to_owned())])).unwrap().is_empty());
    }
}
