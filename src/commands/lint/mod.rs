//! `lint`: what is dangerous in a configuration, for people and for programs.

mod look;
mod reading;
mod sarif;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{bundle, caller, output, text_file};
use crate::cli::{FailOn, LintArgs};
use crate::error::{Context, Error, ExitCode, Result};
use crate::lint::{Finding, Places, Region, Severity, Subject, lint};

/// A finding with its place in the text.
#[derive(Debug, Serialize)]
struct Placed {
    id: &'static str,
    severity: Severity,
    /// JSON pointer.
    field: String,
    #[serde(flatten)]
    region: Region,
    title: &'static str,
    reason: String,
    fix: &'static str,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    config: &'a str,
    findings: &'a [Placed],
}

/// Looks through a bundle or a configuration file.
///
/// # Errors
/// A file that cannot be read, or is no configuration.
pub fn run(args: &LintArgs) -> Result<ExitCode> {
    let _as_caller = caller::rights()?;
    let path = args.path.as_ref().map_or(Path::new("."), |path| path.as_path());
    let (config, base) = config_of(path)?;
    let name = config.display().to_string();
    let text = String::from_utf8(text_file::read(&config, bundle::CONFIG_LIMIT)?)
        .map_err(|error| Error::usage(error.to_string()).object(&name))?;
    let read = reading::read(&text)?;
    let looked = look::look(&read.draft, &base);
    let subject = Subject {
        draft: &read.draft,
        spec: &read.spec,
        json: &read.json,
        refused: &read.refused,
        looked: &looked,
    };
    let places = Places::of(&text);
    let found: Vec<_> = lint(&subject).into_iter().map(|finding| placed(finding, &places)).collect();
    let text = match (args.json, args.sarif) {
        (_, true) => sarif::sarif(&name, &found)?,
        (true, false) => json(&Printed { config: &name, findings: &found })?,
        (false, false) => human(&name, &found),
    };
    output::print(&text)?;
    Ok(match found.iter().any(|one| fails(args.fail_on, one.severity)) {
        true => ExitCode(1),
        false => ExitCode::SUCCESS,
    })
}

/// The file, and the directory in which its relative paths begin.
fn config_of(path: &Path) -> Result<(PathBuf, PathBuf)> {
    let stat = nix::sys::stat::stat(path).map_err(|errno| Error::call("stat", errno)).on(path.display())?;
    match stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        true => Ok((path.join("config.json"), path.to_owned())),
        false => {
            let parent = path.parent().filter(|parent| *parent != Path::new(""));
            Ok((path.to_owned(), parent.unwrap_or(Path::new(".")).to_owned()))
        }
    }
}

fn placed(finding: Finding, places: &Places) -> Placed {
    let (field, region) = places.find(&finding.field);
    Placed {
        id: finding.rule.id,
        severity: finding.severity,
        field,
        region,
        title: finding.rule.title,
        reason: finding.reason,
        fix: finding.rule.fix,
    }
}

fn fails(from: FailOn, severity: Severity) -> bool {
    let least = match from {
        FailOn::Critical => Severity::Critical,
        FailOn::High => Severity::High,
        FailOn::Medium => Severity::Medium,
        FailOn::Low => Severity::Low,
        FailOn::Note => Severity::Note,
        FailOn::Never => return false,
    };
    severity >= least
}

fn json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::internal(error.to_string()))?;
    Ok(format!("{text}\n"))
}

fn human(name: &str, found: &[Placed]) -> String {
    let mut text = String::new();
    for one in found {
        let Placed { id, severity, field, region, title, reason, fix } = one;
        let (line, column) = (region.start_line, region.start_column);
        // The configuration's own words must not begin a line.
        let (field, reason) = (field.escape_debug(), reason.escape_debug());
        text.push_str(&format!("{name}:{line}:{column}: {severity}: {title} [{id}]\n"));
        text.push_str(&format!("    {field}: {reason}\n    fix: {fix}\n"));
    }
    let count = |severity: Severity| found.iter().filter(|one| one.severity == severity).count();
    let counts = Severity::ALL.map(|severity| format!("{} {severity}", count(severity)));
    format!("{text}{}\n", counts.join(", "))
}

/// A path as a reference of a URI (RFC 3986): what is not plain is written by its bytes.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let relative = path.trim_start_matches("./");
    let text: String = OsString::from(relative)
        .as_encoded_bytes()
        .iter()
        .map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    if path.starts_with('/') { format!("file://{text}") } else { text }
}
