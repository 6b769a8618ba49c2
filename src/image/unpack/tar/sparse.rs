//! Sparse files: GNU's old form, and its pax forms 0.0, 0.1 and 1.0 (GNU tar manual,
//! "Storing Sparse Files").

use super::Part;
use super::number;
use super::pax::{Flaw, Sparse};

/// Bytes of one part in a binary map.
const BINARY: usize = 24;

/// Which of the forms the pax records announce.
pub(super) enum Form {
    /// None: the file is stored whole.
    Whole,
    /// 0.0 and 0.1: the map is in the records.
    InRecords,
    /// 1.0: the map stands before the content.
    InContent,
}

impl Sparse {
    /// The form, by version and by what is there.
    pub(super) fn form(&self) -> Result<Form, Flaw> {
        match (self.major, self.minor) {
            (Some(1), Some(0)) => Ok(Form::InContent),
            (None | Some(0), None | Some(0 | 1)) if self.size.is_none() && self.map.is_empty() => {
                Ok(Form::Whole)
            }
            (None | Some(0), None | Some(0 | 1)) => Ok(Form::InRecords),
            _ => Err("the version of the sparse format is unknown"),
        }
    }
}

/// Pairs of offset and length.
pub(super) fn parts(numbers: &[u64]) -> Result<Vec<Part>, Flaw> {
    let part = |pair: &[u64]| match pair {
        [offset, length] => Ok(Part { offset: *offset, length: *length }),
        _ => Err("the sparse map is malformed"),
    };
    numbers.chunks(2).map(part).collect()
}

/// Adds the parts of a binary map: offset and length of twelve bytes each, up to an empty one.
pub(super) fn add_binary(map: &[u8], parts: &mut Vec<Part>) -> Result<(), Flaw> {
    for entry in map.chunks_exact(BINARY) {
        if entry.first() == Some(&0) {
            break;
        }
        let (offset, length) = entry.split_at_checked(12).ok_or("the sparse map is malformed")?;
        let number = |bytes| number::field(bytes).and_then(|number| u64::try_from(number).ok());
        match (number(offset), number(length)) {
            (Some(offset), Some(length)) => parts.push(Part { offset, length }),
            _ => return Err("the sparse map is malformed"),
        }
    }
    Ok(())
}

/// A map in text, one number per line, the first of which is how many parts follow. It comes
/// in blocks and is read once, when it is complete.
#[derive(Default)]
pub(super) struct TextMap {
    text: Vec<u8>,
    lines: usize,
    wanted: Option<usize>,
}

impl TextMap {
    /// Takes one more block; the parts once all lines are there.
    pub(super) fn push(&mut self, block: &[u8]) -> Result<Option<Vec<Part>>, Flaw> {
        let flaw = "the sparse map is malformed";
        self.text.extend_from_slice(block);
        self.lines += block.iter().filter(|byte| **byte == b'\n').count();
        let mut lines = self.text.split(|byte| *byte == b'\n');
        let first = lines.next().unwrap_or_default();
        if self.wanted.is_none() {
            let count = number::decimal(first).and_then(|count| usize::try_from(count).ok()).ok_or(flaw)?;
            self.wanted = count.checked_mul(2);
        }
        let wanted = self.wanted.ok_or(flaw)?;
        if self.lines <= wanted {
            return Ok(None);
        }
        let numbers = lines.take(wanted).map(number::decimal).collect::<Option<Vec<_>>>().ok_or(flaw)?;
        parts(&numbers).map(Some)
    }
}

/// The parts are ascending, apart, inside of the file, and as long together as what is stored.
pub(super) fn check(parts: &[Part], stored: u64, size: u64) -> Result<(), Flaw> {
    let mut end = 0_u64;
    let mut total = 0_u64;
    for part in parts {
        if part.offset < end {
            return Err("parts of the sparse file overlap");
        }
        end = part.offset.checked_add(part.length).ok_or("the sparse map is malformed")?;
        total = total.checked_add(part.length).ok_or("the sparse map is malformed")?;
    }
    match (end <= size, total == stored) {
        (true, true) => Ok(()),
        (false, _) => Err("a part of the sparse file lies behind its end"),
        (_, false) => Err("the sparse map and the stored size disagree"),
    }
}
