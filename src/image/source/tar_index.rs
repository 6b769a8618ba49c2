//! Which files an archive has, and where: one pass over the headers of a file that is held
//! open. Nothing is written anywhere, so names need no safe meaning; one that stands for two
//! files is refused, since two readers would see two images. tar(5): ustar, PAX, GNU names.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::error::{Call, Result};
use crate::image::failed;

const BLOCK: u64 = 512;
/// The most entries of an archive of images: a layer has three of its own in Docker's form.
const MOST_ENTRIES: usize = 10_000;
/// The longest extended header.
const LONGEST_EXTENSION: u64 = 1 << 16;

/// A file of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub offset: u64,
    pub size: u64,
}

/// What stands in an archive.
#[derive(Debug)]
pub(super) struct TarIndex {
    file: File,
    files: BTreeMap<String, Span>,
    links: BTreeMap<String, String>,
}

/// What an extended header says of the next entry.
#[derive(Default)]
struct Extension {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

impl TarIndex {
    pub(super) fn read(file: File) -> Result<Self> {
        let length = file.metadata().call("fstat")?.len();
        let mut index = Self { file, files: BTreeMap::new(), links: BTreeMap::new() };
        let (mut at, mut extension, mut entries) = (0, Extension::default(), 0);
        while at < length {
            let header = index.header(at)?;
            if header.iter().all(|byte| *byte == 0) {
                break;
            }
            entries += 1;
            if entries > MOST_ENTRIES {
                return Err(failed(format!("has more than {MOST_ENTRIES} entries")));
            }
            let wrong = |words: &str| failed(format!("{words} at byte {at}"));
            check_sum(&header).ok_or_else(|| wrong("has no header of an archive"))?;
            let kind = header.get(156).copied().unwrap_or_default();
            let own_size = number(header.get(124..136).unwrap_or_default())
                .ok_or_else(|| wrong("has a size that is no number"))?;
            let is_extension = matches!(kind, b'x' | b'g' | b'L' | b'K');
            let size = if is_extension { own_size } else { extension.size.unwrap_or(own_size) };
            let span = Span { offset: at + BLOCK, size };
            let end = size.checked_next_multiple_of(BLOCK).and_then(|size| span.offset.checked_add(size));
            let end = end.filter(|end| *end <= length).ok_or_else(|| wrong("ends within an entry"))?;
            match kind {
                b'x' => extension = index.extended(span, extension)?,
                b'L' => extension.path = Some(index.text(span)?),
                b'K' => extension.link = Some(index.text(span)?),
                b'g' => {}
                _ => index.add(&header, kind, span, std::mem::take(&mut extension))?,
            }
            at = end;
        }
        Ok(index)
    }

    fn header(&self, at: u64) -> Result<[u8; 512]> {
        let mut header = [0; 512];
        self.file
            .read_exact_at(&mut header, at)
            .map_err(|_short| failed(format!("ends within an entry at byte {at}")))?;
        Ok(header)
    }

    fn add(&mut self, header: &[u8; 512], kind: u8, span: Span, extension: Extension) -> Result<()> {
        let name = extension.path.unwrap_or_else(|| own_name(header));
        let name = clean(&name);
        let twice = match kind {
            0 | b'0' | b'7' => {
                self.links.contains_key(&name) || self.files.insert(name.clone(), span).is_some()
            }
            b'1' | b'2' => {
                let target = extension.link.unwrap_or_else(|| text(header.get(157..257).unwrap_or_default()));
                self.files.contains_key(&name) || self.links.insert(name.clone(), target).is_some()
            }
            _ => false,
        };
        match twice {
            true => Err(failed("stands in the archive twice").object(format!("{name:?}"))),
            false => Ok(()),
        }
    }

    fn text(&self, span: Span) -> Result<String> {
        Ok(text(&self.bytes(span)?))
    }

    fn bytes(&self, span: Span) -> Result<Vec<u8>> {
        if span.size > LONGEST_EXTENSION {
            return Err(failed(format!("has a long extended header at byte {}", span.offset)));
        }
        let mut bytes = vec![0; usize::try_from(span.size).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, span.offset).call("pread")?;
        Ok(bytes)
    }

    /// PAX: `LENGTH KEY=VALUE\n`.
    fn extended(&self, span: Span, mut known: Extension) -> Result<Extension> {
        let bytes = self.bytes(span)?;
        let wrong = || failed(format!("has a bad extended header at byte {}", span.offset));
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let space = rest.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
            let length =
                rest.get(..space).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(wrong)?;
            let length: usize = length.parse().map_err(|_what| wrong())?;
            let record = rest.get(space + 1..length.checked_sub(1).ok_or_else(wrong)?).ok_or_else(wrong)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
            let (key, value) = record.split_at(equals);
            let value = String::from_utf8_lossy(value.get(1..).unwrap_or_default()).into_owned();
            match key {
                b"path" => known.path = Some(value),
                b"linkpath" => known.link = Some(value),
                b"size" => known.size = Some(value.parse().map_err(|_what| wrong())?),
                key if key.starts_with(b"GNU.sparse") => {
                    return Err(failed("has a sparse file, which no archive of images needs"));
                }
                _ => {}
            }
            rest = rest.get(length..).ok_or_else(wrong)?;
        }
        Ok(known)
    }

    /// The file of this name; through one link of the archive itself, which older versions of
    /// Docker write for a layer that occurs twice.
    pub(super) fn find(&self, name: &str) -> Option<Span> {
        let direct = self.files.get(name).copied();
        direct.or_else(|| {
            let target = self.links.get(name)?;
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            self.files
                .get(&clean(&format!("{folder}/{target}")))
                .or_else(|| self.files.get(&clean(target)))
                .copied()
        })
    }

    /// The bytes of a file.
    pub(super) fn open(&self, span: Span) -> Reader<'_> {
        Reader { file: &self.file, at: span.offset, end: span.offset.saturating_add(span.size) }
    }
}

/// Reads a part of the archive.
pub(super) struct Reader<'f> {
    file: &'f File,
    at: u64,
    end: u64,
}

impl std::io::Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let Some(part) = buffer.get_mut(..most).filter(|part| !part.is_empty()) else { return Ok(0) };
        let count = self.file.read_at(part, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn own_name(header: &[u8; 512]) -> String {
    let name = text(header.get(..100).unwrap_or_default());
    let is_ustar = header.get(257..263) == Some(b"ustar\0");
    let prefix = if is_ustar { text(header.get(345..500).unwrap_or_default()) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

/// Without `.` and empty parts; `..` takes a part away, and stays where there is none.
fn clean(name: &str) -> String {
    let mut parts: Vec<&str> = vec![];
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn check_sum(header: &[u8; 512]) -> Option<()> {
    let said = number(header.get(148..156)?)?;
    let sum: u64 = (0..)
        .zip(header)
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
        .sum();
    (said == sum).then_some(())
}

/// Octal, or GNU's base 256 for large ones.
fn number(field: &[u8]) -> Option<u64> {
    if field.first().is_some_and(|first| *first == 0x80) {
        let high = field.get(1..field.len().checked_sub(8)?)?;
        let low: [u8; 8] = field.get(field.len() - 8..)?.try_into().ok()?;
        return high.iter().all(|byte| *byte == 0).then(|| u64::from_be_bytes(low));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if text.is_empty() {
        return Some(0);
    }
    let octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    octal.then(|| u64::from_str_radix(text, 8).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_one_form() {
        let rows = [
            ("./a//b", "a/b"),
            ("/a", "a"),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("a/../../b", "../b"),
            (".", ""),
        ];
        for (name, expected) in rows {
            assert_eq!(clean(name), expected, "{name}");
        }
    }

    #[test]
    fn numbers_are_octal_or_large() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"     12 "), Some(0o12));
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]), Some(0x2_0000_0000));
        assert_eq!(number(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(number(&[0xff; 12]), None);
        assert_eq!(number(b"-1\0"), None);
        assert_eq!(number(b"8\0"), None);
    }
}
