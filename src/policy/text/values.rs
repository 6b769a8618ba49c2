//! The values of a policy, each from its TOML form. A refusal is the rest of a sentence
//! that begins with the key.

use std::path::{Component, Path, PathBuf};

use toml::de::DeValue;

use crate::policy::rules::{Bound, Caps, Ids, Names, Places};
use crate::types::{ByteSize, CapName, Span};

type Read<T> = std::result::Result<T, String>;

/// A value that a key can have.
pub trait Setting: Sized {
    /// Reads it; the error says what it must be.
    fn read(value: &DeValue<'_>) -> Read<Self>;
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

impl Setting for bool {
    fn read(value: &DeValue<'_>) -> Read<Self> {
        match value {
            DeValue::Boolean(set) => Ok(*set),
            _ => Err("must be true or false".to_owned()),
        }
    }
}

impl Setting for String {
    fn read(value: &DeValue<'_>) -> Read<Self> {
        match value {
            DeValue::String(text) if !text.is_empty() => Ok(text.to_string()),
            _ => Err("must be a text, and not an empty one".to_owned()),
        }
    }
}

impl Setting for i64 {
    fn read(value: &DeValue<'_>) -> Read<Self> {
        integer(value).ok_or_else(|| "must be a number".to_owned())
    }
}

impl Setting for u64 {
    fn read(value: &DeValue<'_>) -> Read<Self> {
        let number = integer(value).and_then(|number| Self::try_from(number).ok());
        number.ok_or_else(|| "must be a number from 0 on".to_owned())
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &DeValue<'_>) -> Read<Self> {
        match value {
            DeValue::Array(list) => list.iter().map(|entry| T::read(entry.get_ref())).collect(),
            _ => Err("must be a list, [..]".to_owned()),
        }
    }
}

impl Setting for PathBuf {
    fn read(value: &DeValue<'_>) -> Read<Self> {
        let path = Self::from(String::read(value)?);
        if is_as_it_is_compared(path.as_os_str().as_encoded_bytes()) {
            return Ok(path);
        }
        match is_plain(&path) {
            true => Ok(path.components().collect()),
            false => Err("must be an absolute path without `..` or control characters".to_owned()),
        }
    }
}

/// Absolute, with one slash between components, of which none begins with a dot: most are written so, and a
/// policy may have hundreds.
fn is_as_it_is_compared(path: &[u8]) -> bool {
    let odd = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    path.first() == Some(&b'/')
        && (path.len() == 1 || path.last() != Some(&b'/'))
        && !path.windows(2).any(odd)
        && !path.iter().any(u8::is_ascii_control)
}

fn is_plain(path: &Path) -> bool {
    let climbs = path.components().any(|part| part == Component::ParentDir);
    let odd = path.as_os_str().as_encoded_bytes().iter().any(u8::is_ascii_control);
    path.is_absolute() && !climbs && !odd
}

impl Setting for Places {
    fn read(value: &DeValue<'_>) -> Read<Self> {
        Vec::read(value).map(Self)
    }
}

impl Setting for Names {
    fn read(value: &DeValue<'_>) -> Read<Self> {
        let names = Vec::<String>::read(value)?;
        let star_inside = |name: &String| name.strip_suffix('*').unwrap_or(name).contains('*');
        match names.iter().any(star_inside) {
            true => Err("may have a `*` at the end of a name only".to_owned()),
            false => Ok(Self(names)),
        }
    }
}

impl Setting for Ids {
    fn read(value: &DeValue<'_>) -> Read<Self> {
        let one = |text: &String| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let id = |text: &str| text.parse::<crate::types::Id>().ok().map(crate::types::Id::raw);
            match (id(first), id(last)) {
                (Some(first), Some(last)) if first <= last => Ok((first, last)),
                _ => Err(format!("has {text:?}, which is no id or range such as \"1000-1999\"")),
            }
        };
        Vec::<String>::read(value)?.iter().map(one).collect::<Read<_>>().map(Self)
    }
}

impl Setting for Caps {
    fn read(value: &DeValue<'_>) -> Read<Self> {
        let one = |mask: u64, name: &String| match name.parse::<CapName>() {
            Ok(cap) if name.starts_with("CAP_") => Ok(mask | 1 << cap.bit()),
            _ => Err(format!("has {name:?}, which is no capability such as \"CAP_KILL\"")),
        };
        Vec::<String>::read(value)?.iter().try_fold(0, one).map(Self)
    }
}

/// What a bound counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Size,
    /// Things.
    Count,
    /// Thousandths of a CPU.
    Cpu,
    /// Milliseconds.
    Time,
    /// Nothing: it can only be asked to be set.
    None,
}

/// Reads a bound.
pub fn bound(value: &DeValue<'_>, unit: Unit) -> Read<Bound> {
    if let DeValue::String(word) = value {
        match word.as_ref() {
            "unlimited" => return Ok(Bound::Unlimited),
            "set" => return Ok(Bound::Set),
            _ => {}
        }
    }
    amount(value, unit).map(Bound::Max).ok_or_else(|| match unit {
        Unit::Size => "must be a size such as \"512m\", \"set\" or \"unlimited\"".to_owned(),
        Unit::Count => "must be a number, \"set\" or \"unlimited\"".to_owned(),
        Unit::Cpu => "must be a number of CPUs such as 1.5, \"set\" or \"unlimited\"".to_owned(),
        Unit::Time => "must be a time such as \"10m\", \"set\" or \"unlimited\"".to_owned(),
        Unit::None => "must be \"set\" or \"unlimited\"".to_owned(),
    })
}

fn amount(value: &DeValue<'_>, unit: Unit) -> Option<u64> {
    match (unit, value) {
        (Unit::Size | Unit::Count, DeValue::Integer(_)) => integer(value)?.try_into().ok(),
        (Unit::Size, DeValue::String(text)) => text.parse::<ByteSize>().ok().map(ByteSize::bytes),
        (Unit::Cpu, DeValue::Integer(number)) => thousandths(number.as_str()),
        (Unit::Cpu, DeValue::Float(number)) => thousandths(number.as_str()),
        (Unit::Time, DeValue::String(text)) => {
            u64::try_from(text.parse::<Span>().ok()?.duration().as_millis()).ok()
        }
        _ => None,
    }
}

/// A decimal with up to three places, in thousandths.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 3 || !digits(whole) || !digits(part) {
        return None;
    }
    format!("{whole}{part:0<3}").parse().ok()
}

/// The value of a word.
pub fn choice<T: Copy>(known: &[(&str, T)], word: &str) -> Read<T> {
    let found = known.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        format!("has {word:?}, which is none of {}", names.join(", "))
    })
}
