//! Whether a log is what was written: each line is a record whose hash holds and that names
//! the one before it. What was torn and closed by a `gap` is told apart from a break.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::record::{Head, Line, Sealed, digest, is_hash, read};

/// More than any torn write leaves.
const LARGEST_TORN: usize = 16 << 20;

/// Where a chain does not hold, and how: what it should be, and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum Broken {
    /// A record is not what it was when it was sealed.
    Changed { expected: String, found: String },
    /// A record does not name the one before it.
    Prev { expected: String, found: String },
    /// A number is missing, or there twice.
    Seq { expected: u64, found: u64 },
    /// Bytes that are no record, and that no gap accounts for.
    Unreadable { bytes: usize },
    /// A gap that tells of other bytes than those that are there.
    Gap { expected: String, found: String },
    /// A record of a format that this pinfold does not know.
    Newer { format: u64 },
}

/// What a look at a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The chain does not hold at this line.
    Broken(At, Option<u64>, Broken),
    /// A torn write, closed by the record with this number.
    Gap(At, u64, usize),
    /// The last line is torn, and nothing has closed it yet.
    TornTail(At, usize),
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// Its name; empty where there is one file.
    pub file: String,
    /// From 1 on.
    pub line: u64,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file.as_str() {
            "" => write!(f, "line {}", self.line),
            file => write!(f, "{}:{}", file.escape_debug(), self.line),
        }
    }
}

impl Finding {
    /// Whether the log is not what was written.
    pub fn is_break(&self) -> bool {
        matches!(self, Self::Broken(..))
    }

    /// For programs.
    pub fn as_json(&self) -> Value {
        let (kind, at, seq) = match self {
            Self::Broken(at, seq, _) => ("broken", at, *seq),
            Self::Gap(at, seq, _) => ("gap", at, Some(*seq)),
            Self::TornTail(at, _) => ("torn_tail", at, None),
        };
        json!({"kind": kind, "file": at.file, "line": at.line, "seq": seq, "text": self.to_string()})
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(at, seq, broken) => {
                write!(f, "{at}: broken: ")?;
                match seq {
                    Some(seq) => write!(f, "record {seq}: {broken}"),
                    None => broken.fmt(f),
                }
            }
            Self::Gap(at, seq, bytes) => {
                write!(f, "{at}: gap: {bytes} bytes of a torn record, closed by record {seq}")
            }
            Self::TornTail(at, bytes) => {
                write!(f, "{at}: torn tail: {bytes} bytes; the next record closes it")
            }
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { expected, found } => {
                write!(f, "the record was changed: expected hash {expected}, found {found}")
            }
            Self::Prev { expected, found } => {
                write!(f, "another record was before it: expected prev {expected}, found {found}")
            }
            Self::Seq { expected, found } => write!(f, "expected seq {expected}, found {found}"),
            Self::Unreadable { bytes } => {
                write!(f, "{bytes} bytes that are no record, and no gap tells of them")
            }
            Self::Gap { expected, found } => {
                write!(f, "the gap tells of other bytes: expected sha256 {expected}, found {found}")
            }
            Self::Newer { format } => write!(f, "format {format}, which is newer than this pinfold"),
        }
    }
}

/// The result.
#[derive(Debug, Default)]
pub struct Checked {
    /// In the order of the lines.
    pub findings: Vec<Finding>,
    /// How many records.
    pub records: u64,
    /// The newest of them.
    pub head: Option<Head>,
    /// The number and hash that the first record goes on from; `None` for a log that begins anew.
    pub continues: Option<String>,
    /// What began and is not known to have ended: number of the `intent`, verb, container, and
    /// whether it was let go of.
    pub open: Vec<Open>,
    /// Whether the hash that was asked for is one of the records'.
    pub has_wanted: bool,
}

/// A launch, or another act, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// `seq` of its intent.
    pub seq: u64,
    /// The verb.
    pub verb: String,
    /// The container.
    pub container: String,
    /// pinfold has let go of it: it lives on until `delete`.
    pub detached: bool,
}

/// Takes a log line by line. Several files, oldest first, are one chain.
#[derive(Debug, Default)]
pub struct Verifier {
    wanted: Option<String>,
    file: String,
    line: u64,
    head: Option<Head>,
    torn: Vec<u8>,
    torn_line: u64,
    open: BTreeMap<String, Open>,
    checked: Checked,
}

impl Verifier {
    /// One that also looks for a hash that was kept elsewhere.
    pub fn new(wanted: Option<String>) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// The next file begins: its lines are counted anew.
    pub fn file(&mut self, name: &str) {
        self.end_of_file();
        self.line = 0;
        self.file = name.to_owned();
    }

    /// The next line, with its end if it has one.
    pub fn line(&mut self, line: &[u8]) {
        self.line += 1;
        let (content, ends) = match line.strip_suffix(b"\n") {
            Some(content) => (content, true),
            None => (line, false),
        };
        match read(content) {
            Line::Sealed(sealed) if ends => self.record(&sealed),
            Line::Newer(format) if ends => self.broken(None, Broken::Newer { format }),
            _ => self.torn(line),
        }
    }

    fn at(&self, line: u64) -> At {
        At { file: self.file.clone(), line }
    }

    fn torn(&mut self, line: &[u8]) {
        if self.torn.is_empty() {
            self.torn_line = self.line;
        }
        if self.torn.len() + line.len() <= LARGEST_TORN {
            self.torn.extend_from_slice(line);
        }
    }

    fn record(&mut self, sealed: &Sealed) {
        let seq = Some(sealed.seq);
        if !sealed.is_intact() {
            let (expected, found) = (sealed.computed.clone(), sealed.hash.clone());
            self.broken(seq, Broken::Changed { expected, found });
        }
        self.settle(sealed);
        match self.head.take() {
            // A file that goes on from another one says so first.
            None if sealed.seq > 1 && sealed.text("kind") == "start" => {
                self.checked.continues = Some(sealed.prev.clone());
            }
            None => self.follows(&Head::nothing(), sealed),
            Some(before) => self.follows(&before, sealed),
        }
        self.wanted_is(&sealed.hash);
        self.note(sealed);
        self.checked.records += 1;
        self.head = Some(sealed.head());
    }

    fn follows(&mut self, before: &Head, sealed: &Sealed) {
        let seq = Some(sealed.seq);
        if before.hash != sealed.prev {
            let (expected, found) = (before.hash.clone(), sealed.prev.clone());
            self.broken(seq, Broken::Prev { expected, found });
        }
        if before.seq.saturating_add(1) != sealed.seq {
            self.broken(seq, Broken::Seq { expected: before.seq.saturating_add(1), found: sealed.seq });
        }
    }

    /// What stood between the last record and this one.
    fn settle(&mut self, sealed: &Sealed) {
        let torn = std::mem::take(&mut self.torn);
        if sealed.text("kind") != "gap" {
            if !torn.is_empty() {
                let finding = Broken::Unreadable { bytes: torn.len() };
                self.checked.findings.push(Finding::Broken(self.at(self.torn_line), None, finding));
            }
            return;
        }
        let told = sealed.content.get("torn_bytes").and_then(Value::as_u64);
        let told = told.and_then(|told| usize::try_from(told).ok()).unwrap_or(0);
        let (expected, bytes) = (sealed.text("torn_sha256").to_owned(), torn.get(..told).unwrap_or(&torn));
        let found = digest(bytes);
        // The writer ends a torn line before it closes it.
        let rest = torn.get(told..).unwrap_or_default();
        match expected == found && matches!(rest, b"" | b"\n") {
            true => self.checked.findings.push(Finding::Gap(self.at(self.torn_line), sealed.seq, told)),
            false => self.broken(Some(sealed.seq), Broken::Gap { expected, found }),
        }
    }

    fn broken(&mut self, seq: Option<u64>, broken: Broken) {
        self.checked.findings.push(Finding::Broken(self.at(self.line), seq, broken));
    }

    fn wanted_is(&mut self, hash: &str) {
        let is = self.wanted.as_ref().is_some_and(|wanted| is_hash(wanted) && wanted == hash);
        self.checked.has_wanted |= is;
    }

    /// Whether what began has ended.
    fn note(&mut self, sealed: &Sealed) {
        let op = sealed.text("op");
        match sealed.text("kind") {
            "intent" => {
                let (verb, container) = (sealed.text("verb").to_owned(), sealed.text("container").to_owned());
                self.open.insert(op.to_owned(), Open { seq: sealed.seq, verb, container, detached: false });
            }
            "detached" => {
                if let Some(open) = self.open.get_mut(op) {
                    open.detached = true;
                }
            }
            "outcome" => {
                self.open.remove(op);
            }
            _ => {}
        }
    }

    fn end_of_file(&mut self) {
        if self.torn.is_empty() {
            return;
        }
        let (bytes, whole_lines) = (self.torn.len(), self.torn.ends_with(b"\n"));
        self.torn.clear();
        self.checked.findings.push(match whole_lines {
            true => Finding::Broken(self.at(self.torn_line), None, Broken::Unreadable { bytes }),
            false => Finding::TornTail(self.at(self.torn_line), bytes),
        });
    }

    /// All that was found.
    pub fn end(mut self) -> Checked {
        self.end_of_file();
        self.checked.head = self.head;
        self.checked.open = self.open.into_values().collect();
        self.checked.open.sort_by_key(|open| open.seq);
        self.checked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::{self, Body};

    fn seal(before: &Head, fields: Value) -> (String, Head) {
        let body = Body { fields: fields.as_object().unwrap().clone(), judged: None };
        record::seal(before, &record::fields(&body).unwrap())
    }

    fn at(line: u64) -> At {
        At { file: String::new(), line }
    }

    fn log(records: usize) -> Vec<String> {
        let mut head = Head::nothing();
        let line = |index: usize| {
            let body = json!({"kind": if index == 0 { "start" } else { "intent" }, "op": index.to_string(), "verb": "run"});
            let (line, next) = seal(&head, body);
            head = next;
            line
        };
        (0..records).map(line).collect()
    }

    fn check(lines: &[String]) -> Checked {
        let mut verifier = Verifier::new(None);
        lines.iter().for_each(|line| verifier.line(line.as_bytes()));
        verifier.end()
    }

    fn breaks(lines: &[String]) -> Vec<(u64, Option<u64>)> {
        let found = |finding: &Finding| match finding {
            Finding::Broken(at, seq, _) => Some((at.line, *seq)),
            _ => None,
        };
        check(lines).findings.iter().filter_map(found).collect()
    }

    #[test]
    fn what_was_written_holds() {
        let checked = check(&log(5));
        assert_eq!((checked.findings.len(), checked.records, checked.open.len()), (0, 5, 4));
        assert_eq!(checked.head.map(|head| head.seq), Some(5));
    }

    #[test]
    fn each_kind_of_change_is_told_at_its_line() {
        let good = log(6);
        let changed = |index: usize, from: &str, to: &str| {
            let mut lines = good.clone();
            lines[index] = lines[index].replacen(from, to, 1);
            lines
        };
        assert_eq!(breaks(&changed(3, "\"op\":\"3\"", "\"op\":\"9\"")), [(4, Some(4))]);
        assert_eq!(
            breaks(&changed(3, "{\"format\"", "{\"farmot\"")),
            [(4, None), (5, Some(5)), (5, Some(5))]
        );
        let mut cut = good.clone();
        cut.remove(2);
        assert_eq!(breaks(&cut), [(3, Some(4)), (3, Some(4))]);
        let mut swapped = good.clone();
        swapped.swap(2, 3);
        assert_eq!(breaks(&swapped).first(), Some(&(3, Some(4))));
        let mut twice = good.clone();
        twice.insert(3, good[2].clone());
        assert_eq!(breaks(&twice).first(), Some(&(4, Some(3))));
        let mut first = good.clone();
        first.remove(0);
        assert_eq!(breaks(&first), [(1, Some(2)), (1, Some(2))]);
        let (start, _) = seal(&Head { seq: 7, hash: "a".repeat(64) }, json!({"kind": "start"}));
        let goes_on = check(&[start]);
        assert_eq!((goes_on.findings.len(), goes_on.continues), (0, Some("a".repeat(64))));
    }

    #[test]
    fn a_gap_is_no_break_and_a_false_one_is() {
        let lines = log(2);
        let Line::Sealed(last) = read(lines[1].trim_end().as_bytes()) else { panic!() };
        let torn = "{\"format\":1,\"se";
        let gap = |bytes: usize, text: &str| {
            let body = json!({"kind": "gap", "torn_bytes": bytes, "torn_sha256": digest(text.as_bytes())});
            seal(&last.head(), body).0
        };
        let with = |gap: String| [lines.clone(), vec![format!("{torn}\n"), gap]].concat();
        assert_eq!(check(&with(gap(torn.len(), torn))).findings, [Finding::Gap(at(3), 3, torn.len())]);
        assert_eq!(breaks(&with(gap(torn.len(), "other"))), [(4, Some(3))]);
        assert_eq!(breaks(&with(gap(3, &torn[..3]))), [(4, Some(3))]);
        assert_eq!(breaks(&[lines.clone(), vec![gap(4, "torn")]].concat()), [(3, Some(3))]);
    }

    #[test]
    fn a_torn_tail_is_neither() {
        let mut lines = log(3);
        let torn = lines.pop().unwrap();
        lines.push(torn[..30].to_owned());
        assert_eq!(check(&lines).findings, [Finding::TornTail(at(3), 30)]);
        // A whole record without its end was not written to the end either.
        *lines.last_mut().unwrap() = torn.trim_end().to_owned();
        assert_eq!(check(&lines).findings.len(), 1);
    }
}
