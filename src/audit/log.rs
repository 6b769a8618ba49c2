//! Appending: opened, locked, the tail read, one write(2), let go. Nothing of it is held
//! between two records; who appends again to a file that is as it was left need not read it.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use serde_json::{Map, Value};

use super::bound::bound;
use super::file::{LogFile, Place};
use super::journald;
use super::limit::Undisturbed;
use super::lock::{Deadline, Sharing, hold};
use super::record::{self, Body, Head};
use super::tail::{Torn, tail};
use crate::error::{Call, Context, Error, Result};
use crate::state::rfc3339;
use crate::sys::{self, file::FileStat};

/// How long another append may take: many at once wait for each other.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a log may be rotated away between its opening and its lock.
const ROTATIONS: usize = 8;

/// Where records go.
#[derive(Debug, Clone)]
pub struct Log {
    /// The file, with its chain; `None` where the journal alone has the records.
    pub file: Option<Place>,
    /// Whether the journal has them.
    pub journald: bool,
    /// fsync(2) after each.
    pub durable: bool,
    /// What this one appended last.
    own: RefCell<Option<Own>>,
}

/// The newest record of a log: nobody need read again what is in force while the file ends with it.
#[derive(Debug, Clone)]
struct Own {
    /// Device and inode of the file.
    file: (u64, u64),
    /// Its size with the record, and when its inode changed last: to write is to change it.
    size: u64,
    changed: (i64, i64),
    head: Head,
}

impl Log {
    /// A log of these places.
    pub fn new(file: Option<Place>, journald: bool, durable: bool) -> Self {
        Self { file, journald, durable, own: RefCell::new(None) }
    }

    /// Appends one record. The moment comes first in it, and `kind`.
    ///
    /// # Errors
    /// The log cannot be opened, trusted, locked in time or written.
    pub fn append(&self, kind: &str, body: &mut Body) -> Result<()> {
        bound(body);
        let fields = record::fields(body)?;
        let line = match &self.file {
            Some(place) => self.to_file(place, kind, &fields)?,
            // Without a chain: the journal has a seal of its own (journalctl(1), "--setup-keys").
            None => record::seal(&Head::nothing(), &dated(kind, &fields)).0,
        };
        match self.journald {
            true => to_journal(kind, &body.fields, &line),
            false => Ok(()),
        }
    }

    fn to_file(&self, place: &Place, kind: &str, fields: &str) -> Result<String> {
        let (log, line) = self.appended(place, (kind, fields)).on(place.path().display())?;
        if self.durable {
            // Outside of the lock: what was written before is synced with it.
            log.file.sync_all().call("fsync").on(place.path().display())?;
            nix::unistd::fsync(&log.dir).call("fsync").on(place.path().display())?;
        }
        Ok(line)
    }
}

/// Under the lock: of two records the later one was written later, unless somebody set the clock.
fn dated(kind: &str, fields: &str) -> String {
    let comma = if fields.is_empty() { "" } else { "," };
    format!("\"time\":\"{}\",\"kind\":\"{kind}\"{comma}{fields}", rfc3339::now())
}

/// The kind, and the fields as JSON.
type Said<'a> = (&'a str, &'a str);

impl Log {
    fn appended(&self, place: &Place, said: Said<'_>) -> Result<(LogFile, String)> {
        let calm = Undisturbed::enter()?;
        let deadline = Deadline::after(PATIENCE);
        for _ in 0..ROTATIONS {
            let log = place.open_to_append()?;
            let held = hold(&log.file, Sharing::Alone, deadline)?;
            let Some(stat) = log.still_named()? else { continue };
            let line = self.under_the_lock(&log, &stat, said, &calm, deadline)?;
            drop(held);
            return Ok((log, line));
        }
        Err(Error::setup("is moved away as fast as it is opened"))
    }

    fn under_the_lock(
        &self,
        log: &LogFile,
        stat: &FileStat,
        (kind, fields): Said<'_>,
        calm: &Undisturbed,
        deadline: Deadline,
    ) -> Result<String> {
        let file = (stat.dev, stat.ino);
        let size = u64::try_from(stat.size).unwrap_or(0);
        let is_as_left = |own: &Own| (own.file, own.size, own.changed) == (file, size, stat.changed);
        let own = self.own.borrow_mut().take().filter(is_as_left);
        let (head, size) = match own {
            Some(own) => (own.head, size),
            None => newest(log, size, calm, deadline)?,
        };
        let (line, head) = record::seal(&head, &dated(kind, fields));
        let size = write(log, size, line.as_bytes(), calm)?;
        // The record is there: who cannot tell how it left the file reads it again.
        let left = sys::file::stat(log.file.as_fd()).ok();
        self.own.replace(left.map(|stat| Own { file, size, changed: stat.changed, head }));
        Ok(line)
    }
}

/// The record that the next one follows, and the size of the file with it.
fn newest(log: &LogFile, size: u64, calm: &Undisturbed, deadline: Deadline) -> Result<(Head, u64)> {
    let found = tail(&log.file, size)?;
    let (head, size) = match (found.head, &found.torn) {
        (Some(head), _) => (head, size),
        (None, None) => begin(log, size, calm, deadline)?,
        (None, Some(_)) => (Head::nothing(), size),
    };
    match &found.torn {
        Some(torn) => close(log, size, torn, &head, calm),
        None => Ok((head, size)),
    }
}

/// The first record of a file: it goes on where the file before it ended.
fn begin(log: &LogFile, size: u64, calm: &Undisturbed, deadline: Deadline) -> Result<(Head, u64)> {
    let mut before = Head::nothing();
    let mut body = Body::default();
    if let Some((name, file)) = log.rotated()? {
        // Whoever still writes there has opened it before it was moved.
        let _held = hold(&file, Sharing::Shared, deadline)?;
        let size = file.metadata().call("fstat")?.len();
        // What is compressed, or no log, has no record to go on from.
        if let Ok(found) = tail(&file, size)
            && let Some(head) = found.head
        {
            body.fields.insert("continues".to_owned(), name.into());
            before = head;
        }
    }
    let (line, head) = record::seal(&before, &dated("start", &record::fields(&body)?));
    Ok((head, write(log, size, line.as_bytes(), calm)?))
}

/// What is torn stays: a record says how much it is, and that it was there.
fn close(log: &LogFile, size: u64, torn: &Torn, head: &Head, calm: &Undisturbed) -> Result<(Head, u64)> {
    let fields = format!("\"torn_bytes\":{},\"torn_sha256\":\"{}\"", torn.bytes, torn.digest);
    let (line, next) = record::seal(head, &dated("gap", &fields));
    let end = if torn.ends_line { "" } else { "\n" };
    Ok((next, write(log, size, format!("{end}{line}").as_bytes(), calm)?))
}

/// One write(2): a record is there or it is not, unless the disk is full or the machine ends. The size that the file
/// has then: under the lock nobody else makes it longer.
fn write(log: &LogFile, size: u64, bytes: &[u8], calm: &Undisturbed) -> Result<u64> {
    let size = size.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    calm.may_reach(size)?;
    match nix::unistd::write(log.file.as_fd(), bytes).call("write")? {
        written if written == bytes.len() => Ok(size),
        _ => Err(Error::call("write", Errno::ENOSPC)),
    }
}

fn to_journal(kind: &str, body: &Map<String, Value>, line: &str) -> Result<()> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let message = format!("pinfold audit: {kind} {} {}", text("verb"), text("container").escape_debug());
    journald::send(&[
        ("MESSAGE", message.trim_end()),
        ("PRIORITY", "5"),
        ("SYSLOG_IDENTIFIER", "pinfold"),
        ("PINFOLD_KIND", kind),
        ("PINFOLD_OP", text("op")),
        ("PINFOLD_RECORD", line.trim_end()),
    ])
}

/// The newest record of a log; `None` where there is no log, or none in it.
///
/// # Errors
/// As [`Log::append`].
pub fn head(place: &Place) -> Result<Option<Head>> {
    let Some((log, size)) = read(place)? else { return Ok(None) };
    Ok(tail(&log.file, size).on(place.path().display())?.head)
}

/// A log opened to be read, with its size between two appends.
///
/// # Errors
/// It cannot be opened, trusted or locked in time.
pub fn read(place: &Place) -> Result<Option<(LogFile, u64)>> {
    let Some(log) = place.open_to_read()? else { return Ok(None) };
    let held = hold(&log.file, Sharing::Shared, Deadline::after(PATIENCE)).on(place.path().display())?;
    let size = log.size()?;
    drop(held);
    Ok(Some((log, size)))
}
