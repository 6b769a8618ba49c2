//! Appending: opened, locked, the tail read, one write(2), let go. Nothing of it is held
//! between two records.

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
}

impl Log {
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
        let (log, line) = appended(place, (kind, fields)).on(place.path().display())?;
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

fn appended(place: &Place, body: Said<'_>) -> Result<(LogFile, String)> {
    let calm = Undisturbed::enter()?;
    let deadline = Deadline::after(PATIENCE);
    for _ in 0..ROTATIONS {
        let log = place.open_to_append()?;
        let held = hold(&log.file, Sharing::Alone, deadline)?;
        if !log.is_still_named()? {
            continue;
        }
        let line = under_the_lock(&log, body, &calm, deadline)?;
        drop(held);
        return Ok((log, line));
    }
    Err(Error::setup("is moved away as fast as it is opened"))
}

fn under_the_lock(
    log: &LogFile,
    (kind, fields): Said<'_>,
    calm: &Undisturbed,
    deadline: Deadline,
) -> Result<String> {
    let found = tail(&log.file, log.size()?)?;
    let mut head = match (found.head, &found.torn) {
        (Some(head), _) => head,
        (None, None) => begin(log, calm, deadline)?,
        (None, Some(_)) => Head::nothing(),
    };
    if let Some(torn) = &found.torn {
        head = close(log, torn, &head, calm)?;
    }
    let (line, _) = record::seal(&head, &dated(kind, fields));
    write(log, line.as_bytes(), calm)?;
    Ok(line)
}

/// The first record of a file: it goes on where the file before it ended.
fn begin(log: &LogFile, calm: &Undisturbed, deadline: Deadline) -> Result<Head> {
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
    write(log, line.as_bytes(), calm)?;
    Ok(head)
}

/// What is torn stays: a record says how much it is, and that it was there.
fn close(log: &LogFile, torn: &Torn, head: &Head, calm: &Undisturbed) -> Result<Head> {
    let fields = format!("\"torn_bytes\":{},\"torn_sha256\":\"{}\"", torn.bytes, torn.digest);
    let (line, next) = record::seal(head, &dated("gap", &fields));
    let end = if torn.ends_line { "" } else { "\n" };
    write(log, format!("{end}{line}").as_bytes(), calm)?;
    Ok(next)
}

/// One write(2): a record is there or it is not, unless the disk is full or the machine ends.
fn write(log: &LogFile, bytes: &[u8], calm: &Undisturbed) -> Result<()> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    calm.may_reach(log.size()?.saturating_add(length))?;
    match nix::unistd::write(log.file.as_fd(), bytes).call("write")? {
        written if written == bytes.len() => Ok(()),
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
