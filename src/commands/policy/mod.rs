//! `policy init | check | compile | test | lint`.

mod check;
mod compile;
mod test;

use super::{output, text_file};
use crate::cli::{Global, PolicyArgs, PolicyWhat};
use crate::error::{Context, Error, ExitCode, Kind, Result};
use crate::policy::{Document, Finding, lint, trusted};
use crate::types::HostPath;

/// A strict policy with a comment on each section.
const START: &str = include_str!("../../../examples/policy/gateway.toml");
const LARGEST: usize = 1 << 20;

/// Does what is asked with a policy.
///
/// # Errors
/// A policy that cannot be trusted, read or understood; a bundle that cannot be read.
pub fn run(global: &Global, args: &PolicyArgs) -> Result<ExitCode> {
    match &args.what {
        PolicyWhat::Init => output::print(START).map(|()| ExitCode::SUCCESS),
        PolicyWhat::Check { bundle, explain, json } => check::run(global, bundle.as_ref(), *explain, *json),
        PolicyWhat::Compile => compile::run(),
        PolicyWhat::Test { file, against, json } => test::run(file.as_ref(), against, *json),
        PolicyWhat::Lint { file } => lint_file(file.as_ref()),
    }
}

/// The policy in a file, or the host's, with its name.
fn document(file: Option<&HostPath>) -> Result<(String, Document)> {
    let (name, text) = match file {
        Some(path) => {
            let text = text_file::read(path.as_path(), LARGEST)?;
            let text = String::from_utf8(text).map_err(|error| Error::usage(error.to_string()));
            (path.as_path().display().to_string(), text.on(path.as_path().display())?)
        }
        None => {
            let absent = || Error::usage("there is no such file").object(trusted::POLICY_FILE);
            (trusted::POLICY_FILE.to_owned(), trusted::read()?.ok_or_else(absent)?)
        }
    };
    let document = Document::parse(&name, &text).map_err(|error| error.kind(Kind::PolicyRefused))?;
    Ok((name, document))
}

fn lint_file(file: Option<&HostPath>) -> Result<ExitCode> {
    let (name, document) = document(file)?;
    let findings = lint(&document);
    let lines: String = findings.iter().map(|finding| format!("{name}:{finding}\n")).collect();
    output::print(&lines)?;
    match findings.iter().any(Finding::is_dangerous) {
        true => Ok(ExitCode(1)),
        false => Ok(ExitCode::SUCCESS),
    }
}
