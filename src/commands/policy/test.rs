//! `policy test`: which launches of the past would get another verdict.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::audit::{Line, read_line};
use crate::commands::audit::Opened;
use crate::commands::{caller, output};
use crate::error::{Call, Context, Error, ExitCode, Result};
use crate::policy::{Document, Log, Recorded, Replayed, Violation};
use crate::types::HostPath;

/// None of those that can be judged changes, but some cannot be.
const SOME_UNKNOWN: ExitCode = ExitCode(3);
/// What a newer pinfold, or an older one, says of a launch is not understood.
const LAUNCHES: [&str; 3] = ["create", "run", "sandbox"];
/// What is judged beside its container, which the log does not have.
const OTHERS: [&str; 2] = ["exec", "update"];

/// What `--json` prints.
#[derive(Default, Serialize)]
struct Printed {
    policy: String,
    log: String,
    unchanged: usize,
    changed: Vec<Changed>,
    cannot_be_judged: Vec<Unknown>,
}

#[derive(Serialize)]
struct Which {
    line: usize,
    time: String,
    op: String,
    verb: String,
    container: String,
}

#[derive(Serialize)]
struct Changed {
    #[serde(flatten)]
    which: Which,
    was: String,
    now: &'static str,
    /// What the policy says now.
    violations: Vec<Violation>,
    /// The rules that it was refused by.
    rules_then: Vec<String>,
}

#[derive(Serialize)]
struct Unknown {
    #[serde(flatten)]
    which: Which,
    why: Vec<String>,
}

/// Judges every launch of a log by a policy.
///
/// # Errors
/// A policy or a log that cannot be read.
pub(super) fn run(policy: Option<&HostPath>, against: &HostPath, json: bool) -> Result<ExitCode> {
    caller::roots_alone("the audit log is")?;
    let (name, document) = super::document(policy)?;
    let mut log = Opened::named(against)?;
    let null = nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty());
    let null: OwnedFd = null.call("open").on("/dev/null")?;
    let mut printed = Printed { policy: name, log: log.name().to_owned(), ..Printed::default() };
    let (mut line, mut number) = (vec![], 0);
    while log.next(&mut line)? {
        number += 1;
        match read_line(line.strip_suffix(b"\n").unwrap_or(&line)) {
            Line::Sealed(record) if !record.is_intact() => {
                printed.unknown(number, &record.content, "its hash does not hold: it was changed".to_owned());
            }
            Line::Sealed(record) => printed.take(number, &record.content, &document, &null)?,
            Line::Newer(format) => {
                printed.unknown(number, &Map::new(), format!("a record of format {format}"))
            }
            Line::Unreadable => printed.unknown(number, &Map::new(), "no record".to_owned()),
        }
    }
    match json {
        true => {
            let text = serde_json::to_string(&printed).map_err(|error| Error::internal(error.to_string()))?;
            output::print(&format!("{text}\n"))?;
        }
        false => output::print(&printed.human())?,
    }
    Ok(match (printed.changed.is_empty(), printed.cannot_be_judged.is_empty()) {
        (false, _) => ExitCode(1),
        (true, false) => SOME_UNKNOWN,
        (true, true) => ExitCode::SUCCESS,
    })
}

impl Printed {
    /// A record that says what was asked for: an `intent`, or an `outcome` in its place.
    fn take(
        &mut self,
        line: usize,
        record: &Map<String, Value>,
        document: &Document,
        null: &OwnedFd,
    ) -> Result<()> {
        let verb = text(record, "verb");
        let asks = record.contains_key("caller");
        if !asks || !(LAUNCHES.contains(&verb) || OTHERS.contains(&verb)) {
            return Ok(());
        }
        let Some(was) = record.get("verdict").and_then(|verdict| verdict.get("kind")?.as_str()) else {
            self.unknown(line, record, "it ended before it was judged".to_owned());
            return Ok(());
        };
        let judged = match replayable(record) {
            Ok(judged) => judged,
            Err(why) => {
                self.unknown(line, record, why);
                return Ok(());
            }
        };
        let names = record.get("environment").and_then(strings);
        let log = Log {
            environment: names.as_deref(),
            filter: record.get("seccomp_digest").and_then(Value::as_str),
            policies: record
                .get("policy")
                .and_then(|policy| policy.get("digests")?.as_array())
                .map_or(0, Vec::len),
            builtin_refuses: violations(record).any(|one| one.get("file") == Some(&"built in".into())),
        };
        match judged.judge(document, log, null) {
            Err(error) => self.unknown(line, record, error.to_string()),
            Ok(Replayed::Unknown(why)) => {
                self.cannot_be_judged.push(Unknown { which: which(line, record), why });
            }
            Ok(Replayed::Judged(now, _)) if now == was => self.unchanged += 1,
            Ok(Replayed::Judged(now, violations_now)) => self.changed.push(Changed {
                which: which(line, record),
                was: was.to_owned(),
                now,
                violations: violations_now,
                rules_then: violations(record).map(|one| field(one, "rule")).collect(),
            }),
        }
        Ok(())
    }

    fn unknown(&mut self, line: usize, record: &Map<String, Value>, why: String) {
        self.cannot_be_judged.push(Unknown { which: which(line, record), why: vec![why] });
    }

    fn human(&self) -> String {
        let mut text = String::new();
        let mut row = |now: &str, was: &str, which: &Which, why: &str| {
            let Which { line, verb, container, time, .. } = which;
            // A caller chose some of it: no escape reaches the terminal.
            let why = why.escape_debug();
            let told =
                writeln!(text, "{now:<8} {was:<8} {line:>6}  {time:<24} {verb:<8} {container:<24} {why}");
            debug_assert!(told.is_ok(), "a String takes all");
        };
        let line = 0;
        let heads = Which {
            line,
            time: "TIME".to_owned(),
            op: String::new(),
            verb: "VERB".to_owned(),
            container: "CONTAINER".to_owned(),
        };
        if !self.changed.is_empty() || !self.cannot_be_judged.is_empty() {
            row("NOW", "WAS", &heads, "WHY");
        }
        for one in &self.changed {
            let why: Vec<_> = one.violations.iter().map(ToString::to_string).collect();
            let then = || format!("it was refused by {}", one.rules_then.join(", "));
            let why = if why.is_empty() { then() } else { why.join("; ") };
            row(one.now, &one.was, &one.which, &why);
        }
        for one in &self.cannot_be_judged {
            row("unknown", "-", &one.which, &one.why.join("; "));
        }
        let (changed, unknown) = (self.changed.len(), self.cannot_be_judged.len());
        text.push_str(&format!(
            "{changed} changed, {} unchanged, {unknown} cannot be judged\n",
            self.unchanged
        ));
        text
    }
}

/// What the judge read, where all of it is in the record.
fn replayable(record: &Map<String, Value>) -> std::result::Result<Recorded, String> {
    let verb = text(record, "verb");
    if OTHERS.contains(&verb) {
        return Err(format!("{verb} is judged beside its container, which is not in the log"));
    }
    let altered = record.get("altered").and_then(strings).unwrap_or_default();
    if let Some(cut) =
        altered.iter().find(|place| place.starts_with("judged") || place.starts_with("environment"))
    {
        return Err(format!("{cut} was cut"));
    }
    match record.get("judged") {
        None => Err("the record has not what was judged: of an older pinfold".to_owned()),
        Some(Value::Null) => Err("what was judged is not UTF-8, or too long for a record".to_owned()),
        Some(judged) => Recorded::from_value(judged)
            .map_err(|error| format!("what was judged is not understood: {error}")),
    }
}

fn which(line: usize, record: &Map<String, Value>) -> Which {
    let text = |key: &str| text(record, key).escape_debug().to_string();
    Which { line, time: text("time"), op: text("op"), verb: text("verb"), container: text("container") }
}

fn text<'r>(record: &'r Map<String, Value>, key: &str) -> &'r str {
    record.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn violations(record: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let list = record.get("verdict").and_then(|verdict| verdict.get("violations")?.as_array());
    list.into_iter().flatten()
}

fn field(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
}
