//! /lib/apk/db/installed: records of lines `LETTER:VALUE`, with an empty line behind each (apk(5)).

use super::{Kind, Packages, Record, field};

/// Takes in every record.
pub(super) fn read(text: &[u8], found: &mut Packages) {
    let (mut record, mut begun) = (Record::default(), false);
    for line in text.split(|byte| *byte == b'\n').chain([b"".as_slice()]) {
        if line.is_empty() {
            if begun {
                found.add(std::mem::take(&mut record));
            }
            (record, begun) = (Record::default(), false);
            continue;
        }
        (record.kind, begun) = (Some(Kind::Apk), true);
        let damaged = &mut record.damaged;
        match line {
            [b'P', b':', value @ ..] => field(&mut record.name, value, damaged),
            [b'V', b':', value @ ..] => field(&mut record.version, value, damaged),
            [b'A', b':', value @ ..] => field(&mut record.architecture, value, damaged),
            [b'o', b':', value @ ..] => field(&mut record.source, value, damaged),
            _ => {}
        }
    }
}
