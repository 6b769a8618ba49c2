//! The end of a log: its newest record, and what a torn write left behind it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::record::{self, Head, Line, digest};
use crate::error::{Call, Error, Result};

/// Read at first; more, where the newest record is longer.
const FIRST_LOOK: u64 = 8 << 10;
/// What is torn is never longer; a log that has no record in this is not one.
const LAST_LOOK: u64 = 16 << 20;

/// How a log ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Tail {
    /// The newest record that is whole; `None` where there is none.
    pub head: Option<Head>,
    /// What stands behind it.
    pub torn: Option<Torn>,
}

/// Bytes that are no record.
#[derive(Debug, PartialEq, Eq)]
pub struct Torn {
    /// How many.
    pub bytes: u64,
    /// Their SHA-256.
    pub digest: String,
    /// Whether they end a line.
    pub ends_line: bool,
}

/// Reads the end of a log of `size` bytes.
///
/// # Errors
/// pread(2); a record of a newer format, by name; no record within reach.
pub fn tail(file: &File, size: u64) -> Result<Tail> {
    let mut look = FIRST_LOOK;
    loop {
        let start = size.saturating_sub(look);
        let mut bytes = vec![0; usize::try_from(size - start).unwrap_or(0)];
        file.read_exact_at(&mut bytes, start).call("pread")?;
        if let Some(tail) = within(&bytes, start == 0)? {
            return Ok(tail);
        }
        if look >= LAST_LOOK {
            return Err(Error::setup("no record at its end: it is no audit log, or damaged")
                .hint("move it away; `pinfold audit verify` tells where it breaks"));
        }
        look = look.saturating_mul(8).min(LAST_LOOK);
    }
}

/// The tail, if the newest record lies in these bytes; `whole`: nothing stands before them.
fn within(bytes: &[u8], whole: bool) -> Result<Option<Tail>> {
    let mut end = bytes.len();
    loop {
        let lines = bytes.get(..end).unwrap_or_default();
        let Some(last) = lines.iter().rposition(|byte| *byte == b'\n') else { break };
        let before = lines.get(..last).unwrap_or_default().iter().rposition(|byte| *byte == b'\n');
        let from = match before {
            Some(at) => at + 1,
            None if whole => 0,
            // The line begins before these bytes.
            None => return Ok(None),
        };
        let line = bytes.get(from..last).unwrap_or_default();
        if let Some(head) = record::head(line) {
            return Ok(Some(Tail {
                head: Some(head),
                torn: torn(bytes.get(last + 1..).unwrap_or_default()),
            }));
        }
        match record::read(line) {
            Line::Newer(format) => {
                let text =
                    format!("has format {format}, this pinfold reads up to {}", record::FORMAT_VERSION);
                return Err(Error::setup(text).hint("use the newer pinfold that wrote it"));
            }
            _ => end = last,
        }
    }
    Ok(whole.then(|| Tail { head: None, torn: torn(bytes) }))
}

fn torn(bytes: &[u8]) -> Option<Torn> {
    let bytes_count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    (!bytes.is_empty()).then(|| Torn {
        bytes: bytes_count,
        digest: digest(bytes),
        ends_line: bytes.ends_with(b"\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(records: usize, long: usize) -> (Vec<u8>, Head) {
        let mut head = Head::nothing();
        let mut text = vec![];
        for _ in 0..records {
            let (line, next) =
                record::seal(&head, &format!("\"kind\":\"x\",\"argv\":\"{}\"", "a".repeat(long)));
            text.extend_from_slice(line.as_bytes());
            head = next;
        }
        (text, head)
    }

    fn read(text: &[u8]) -> Result<Tail> {
        use std::io::Write;
        let path = std::env::temp_dir().join(format!("pinfold-tail-{}-{}", std::process::id(), text.len()));
        File::create(&path).unwrap().write_all(text).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        tail(&file, u64::try_from(text.len()).unwrap())
    }

    #[test]
    fn the_newest_record_is_found_whatever_its_length() {
        for long in [1, 7000, 8192, 60_000] {
            let (text, head) = log(5, long);
            assert_eq!(read(&text).unwrap(), Tail { head: Some(head), torn: None }, "{long}");
        }
        assert_eq!(read(b"").unwrap(), Tail { head: None, torn: None });
    }

    #[test]
    fn what_is_torn_is_told_at_every_length() {
        let (text, head) = log(2, 10);
        let (whole, _) = log(3, 10);
        for cut in text.len() + 1..whole.len() {
            let tail = read(&whole[..cut]).unwrap();
            assert_eq!(tail.head.as_ref(), Some(&head), "{cut}");
            let torn = tail.torn.unwrap();
            assert_eq!((torn.bytes, torn.ends_line), ((cut - text.len()) as u64, false));
            assert_eq!(torn.digest, digest(&whole[text.len()..cut]));
        }
        let first = read(&text[..20]).unwrap();
        assert_eq!((first.head, first.torn.unwrap().bytes), (None, 20));
    }

    #[test]
    fn several_lines_without_a_record_are_one_torn_piece() {
        let (mut text, head) = log(2, 10);
        text.extend_from_slice(&b"{\"format\":1,\n\0\0\0\n"[..]);
        let tail = read(&text).unwrap();
        assert_eq!(tail.head, Some(head));
        assert_eq!(tail.torn.map(|torn| (torn.bytes, torn.ends_line)), Some((17, true)));
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let (mut text, _) = log(1, 10);
        text.extend_from_slice(b"{\"format\":2}\n");
        assert!(read(&text).unwrap_err().to_string().contains("format 2"));
    }
}
