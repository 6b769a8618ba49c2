//! Entries of an archive: ustar, with a PAX header where that is too narrow. tar(5),
//! POSIX.1-2017 pax "Extended Header"; attributes as `SCHILY.xattr.NAME` (image-spec, layer.md).

use std::io::Write;

use crate::error::{Call, Result};

const BLOCK: usize = 512;
/// What octal digits can say in the field of the size, and in those of ids.
const LARGEST_SIZE: u64 = 0o77_777_777_777;
const LARGEST_ID: u32 = 0o7_777_777;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A regular file of this many bytes, which follow.
    File(u64),
    /// A directory.
    Directory,
    /// A symbolic link that says this.
    Symlink(&'a [u8]),
    /// Another name of an earlier entry.
    HardLink(&'a [u8]),
    /// A named pipe.
    Fifo,
}

/// One entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Without a slash in front.
    pub name: &'a [u8],
    /// What it is.
    pub kind: Kind<'a>,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since the epoch.
    pub mtime: u64,
    /// Extended attributes, name and value.
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

/// Writes the header; of a file the content and [`pad`] follow.
///
/// # Errors
/// write(2).
pub fn write_entry(to: &mut dyn Write, entry: &Entry<'_>) -> Result<()> {
    let extended = extended(entry);
    if !extended.is_empty() {
        let kind = Kind::File(extended.len() as u64);
        let own =
            Entry { name: b"PaxHeaders/entry", kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: &[] };
        to.write_all(&header(&own, b'x')).call("write")?;
        to.write_all(&extended).call("write")?;
        pad(to, extended.len() as u64)?;
    }
    to.write_all(&header(entry, flag(entry.kind))).call("write")
}

/// Fills up what follows a content of this size.
///
/// # Errors
/// write(2).
pub fn pad(to: &mut dyn Write, size: u64) -> Result<()> {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    match over {
        0 => Ok(()),
        over => to.write_all([0; BLOCK].get(over..).unwrap_or_default()).call("write"),
    }
}

/// Two blocks of zeros.
///
/// # Errors
/// write(2).
pub fn write_end(to: &mut dyn Write) -> Result<()> {
    to.write_all(&[0; 2 * BLOCK]).call("write")
}

fn flag(kind: Kind<'_>) -> u8 {
    match kind {
        Kind::File(_) => b'0',
        Kind::HardLink(_) => b'1',
        Kind::Symlink(_) => b'2',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

fn link(kind: Kind<'_>) -> &[u8] {
    match kind {
        Kind::Symlink(target) | Kind::HardLink(target) => target,
        _ => b"",
    }
}

fn size(kind: Kind<'_>) -> u64 {
    match kind {
        Kind::File(size) => size,
        _ => 0,
    }
}

fn extended(entry: &Entry<'_>) -> Vec<u8> {
    let mut records = vec![];
    if entry.name.len() > 100 {
        record(&mut records, b"path", entry.name);
    }
    if link(entry.kind).len() > 100 {
        record(&mut records, b"linkpath", link(entry.kind));
    }
    if size(entry.kind) > LARGEST_SIZE {
        record(&mut records, b"size", size(entry.kind).to_string().as_bytes());
    }
    for (key, id) in [("uid", entry.uid), ("gid", entry.gid)] {
        if id > LARGEST_ID {
            record(&mut records, key.as_bytes(), id.to_string().as_bytes());
        }
    }
    for (name, value) in entry.xattrs {
        record(&mut records, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    records
}

/// The length counts itself.
fn record(to: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    to.extend_from_slice(format!("{length} ").as_bytes());
    to.extend_from_slice(key);
    to.push(b'=');
    to.extend_from_slice(value);
    to.push(b'\n');
}

fn header(entry: &Entry<'_>, flag: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8], most: usize| {
        for (place, byte) in block.iter_mut().skip(at).zip(bytes.iter().take(most)) {
            *place = *byte;
        }
    };
    let octal = |value: u64, digits: usize| format!("{value:0digits$o}");
    let id = |id: u32| u64::from(if id > LARGEST_ID { 0 } else { id });
    let bytes = size(entry.kind);
    put(0, entry.name, 100);
    put(100, octal(u64::from(entry.mode & 0o7777), 7).as_bytes(), 7);
    put(108, octal(id(entry.uid), 7).as_bytes(), 7);
    put(116, octal(id(entry.gid), 7).as_bytes(), 7);
    put(124, octal(if bytes > LARGEST_SIZE { 0 } else { bytes }, 11).as_bytes(), 11);
    put(136, octal(entry.mtime.min(LARGEST_SIZE), 11).as_bytes(), 11);
    put(148, b"        ", 8);
    put(156, &[flag], 1);
    put(157, link(entry.kind), 100);
    put(257, b"ustar\x0000", 8);
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    let text = format!("{sum:06o}\0 ");
    for (place, byte) in block.iter_mut().skip(148).zip(text.as_bytes()) {
        *place = *byte;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        let mut records = vec![];
        record(&mut records, b"path", b"x");
        assert_eq!(records, b"9 path=x\n");
        records.clear();
        record(&mut records, b"path", &[b'y'; 90]);
        assert!(records.starts_with(b"99 path=") && records.len() == 99);
        records.clear();
        record(&mut records, b"path", &[b'y'; 91]);
        assert!(records.starts_with(b"101 path=") && records.len() == 101);
    }
}
