//! `audit verify | show | export | head`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use serde_json::{Value, json};

use super::{output, trail};
use crate::audit::{self, Checked, LONGEST, Line, Place, Sealed, Verifier};
use crate::cli::{AuditArgs, AuditWhat, Only};
use crate::error::{Call, Context, Error, ExitCode, Result};
use crate::policy::{Document, trusted};
use crate::state;
use crate::types::HostPath;

/// Does what is asked with a log.
///
/// # Errors
/// A log that cannot be opened or read.
pub fn run(args: &AuditArgs) -> Result<ExitCode> {
    super::caller::roots_alone("the audit log is")?;
    match &args.what {
        AuditWhat::Verify { files, head, json } => verify(files, head.clone(), *json),
        AuditWhat::Show { file, only } => show(file.as_ref(), only),
        AuditWhat::Export { file, lines, only } => export(file.as_ref(), *lines, only),
        AuditWhat::Head { file, journald } => head(file.as_ref(), *journald),
    }
}

/// The log of this caller: where the policy says, or in the default place.
///
/// # Errors
/// A policy that cannot be read, or that has no file for the log.
pub fn host_log() -> Result<Place> {
    let document = trusted::read()?.map(|text| Document::parse(trusted::POLICY_FILE, &text)).transpose()?;
    match document.and_then(|document| document.audit) {
        Some(rules) => trail::log_of(&rules)?
            .file
            .ok_or_else(|| Error::usage("the records are in the journal: journalctl -t pinfold")),
        None => Place::of_caller(None, state::is_a_users()?),
    }
}

/// What is read: opened, with its size when no append was under way.
pub struct Opened {
    name: String,
    lines: std::io::Take<BufReader<File>>,
}

impl Opened {
    fn of(file: Option<&HostPath>) -> Result<Self> {
        match file {
            Some(path) => Self::named(path),
            None => {
                let place = host_log()?;
                let name = place.path().display().to_string();
                let absent = || Error::usage("there is no such file").object(&name);
                let (log, size) = audit::read(&place)?.ok_or_else(absent)?;
                Ok(Self { lines: BufReader::new(log.file).take(size), name })
            }
        }
    }

    /// A copy somewhere else, which is nobody's to trust: it is only read.
    ///
    /// # Errors
    /// It cannot be opened, or is no regular file.
    pub fn named(path: &HostPath) -> Result<Self> {
        use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let name = path.as_path().display().to_string();
        let file = File::from(openat2(AT_FDCWD, path.as_path(), how).call("openat2").on(&name)?);
        let found = file.metadata().call("fstat").on(&name)?;
        match found.is_file() {
            true => Ok(Self { lines: BufReader::new(file).take(found.len()), name }),
            false => Err(Error::usage("not a regular file").object(name)),
        }
    }

    /// Its name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next line with its end; of one that is longer than any record, a piece.
    ///
    /// # Errors
    /// read(2).
    pub fn next(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        line.clear();
        let longest = u64::try_from(LONGEST).unwrap_or(u64::MAX).saturating_mul(2);
        let read = (&mut self.lines).take(longest).read_until(b'\n', line).call("read").on(&self.name)?;
        Ok(read > 0)
    }
}

fn verify(files: &[HostPath], head: Option<String>, json: bool) -> Result<ExitCode> {
    let wanted = head.clone();
    let mut verifier = Verifier::new(head);
    let mut opened = match files {
        [] => vec![Opened::of(None)?],
        files => files.iter().map(Opened::named).collect::<Result<_>>()?,
    };
    for file in &mut opened {
        verifier.file(&file.name);
        let mut line = vec![];
        while file.next(&mut line)? {
            verifier.line(&line);
        }
    }
    let checked = verifier.end();
    let missing = wanted.filter(|_| !checked.has_wanted);
    let broken = missing.is_some() || checked.findings.iter().any(audit::Finding::is_break);
    output::print(&if json {
        as_json(&checked, missing.as_deref(), broken)
    } else {
        human(&checked, missing.as_deref(), broken)
    })?;
    Ok(if broken { ExitCode(1) } else { ExitCode::SUCCESS })
}

fn human(checked: &Checked, missing: Option<&str>, broken: bool) -> String {
    let mut lines: Vec<String> = checked.findings.iter().map(ToString::to_string).collect();
    lines.extend(missing.map(|hash| {
        format!(
            "broken: no record has the hash {}: the newest records were cut off, or all was rewritten",
            hash.escape_debug()
        )
    }));
    for open in &checked.open {
        let (what, id) =
            (if open.detached { "lives on" } else { "no outcome" }, open.container.escape_debug());
        lines.push(format!("open: record {}: {} {id}: {what}", open.seq, open.verb.escape_debug()));
    }
    lines.extend(checked.continues.iter().map(|hash| format!("continues: {hash}")));
    let head = checked.head.as_ref().map_or("none".to_owned(), |head| format!("{} {}", head.seq, head.hash));
    let word = if broken { "broken" } else { "intact" };
    lines.push(format!("{word}: {} records, head {head}", checked.records));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn as_json(checked: &Checked, missing: Option<&str>, broken: bool) -> String {
    let findings: Vec<_> = checked.findings.iter().map(audit::Finding::as_json).collect();
    let open: Vec<_> = checked
        .open
        .iter()
        .map(|open| json!({"seq": open.seq, "verb": open.verb, "container": open.container, "detached": open.detached}))
        .collect();
    let head = checked.head.as_ref().map(|head| json!({"seq": head.seq, "hash": head.hash}));
    let all = json!({
        "intact": !broken, "records": checked.records, "head": head, "continues": checked.continues,
        "missing_head": missing, "findings": findings, "open": open,
    });
    format!("{all}\n")
}

/// Every record that is wanted. What is none is for `verify` to tell.
fn each(
    file: Option<&HostPath>,
    only: &Only,
    mut tell: impl FnMut(&Sealed, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut opened = Opened::of(file)?;
    let mut line = vec![];
    while opened.next(&mut line)? {
        let content = line.strip_suffix(b"\n").unwrap_or(&line);
        match audit::read_line(content) {
            Line::Sealed(sealed) if wanted(&sealed, only) => tell(&sealed, &line)?,
            Line::Newer(format) => {
                let text = format!(
                    "a record has format {format}, this pinfold reads up to {}",
                    audit::FORMAT_VERSION
                );
                return Err(Error::setup(text).object(&opened.name));
            }
            _ => {}
        }
    }
    Ok(())
}

fn wanted(sealed: &Sealed, only: &Only) -> bool {
    let is = |key: &str, asked: &Option<String>| asked.as_ref().is_none_or(|asked| sealed.text(key) == asked);
    let op = only.op.as_ref().is_none_or(|op| sealed.text("op") == op || sealed.text("by") == op);
    // RFC 3339 in UTC sorts as text, but for the fraction, which a bare second stands before.
    let since = only.since.as_deref().is_none_or(|since| sealed.text("time") >= since.trim_end_matches('Z'));
    let kind = |pointer: &str| {
        sealed.content.get(pointer).and_then(|value| value.get("kind")).and_then(Value::as_str)
    };
    let refused = kind("verdict") == Some("refused") || kind("outcome") == Some("policy_refused");
    is("container", &only.id) && is("verb", &only.verb) && op && since && (refused || !only.refused)
}

fn show(file: Option<&HostPath>, only: &Only) -> Result<ExitCode> {
    each(file, only, |sealed, _| output::print(&row(sealed)))?;
    Ok(ExitCode::SUCCESS)
}

/// One line, in which nothing that a caller wrote reaches the terminal as more than letters.
fn row(sealed: &Sealed) -> String {
    let text = |key: &str| sealed.text(key).escape_debug().to_string();
    let caller = sealed.content.get("caller");
    let uid = caller.and_then(|caller| caller.get("uid")).map_or("-".to_owned(), Value::to_string);
    let words = [
        format!("{:>6}", sealed.seq),
        format!("{:<30}", text("time")),
        format!("{:<8}", text("kind")),
        format!("{:<8}", text("verb")),
        format!("{:<24}", text("container")),
        format!("uid={uid}"),
        what(sealed),
    ];
    format!("{}\n", words.join(" ").trim_end())
}

fn what(sealed: &Sealed) -> String {
    let content = &sealed.content;
    let of = |key: &str, below: &str| {
        content.get(key).and_then(|value| value.get(below)).cloned().unwrap_or_default()
    };
    let plain = |value: &Value| {
        value.as_str().map_or_else(|| value.to_string(), |text| text.escape_debug().to_string())
    };
    let mut words = vec![];
    if let Some(argv) = content.get("argv").and_then(Value::as_array) {
        words.push(argv.iter().map(plain).collect::<Vec<_>>().join(" "));
    }
    for key in ["exit_code", "signal", "kind"] {
        let value = of("outcome", key);
        if !value.is_null() {
            words.insert(0, if key == "kind" { plain(&value) } else { format!("{key}={value}") });
        }
    }
    for violation in of("verdict", "violations").as_array().into_iter().flatten() {
        words.push(format!("[{} {}]", plain(&violation["rule"]), plain(&violation["field"])));
    }
    words.extend(content.get("error").map(plain));
    words.join("  ")
}

fn export(file: Option<&HostPath>, lines: bool, only: &Only) -> Result<ExitCode> {
    let mut first = true;
    each(file, only, |_, line| {
        let text = String::from_utf8_lossy(line);
        let text = match (lines, first) {
            (true, _) => text.into_owned(),
            (false, true) => format!("[\n{}", text.trim_end()),
            (false, false) => format!(",\n{}", text.trim_end()),
        };
        first = false;
        output::print(&text)
    })?;
    match (lines, first) {
        (true, _) => {}
        (false, true) => output::print("[]\n")?,
        (false, false) => output::print("\n]\n")?,
    }
    Ok(ExitCode::SUCCESS)
}

fn head(file: Option<&HostPath>, journald: bool) -> Result<ExitCode> {
    let newest = match file {
        None => audit::head(&host_log()?)?,
        Some(path) => {
            let mut newest = None;
            each(Some(path), &Only::default(), |sealed, _| {
                newest = Some(sealed.head());
                Ok(())
            })?;
            newest
        }
    };
    let newest = newest.ok_or_else(|| Error::usage("there is no record yet"))?;
    if journald {
        let message = format!("pinfold audit head: {} {}", newest.seq, newest.hash);
        let seq = newest.seq.to_string();
        audit::send_to_journald(&[
            ("MESSAGE", message.as_str()),
            ("PRIORITY", "5"),
            ("SYSLOG_IDENTIFIER", "pinfold"),
            ("PINFOLD_KIND", "head"),
            ("PINFOLD_SEQ", &seq),
            ("PINFOLD_HASH", &newest.hash),
        ])?;
    }
    output::print(&format!("{} {}\n", newest.seq, newest.hash))?;
    Ok(ExitCode::SUCCESS)
}
