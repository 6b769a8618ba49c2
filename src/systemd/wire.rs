//! Values of D-Bus in its marshalled form (D-Bus specification, "Marshaling (Wire Format)"): the few
//! types that systemd's interfaces take, written; fewer still read. Little-endian, as every bus on the
//! machines that pinfold runs on.
//!
//! What is read comes from another process: nothing is taken beyond the bytes that are there, and
//! what does not fit is an error.

use crate::error::{Error, Result};

/// A value of a property or an argument.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `y`
    Byte(u8),
    /// `b`
    Bool(bool),
    /// `i`
    Int32(i32),
    /// `u`
    Uint32(u32),
    /// `x`
    Int64(i64),
    /// `t`
    Uint64(u64),
    /// `d`
    Double(f64),
    /// `s`
    Text(String),
    /// `as`
    Texts(Vec<String>),
    /// `ay`
    Bytes(Vec<u8>),
    /// `au`
    Uint32s(Vec<u32>),
}

impl Value {
    /// Its signature.
    pub fn signature(&self) -> &'static str {
        match self {
            Self::Byte(_) => "y",
            Self::Bool(_) => "b",
            Self::Int32(_) => "i",
            Self::Uint32(_) => "u",
            Self::Int64(_) => "x",
            Self::Uint64(_) => "t",
            Self::Double(_) => "d",
            Self::Text(_) => "s",
            Self::Texts(_) => "as",
            Self::Bytes(_) => "ay",
            Self::Uint32s(_) => "au",
        }
    }
}

/// Writes values one after the other, each at its alignment from the start.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_le_bytes());
    }

    /// `s` and `o`: the length, the bytes, a NUL that is not counted.
    pub fn text(&mut self, value: &str) {
        self.u32(length(value.len()));
        self.0.extend(value.as_bytes());
        self.0.push(0);
    }

    /// `g`: the same with a length of one byte.
    pub fn signature(&mut self, value: &str) {
        self.byte(u8::try_from(value.len()).unwrap_or(u8::MAX));
        self.0.extend(value.as_bytes());
        self.0.push(0);
    }

    /// An array of elements that are aligned to `align`, written by `elements`.
    pub fn array(&mut self, align: usize, elements: impl FnOnce(&mut Self)) {
        self.u32(0);
        let counted = self.0.len();
        self.align(align);
        let start = self.0.len();
        elements(self);
        let bytes = length(self.0.len().saturating_sub(start)).to_le_bytes();
        if let Some(place) = self.0.get_mut(counted.saturating_sub(4)..counted) {
            place.copy_from_slice(&bytes);
        }
    }

    pub fn variant(&mut self, value: &Value) {
        self.signature(value.signature());
        self.value(value);
    }

    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Byte(value) => self.byte(*value),
            Value::Bool(value) => self.u32(u32::from(*value)),
            Value::Int32(value) => self.u32(value.cast_unsigned()),
            Value::Uint32(value) => self.u32(*value),
            Value::Int64(value) => self.u64(value.cast_unsigned()),
            Value::Uint64(value) => self.u64(*value),
            Value::Double(value) => self.u64(value.to_bits()),
            Value::Text(value) => self.text(value),
            Value::Texts(values) => self.array(4, |to| values.iter().for_each(|value| to.text(value))),
            Value::Bytes(values) => self.array(1, |to| to.0.extend(values)),
            Value::Uint32s(values) => self.array(4, |to| values.iter().for_each(|value| to.u32(*value))),
        }
    }
}

/// What is longer than 4 GiB is no configuration that was read.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Reads values one after the other.
#[derive(Debug, Clone)]
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub fn align(&mut self, to: usize) -> Result<()> {
        let padding = self.at.next_multiple_of(to).saturating_sub(self.at);
        self.take(padding).map(|_| ())
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8]> {
        let end = self.at.checked_add(count).ok_or_else(cut_off)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(cut_off)?;
        self.at = end;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Result<u8> {
        self.take(1)?.first().copied().ok_or_else(cut_off)
    }

    pub fn u32(&mut self) -> Result<u32> {
        self.align(4)?;
        let bytes = self.take(4)?.try_into().or(Err(cut_off()))?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// A length or count.
    fn size(&mut self) -> Result<usize> {
        usize::try_from(self.u32()?).or(Err(cut_off()))
    }

    /// `s` and `o`.
    pub fn text(&mut self) -> Result<&'b str> {
        let size = self.size()?;
        self.terminated(size)
    }

    /// `g`.
    pub fn signature(&mut self) -> Result<&'b str> {
        let size = usize::from(self.byte()?);
        self.terminated(size)
    }

    fn terminated(&mut self, size: usize) -> Result<&'b str> {
        let bytes = self.take(size)?;
        match self.byte()? {
            0 => str::from_utf8(bytes).map_err(|error| malformed(&error.to_string())),
            _ => Err(malformed("a text without its end")),
        }
    }

    /// The bytes of an array whose elements are aligned to `align`, to be read by themselves.
    pub fn array(&mut self, align: usize) -> Result<Self> {
        let size = self.size()?;
        self.align(align)?;
        let start = self.at;
        self.take(size)?;
        let bytes = self.bytes.get(..self.at).ok_or_else(cut_off)?;
        Ok(Self { bytes, at: start })
    }

    /// A variant that holds a text or a path.
    pub fn text_variant(&mut self) -> Result<&'b str> {
        match self.signature()? {
            "s" | "o" => self.text(),
            "g" => self.signature(),
            other => Err(malformed(&format!("a value of type {other:?} instead of a text"))),
        }
    }

    /// A variant that holds a number of 32 bits.
    pub fn u32_variant(&mut self) -> Result<u32> {
        match self.signature()? {
            "u" => self.u32(),
            other => Err(malformed(&format!("a value of type {other:?} instead of a number"))),
        }
    }
}

fn cut_off() -> Error {
    malformed("a message that ends too early")
}

pub(super) fn malformed(what: &str) -> Error {
    Error::setup(format!("the bus sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the specification's rules give, byte by byte.
    #[test]
    fn each_type_has_its_alignment_and_length() {
        let rows: Vec<(Value, &[u8])> = vec![
            (Value::Byte(7), &[7]),
            (Value::Bool(true), &[1, 0, 0, 0]),
            (Value::Int32(-1), &[255; 4]),
            (Value::Uint32(258), &[2, 1, 0, 0]),
            (Value::Int64(-2), &[254, 255, 255, 255, 255, 255, 255, 255]),
            (Value::Uint64(1), &[1, 0, 0, 0, 0, 0, 0, 0]),
            (Value::Double(1.0), &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f]),
            (Value::Text("ab".into()), &[2, 0, 0, 0, b'a', b'b', 0]),
            (
                Value::Texts(vec!["a".into(), "b".into()]),
                &[14, 0, 0, 0, 1, 0, 0, 0, b'a', 0, 0, 0, 1, 0, 0, 0, b'b', 0],
            ),
            (Value::Bytes(vec![9, 8]), &[2, 0, 0, 0, 9, 8]),
            (Value::Uint32s(vec![1]), &[4, 0, 0, 0, 1, 0, 0, 0]),
        ];
        for (value, bytes) in rows {
            let mut writer = Writer::default();
            writer.value(&value);
            assert_eq!(writer.into_bytes(), bytes, "{value:?}");
        }
    }

    #[test]
    fn an_array_counts_its_elements_and_not_the_padding_before_them() {
        let mut writer = Writer::default();
        writer.array(8, |to| to.value(&Value::Uint64(3)));
        assert_eq!(writer.into_bytes(), [8, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        let mut writer = Writer::default();
        writer.array(8, |_| ());
        assert_eq!(writer.into_bytes(), [0; 8]);
    }

    #[test]
    fn a_variant_begins_with_its_signature() {
        let mut writer = Writer::default();
        writer.variant(&Value::Uint32(1));
        assert_eq!(writer.into_bytes(), [1, b'u', 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn what_was_written_is_read() {
        let mut writer = Writer::default();
        writer.byte(1);
        writer.text("scope");
        writer.variant(&Value::Text("x".into()));
        writer.array(4, |to| to.u32(5));
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.byte().unwrap(), 1);
        assert_eq!(reader.text().unwrap(), "scope");
        assert_eq!(reader.text_variant().unwrap(), "x");
        let mut array = reader.array(4).unwrap();
        assert_eq!(array.u32().unwrap(), 5);
        assert!(array.is_at_end() && reader.is_at_end());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let read_text = |bytes: &[u8]| Reader::new(bytes).text().map(str::to_owned);
        for bytes in [
            &[][..],
            &[1, 0, 0],
            &[1, 0, 0, 0],
            &[1, 0, 0, 0, b'a'],
            &[1, 0, 0, 0, b'a', 1],
            &[255, 255, 255, 255, b'a', 0],
            &[1, 0, 0, 0, 0xff, 0],
        ] {
            assert!(read_text(bytes).is_err(), "{bytes:?}");
        }
        assert!(Reader::new(&[8, 0, 0, 0, 1, 2]).array(1).is_err());
        assert!(Reader::new(&[1, b'u', 0, 0]).u32_variant().is_err());
        assert!(Reader::new(&[1, b's', 0, 0, 1, 0, 0, 0]).u32_variant().is_err());
    }
}
