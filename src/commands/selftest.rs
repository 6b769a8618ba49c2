//! `selftest escapes`: the lab, in a process of its own.

use super::{caller, output};
use crate::cli::{EscapesArgs, SelftestArgs, SelftestWhat};
use crate::error::{Error, ExitCode, Result};
use crate::selftest::{self, Options};
use crate::types::HostPath;

/// Attacks a runtime.
///
/// # Errors
/// What keeps the lab from being built.
pub fn run(args: &SelftestArgs) -> Result<ExitCode> {
    // It executes the runtime that is named.
    caller::roots_alone("selftest is")?;
    match &args.what {
        SelftestWhat::Probe { name, args } => {
            output::print(&format!("{}\n", selftest::probe(name, args)))?;
            Ok(ExitCode::SUCCESS)
        }
        SelftestWhat::Escapes(args) => escapes(args),
    }
}

fn escapes(args: &EscapesArgs) -> Result<ExitCode> {
    let Some(dir) = &args.inside else { return enter(args) };
    let runtime = args.runtime.as_ref().map(|path| HostPath::as_path(path).to_owned());
    let report = selftest::inside(dir.as_path(), &Options { runtime, only: args.only.clone() })?;
    let text = match args.json {
        true => {
            serde_json::to_string_pretty(&report).map_err(|error| Error::internal(error.to_string()))? + "\n"
        }
        false => report.text(),
    };
    output::print(&text)?;
    Ok(match report.is_bad() {
        true => ExitCode(1),
        false => ExitCode::SUCCESS,
    })
}

fn enter(args: &EscapesArgs) -> Result<ExitCode> {
    let runtime = args.runtime.as_ref().map(|path| path.as_path().display().to_string());
    let mut words = vec!["selftest", "escapes"];
    words.extend(runtime.iter().flat_map(|path| ["--runtime", path.as_str()]));
    words.extend(args.only.iter().flat_map(|id| ["--only", id.as_str()]));
    words.extend(args.json.then_some("--json"));
    let status = selftest::enter(&words)?;
    Ok(ExitCode(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
