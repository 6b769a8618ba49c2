//! What the confined process says in the end: a line of JSON, then names that end with NUL.
//!
//! A parser that a layer took over could say anything: the reader bounds it, checks its form,
//! and lets no control character through to a terminal.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::image::unpack::here::Outcome;
use crate::image::unpack::implied::Found;

/// The most bytes that a report may have: a million names of usual length.
pub(super) const LONGEST: usize = 256 << 20;

/// What came of a job.
pub(super) enum Done {
    /// Nothing that is to be told.
    Nothing,
    /// An unpacked layer.
    Layer(Outcome),
    /// What a tree says of directories.
    Found(Vec<Found>),
}

/// A report that is well-formed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Counts and the digest.
    pub head: Head,
    /// Directories to be marked opaque.
    pub opaque: Vec<Vec<u8>>,
    /// Directories that were only implied.
    pub implied: Vec<Vec<u8>>,
}

/// The first line.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// SHA-256 of the decompressed stream.
    pub diff_id: [u8; 32],
    /// Entries.
    pub entries: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// Devices and fifos left out.
    pub skipped: u64,
    /// How many of the names are opaque directories; the others are implied ones.
    opaque: usize,
    /// What was looked at, in the order of the names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
    /// What the kernel lacks.
    pub degraded: Vec<String>,
    /// Why it failed.
    failure: Option<Failure>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    object: Option<String>,
    text: String,
    /// Whether the layer is at fault.
    image: bool,
}

/// The bytes of a report.
pub(super) fn write(result: Result<Done>, degraded: Vec<String>) -> Vec<u8> {
    let mut head = Head { degraded, ..Head::default() };
    let mut names = vec![];
    match result {
        Ok(Done::Nothing) => {}
        Ok(Done::Found(found)) => head.found = found,
        Ok(Done::Layer(Outcome { diff_id, finished })) => {
            head.diff_id = diff_id;
            head.entries = finished.counted.entries;
            head.bytes = finished.counted.bytes;
            head.skipped = finished.counted.skipped;
            head.opaque = finished.opaque.len();
            names = [finished.opaque, finished.implied].concat();
        }
        Err(error) => {
            let object = error.object_name().map(str::to_owned);
            let text = error.to_string();
            let text =
                object.as_ref().and_then(|object| text.strip_prefix(&format!("{object}: "))).unwrap_or(&text);
            head.failure =
                Some(Failure { text: text.to_owned(), object, image: error.class() == Kind::ImageFailed });
        }
    }
    let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
    bytes.push(b'\n');
    for name in names {
        bytes.extend_from_slice(&name);
        bytes.push(0);
    }
    bytes
}

/// Reads a report; a failure that it tells becomes an error.
pub(super) fn read(bytes: &[u8]) -> Result<Report> {
    let malformed = || Error::internal("the unpacker's report is malformed");
    let line = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(malformed)?;
    let (head, names) = bytes.split_at_checked(line).ok_or_else(malformed)?;
    let head = serde_json::from_slice::<Head>(head).map_err(|_error| malformed())?;
    if let Some(failure) = head.failure {
        let class = if failure.image { Kind::ImageFailed } else { Kind::SetupFailed };
        let error = Error::new(class, printable(&failure.text));
        return Err(match failure.object {
            Some(object) => error.object(printable(&object)),
            None => error,
        });
    }
    let names = names.get(1..).ok_or_else(malformed)?;
    let mut names = names.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect::<Vec<_>>();
    // What stands behind the last NUL.
    if names.pop() != Some(vec![]) || names.len() < head.opaque || names.iter().any(|name| name.len() > 4095)
    {
        return Err(malformed());
    }
    let implied = names.split_off(head.opaque);
    let degraded = head.degraded.iter().map(|text| printable(text)).collect();
    Ok(Report { head: Head { degraded, ..head }, opaque: names, implied })
}

fn printable(text: &str) -> String {
    let shown = text.chars().take(4096);
    shown.map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::unpack::tree::Finished;

    #[test]
    fn a_report_comes_back_as_it_was() {
        let finished = Finished {
            opaque: vec![b"a".to_vec()],
            implied: vec![vec![], b"b\xff".to_vec()],
            ..Finished::default()
        };
        let bytes = write(Ok(Done::Layer(Outcome { diff_id: [7; 32], finished })), vec![]);
        let report = read(&bytes).unwrap();
        assert_eq!((report.head.diff_id, report.opaque), ([7; 32], vec![b"a".to_vec()]));
        assert_eq!(report.implied, [vec![], b"b\xff".to_vec()]);
    }

    #[test]
    fn a_failure_names_its_object_once_and_controls_no_terminal() {
        let error = Error::new(Kind::ImageFailed, "bad\u{1b}[2J").object("entry");
        let error = read(&write(Err(error), vec![])).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.class()), ("entry: bad?[2J", Kind::ImageFailed));
    }

    #[test]
    fn what_a_taken_over_unpacker_says_is_bounded() {
        let head = serde_json::to_string(&Head { opaque: 1, ..Head::default() }).unwrap();
        let long = format!("{head}\n{}\0", "x".repeat(4096));
        for bytes in ["", "{}", "{}\n", "\n", &format!("{head}\n"), &format!("{head}\na"), &long] {
            assert!(read(bytes.as_bytes()).is_err(), "{bytes:.60}");
        }
        assert!(read(format!("{head}\na\0").as_bytes()).is_ok());
    }
}
