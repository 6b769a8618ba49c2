//! The report of a sandbox whose options are refused as a whole.

use std::ffi::OsString;

use super::inherited::Inherited;
use super::report_target;
use crate::cli;
use crate::commands::caller;
use crate::commands::report::Reporter;
use crate::error::{Context, Error, Result};
use crate::types::ReportTarget;

/// Writes it where such a line says without doubt where to.
///
/// # Errors
/// The report cannot be written.
pub fn report_refused(args: &[OsString], refused: &clap::Error) -> Result<()> {
    let Some(target) = cli::report_of_refused(args) else { return Ok(()) };
    // No verb has begun: nobody has looked yet for whom this process works.
    caller::settle()?;
    tell(&target, &Error::usage(cli::usage_text(refused)))
}

/// Writes nothing but why.
pub(super) fn tell(target: &ReportTarget, error: &Error) -> Result<()> {
    let mut inherited = Inherited::take(Some(target), &[])?;
    let mut reporter = Reporter::new(Some(report_target::open(target, &mut inherited).at("--report")?));
    reporter.failed(error);
    reporter.write().at("--report")
}
