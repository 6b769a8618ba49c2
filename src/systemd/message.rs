//! Messages of D-Bus: a method call written, what a bus sends read (D-Bus specification, "Message Format").

use crate::error::Result;

use super::wire::{Reader, Writer, malformed};

/// The largest message that is taken; systemd's answers have some hundred bytes.
const LONGEST: usize = 1 << 20;
/// The fixed start of a header, up to the length of its fields.
pub(super) const PROLOGUE: usize = 16;

const LITTLE_ENDIAN: u8 = b'l';
const VERSION: u8 = 1;

/// Types of messages.
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

/// Header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SENDER: u8 = 7;
const SIGNATURE: u8 = 8;

/// A method, and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method<'m> {
    /// The bus name.
    pub destination: &'m str,
    pub path: &'m str,
    pub interface: &'m str,
    pub member: &'m str,
}

/// Marshals a call with a body that is marshalled already. A direct connection has no names, so no destination.
pub(super) fn call(serial: u32, method: Method<'_>, signature: &str, body: &[u8]) -> Vec<u8> {
    let mut to = Writer::default();
    for byte in [LITTLE_ENDIAN, METHOD_CALL, 0, VERSION] {
        to.byte(byte);
    }
    to.u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    to.u32(serial);
    to.array(8, |to| {
        let texts =
            [(PATH, "o", method.path), (INTERFACE, "s", method.interface), (MEMBER, "s", method.member)];
        let destination = (DESTINATION, "s", method.destination);
        for (code, kind, text) in
            texts.into_iter().chain([destination]).filter(|(_, _, text)| !text.is_empty())
        {
            to.align(8);
            to.byte(code);
            to.signature(kind);
            to.text(text);
        }
        if !signature.is_empty() {
            to.align(8);
            to.byte(SIGNATURE);
            to.signature("g");
            to.signature(signature);
        }
    });
    to.align(8);
    let mut bytes = to.into_bytes();
    bytes.extend(body);
    bytes
}

/// What a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    Return,
    Error,
    Signal,
    /// A call, or what a later version of the protocol may have: not for us.
    #[default]
    Other,
}

/// A message that was received; what its header does not say is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub kind: Kind,
    /// Empty on a direct connection.
    pub sender: String,
    pub reply_to: Option<u32>,
    pub interface: String,
    pub member: String,
    pub error: String,
    pub signature: String,
    pub body: Vec<u8>,
}

/// How many bytes the message has whose first [`PROLOGUE`] bytes these are.
pub(super) fn size(prologue: &[u8]) -> Result<usize> {
    let mut reader = Reader::new(prologue);
    if reader.byte()? != LITTLE_ENDIAN {
        return Err(malformed("a message in another byte order"));
    }
    let (_, _, version) = (reader.byte()?, reader.byte()?, reader.byte()?);
    if version != VERSION {
        return Err(malformed("a message of another version"));
    }
    let (body, _, fields) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let fields = usize::try_from(fields).unwrap_or(usize::MAX);
    let body = usize::try_from(body).unwrap_or(usize::MAX);
    let whole = fields.checked_add(PROLOGUE).and_then(|head| head.checked_next_multiple_of(8));
    match whole.and_then(|head| head.checked_add(body)) {
        Some(whole) if whole <= LONGEST => Ok(whole),
        _ => Err(malformed("a message that is too long")),
    }
}

/// Reads a whole message, as long as [`size`] says.
pub(super) fn read(bytes: &[u8]) -> Result<Message> {
    let kind = match bytes.get(1).copied() {
        Some(METHOD_RETURN) => Kind::Return,
        Some(ERROR) => Kind::Error,
        Some(SIGNAL) => Kind::Signal,
        _ => Kind::Other,
    };
    let mut message = Message { kind, ..Message::default() };
    let mut reader = Reader::new(bytes);
    reader.u32()?;
    let body = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
    reader.u32()?;
    let mut fields = reader.array(8)?;
    while !fields.is_at_end() {
        fields.align(8)?;
        field(&mut message, &mut fields)?;
    }
    let start = bytes.len().checked_sub(body).ok_or_else(|| malformed("a body without its message"))?;
    message.body = bytes.get(start..).unwrap_or_default().to_vec();
    Ok(message)
}

fn field(message: &mut Message, fields: &mut Reader<'_>) -> Result<()> {
    match fields.byte()? {
        REPLY_SERIAL => message.reply_to = Some(fields.u32_variant()?),
        INTERFACE => message.interface = fields.text_variant()?.to_owned(),
        MEMBER => message.member = fields.text_variant()?.to_owned(),
        ERROR_NAME => message.error = fields.text_variant()?.to_owned(),
        SENDER => message.sender = fields.text_variant()?.to_owned(),
        SIGNATURE => message.signature = fields.text_variant()?.to_owned(),
        PATH | DESTINATION => {
            fields.text_variant()?;
        }
        // The number of descriptors, which are never taken, and what may come: a number or a text.
        _ => {
            let mut other = fields.clone();
            match other.u32_variant() {
                Ok(_) => *fields = other,
                Err(_) => {
                    fields.text_variant()?;
                }
            }
        }
    }
    Ok(())
}
