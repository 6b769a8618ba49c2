//! The records of a pax extended header (POSIX.1-2001 pax, "pax Extended Header").

use super::number;

/// What the records say about one entry. A keyword that is absent, or empty, says nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) linkpath: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, i64)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: Sparse,
}

/// GNU tar's records of sparse files.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Sparse {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    /// `GNU.sparse.size` of 0.0 and 0.1, `GNU.sparse.realsize` of 1.0.
    pub(super) size: Option<u64>,
    pub(super) blocks: Option<u64>,
    /// Offsets and lengths in turn: repeated records in 0.0, a list in 0.1.
    pub(super) map: Vec<u64>,
}

/// Why the records are refused.
pub(super) type Flaw = &'static str;

/// Reads `LENGTH KEYWORD=VALUE\n` until the end.
pub(super) fn read(mut text: &[u8]) -> Result<Records, Flaw> {
    let mut records = Records::default();
    while !text.is_empty() {
        let (keyword, value, rest) = record(text).ok_or("a pax record is malformed")?;
        records.set(keyword, value)?;
        text = rest;
    }
    Ok(records)
}

fn record(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = text.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(number::decimal(text.get(..blank)?)?).ok()?;
    let (record, rest) = text.split_at_checked(length)?;
    let body = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    let (keyword, value) = (body.get(..equals)?, body.get(equals + 1..)?);
    (!keyword.is_empty() && !keyword.contains(&0)).then_some((keyword, value, rest))
}

impl Records {
    fn set(&mut self, keyword: &[u8], value: &[u8]) -> Result<(), Flaw> {
        if let Some(name) = keyword.strip_prefix(b"SCHILY.xattr.") {
            self.xattrs.retain(|(known, _)| known != name);
            self.xattrs.push((name.to_vec(), value.to_vec()));
            return Ok(());
        }
        if let Some(name) = keyword.strip_prefix(b"GNU.sparse.") {
            return self.sparse.set(name, value);
        }
        match keyword {
            b"path" => self.path = name(value)?,
            b"linkpath" => self.linkpath = name(value)?,
            b"size" => self.size = decimal(value)?,
            b"uid" => self.uid = decimal(value)?,
            b"gid" => self.gid = decimal(value)?,
            b"mtime" if value.is_empty() => self.mtime = None,
            b"mtime" => self.mtime = Some(number::time(value).ok_or("a pax time is malformed")?),
            // Names of owners, other times, comments, other programs' own.
            _ => {}
        }
        Ok(())
    }

    /// Whether they say something that changes an entry.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Sparse {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Flaw> {
        match key {
            b"major" => self.major = decimal(value)?,
            b"minor" => self.minor = decimal(value)?,
            b"name" => self.name = name(value)?,
            b"size" | b"realsize" => self.size = decimal(value)?,
            b"numblocks" => self.blocks = decimal(value)?,
            b"offset" | b"numbytes" => {
                // They come in pairs, an offset first.
                if self.map.len() % 2 != usize::from(key == b"numbytes") {
                    return Err("the sparse map is malformed");
                }
                self.map.extend(decimal(value)?);
            }
            b"map" => {
                let numbers = value.split(|byte| *byte == b',').map(number::decimal);
                self.map = numbers.collect::<Option<_>>().ok_or("the sparse map is malformed")?;
            }
            _ => return Err("a GNU.sparse record is unknown"),
        }
        Ok(())
    }
}

fn decimal(value: &[u8]) -> Result<Option<u64>, Flaw> {
    if value.is_empty() {
        return Ok(None);
    }
    number::decimal(value).map(Some).ok_or("a pax number is malformed")
}

fn name(value: &[u8]) -> Result<Option<Vec<u8>>, Flaw> {
    if value.contains(&0) {
        return Err("a pax name holds a NUL");
    }
    Ok(Some(value.to_vec()).filter(|value| !value.is_empty()))
}
