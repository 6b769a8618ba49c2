//! One record as a line: `{"format":1,"seq":N,"prev":"..",...,"hash":".."}`. `hash` is the
//! SHA-256 of all bytes of the line in front of `,"hash":`, `prev` the hash of the record before.
//! The line is ASCII: what stands in a value can neither begin a line nor reach a terminal.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::types::hex;

/// The format that is written, and the newest that is read.
pub const FORMAT_VERSION: u64 = 1;
/// A line has at most this many bytes, its end included.
pub const LONGEST: usize = 64 << 10;
/// `prev` of a record that has none before it.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// What stands in front of a record's own hash, and behind it.
const HASH: &[u8] = b",\"hash\":\"";
const END: &[u8] = b"\"}";
const DIGITS: usize = 64;

/// The newest record of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub seq: u64,
    /// Its hash: 64 hexadecimal digits.
    pub hash: String,
}

impl Head {
    /// That of a log without records.
    pub fn nothing() -> Self {
        Self { seq: 0, hash: NOTHING.to_owned() }
    }
}

/// A record that was read.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// `seq`.
    pub seq: u64,
    /// `prev`.
    pub prev: String,
    /// `hash`, as it stands there.
    pub hash: String,
    /// What it should be.
    pub computed: String,
    /// All of it.
    pub content: Map<String, Value>,
}

impl Sealed {
    /// Whether its own hash holds.
    pub fn is_intact(&self) -> bool {
        self.hash == self.computed
    }

    /// Itself as a predecessor.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash.clone() }
    }

    /// A text of it; empty where there is none.
    pub fn text(&self, key: &str) -> &str {
        self.content.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// What a line is.
#[derive(Debug, Clone)]
pub enum Line {
    /// A record.
    Sealed(Box<Sealed>),
    /// A record of a format that this pinfold does not know.
    Newer(u64),
    /// Neither: a torn write, or somebody else's.
    Unreadable,
}

/// What a record says.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// Its fields but one.
    pub fields: Map<String, Value>,
    /// `judged`, as JSON: by far the largest, and written as it was made.
    pub judged: Option<String>,
}

impl Body {
    /// Adds what another says.
    pub fn with(&mut self, other: Self) {
        self.fields.extend(other.fields);
        self.judged = other.judged.or(self.judged.take());
    }
}

/// The line of the record that follows `before`, of what [`fields`] made, and itself as a head.
pub fn seal(before: &Head, fields: &str) -> (String, Head) {
    let seq = before.seq.saturating_add(1);
    let mut line =
        format!("{{\"format\":{FORMAT_VERSION},\"seq\":{seq},\"prev\":\"{}\",{fields}", before.hash);
    let hash = digest(line.as_bytes());
    line.extend([",\"hash\":\"", &hash, "\"}\n"]);
    (line, Head { seq, hash })
}

/// A body as JSON in ASCII, without its braces.
///
/// # Errors
/// None in practice: serde_json.
pub fn fields(body: &Body) -> Result<String> {
    let json = serde_json::to_string(&body.fields).map_err(|error| Error::internal(error.to_string()))?;
    let mut json =
        json.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default().to_owned();
    if let Some(judged) = &body.judged {
        let comma = if json.is_empty() { "" } else { "," };
        json.extend([comma, "\"judged\":", judged]);
    }
    Ok(ascii(json))
}

/// The head that a line is, without its end, where it has the form in which [`seal`] writes and its hash holds:
/// what stands between need not be understood to go on from it.
pub fn head(line: &[u8]) -> Option<Head> {
    let (start, hash) = hash_of(line)?;
    let rest = start.strip_prefix(format!("{{\"format\":{FORMAT_VERSION},\"seq\":").as_bytes())?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (seq, rest) = rest.split_at_checked(digits)?;
    let seq = std::str::from_utf8(seq).ok()?.parse().ok()?;
    let prev = rest.strip_prefix(b",\"prev\":\"")?.get(..DIGITS)?;
    std::str::from_utf8(prev).ok().filter(|prev| is_hash(prev))?;
    (digest(start) == hash).then(|| Head { seq, hash: hash.to_owned() })
}

/// What one line is, without its end.
pub fn read(line: &[u8]) -> Line {
    let Ok(Value::Object(content)) = serde_json::from_slice::<Value>(line) else { return Line::Unreadable };
    match content.get("format").and_then(Value::as_u64) {
        Some(FORMAT_VERSION) => {}
        Some(newer) if newer > FORMAT_VERSION => return Line::Newer(newer),
        _ => return Line::Unreadable,
    }
    sealed(line, content).map_or(Line::Unreadable, |sealed| Line::Sealed(Box::new(sealed)))
}

/// What a line's hash is over, and the hash.
fn hash_of(line: &[u8]) -> Option<(&[u8], &str)> {
    let rest = line.strip_suffix(END)?;
    let (start, hash) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    let hash = std::str::from_utf8(hash).ok().filter(|hash| is_hash(hash))?;
    Some((start.strip_suffix(HASH)?, hash))
}

fn sealed(line: &[u8], content: Map<String, Value>) -> Option<Sealed> {
    let (start, hash) = hash_of(line)?;
    let prev = content.get("prev")?.as_str().filter(|prev| is_hash(prev))?.to_owned();
    let seq = content.get("seq")?.as_u64()?;
    Some(Sealed { seq, prev, hash: hash.to_owned(), computed: digest(start), content })
}

/// Whether a text has the form of a hash.
pub fn is_hash(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// SHA-256 in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}

/// JSON in which every character beyond ASCII, and DEL, is written as an escape: outside of
/// texts JSON has none of them. serde_json leaves the C1 controls as they are, and a terminal
/// may take U+009B for the start of a sequence.
fn ascii(json: String) -> String {
    if json.bytes().all(|byte| byte.is_ascii() && byte != 0x7f) {
        return json;
    }
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii() && letter != '\u{7f}' {
            text.push(letter);
        } else {
            let mut units = [0_u16; 2];
            letter.encode_utf16(&mut units).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sealed(before: &Head, value: Value) -> (String, Head) {
        let body = Body { fields: value.as_object().unwrap().clone(), judged: Some("{\"a\":[]}".to_owned()) };
        seal(before, &fields(&body).unwrap())
    }

    #[test]
    fn a_record_names_its_predecessor_and_seals_itself() {
        let (line, head) = sealed(&Head::nothing(), json!({"kind": "a"}));
        let Line::Sealed(first) = read(line.trim_end().as_bytes()) else { panic!("{line}") };
        assert!(first.is_intact() && first.head() == head && first.prev == NOTHING);
        let (line, _) = sealed(&head, json!({"kind": "b"}));
        let Line::Sealed(second) = read(line.trim_end().as_bytes()) else { panic!("{line}") };
        assert_eq!((second.seq, &second.prev), (2, &head.hash));
        assert_eq!(super::head(line.trim_end().as_bytes()), Some(second.head()));
    }

    #[test]
    fn any_changed_byte_is_seen() {
        let (line, _) = sealed(&Head::nothing(), json!({"argv": ["a", "é\n\u{9b}31m"]}));
        let line = line.trim_end().as_bytes();
        for at in 0..line.len() {
            let mut other = line.to_vec();
            other[at] ^= 1;
            let intact = matches!(read(&other), Line::Sealed(sealed) if sealed.is_intact());
            assert!(!intact && head(&other).is_none(), "byte {at}");
        }
    }

    #[test]
    fn a_line_is_printable_ascii_whatever_is_in_it() {
        let hostile: String = (0..0x2100).filter_map(char::from_u32).chain(['\u{1f600}']).collect();
        let (line, _) = sealed(&Head::nothing(), json!({"x": hostile, "y\n": 1}));
        let inside = line.strip_suffix('\n').unwrap();
        assert!(inside.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        let Line::Sealed(read) = read(inside.as_bytes()) else { panic!() };
        assert_eq!(read.text("x"), hostile);
    }

    #[test]
    fn another_format_is_told_from_what_is_no_record() {
        assert!(matches!(read(b"{\"format\":2,\"whatever\":[]}"), Line::Newer(2)));
        for other in ["", "{", "{\"format\":1}", "[1]", "{\"format\":0,\"hash\":\"\"}", "\u{0}\u{0}"] {
            assert!(matches!(read(other.as_bytes()), Line::Unreadable), "{other}");
            assert_eq!(head(other.as_bytes()), None);
        }
    }
}
