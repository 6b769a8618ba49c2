//! /var/lib/dpkg/status, and one file for each package in status.d: deb-control(5), dpkg(1).

use super::{Kind, Packages, Record, field};

/// Takes in every paragraph of a package that is installed.
pub(super) fn read(text: &[u8], found: &mut Packages) {
    let (mut record, mut begun, mut installed) = (Record::default(), false, true);
    for line in text.split(|byte| *byte == b'\n').chain([b"".as_slice()]) {
        match line {
            [] => {
                if begun && installed {
                    found.add(std::mem::take(&mut record));
                }
                (record, begun, installed) = (Record::default(), false, true);
            }
            // Goes on with the field above.
            [b' ' | b'\t', ..] => {}
            line => {
                begun = true;
                one(line, &mut record, &mut installed);
            }
        }
    }
}

fn one(line: &[u8], record: &mut Record, installed: &mut bool) {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
    let (key, value) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
    record.kind = Some(Kind::Deb);
    let damaged = &mut record.damaged;
    match key.to_ascii_lowercase().as_slice() {
        b"package" => field(&mut record.name, value, damaged),
        b"version" => field(&mut record.version, value, damaged),
        b"architecture" => field(&mut record.architecture, value, damaged),
        // `NAME (VERSION)` where the version is another one.
        b"source" => {
            let name = value.split(|byte| *byte == b'(').next().unwrap_or_default();
            field(&mut record.source, name, damaged);
        }
        b"status" => {
            *installed = value.trim_ascii().rsplit(|byte| *byte == b' ').next() == Some(b"installed")
        }
        _ => {}
    }
}
