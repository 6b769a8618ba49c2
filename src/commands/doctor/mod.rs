//! `pinfold doctor`: can this host run sandboxes, and if not, what is to be changed?
//!
//! Three parts: `findings` asks the kernel, `verdict` judges without asking anything more,
//! `print` tells. What is tried is tried in a child that ends at once: nothing stays changed.

mod cgroups;
mod findings;
mod fixes;
mod print;
mod probe;
mod verdict;

use crate::cli::DoctorArgs;
use crate::error::{ExitCode, Result};

/// Examines the host and prints what was found; exit code 1 if `sandbox` cannot work.
///
/// # Errors
/// What write(2) says of stdout.
pub fn run(args: &DoctorArgs) -> Result<ExitCode> {
    let checks = verdict::judge(&findings::gather());
    super::output::print(&match args.json {
        true => print::json(&checks)?,
        false => print::text(&checks),
    })?;
    Ok(if verdict::ready(&checks) { ExitCode::SUCCESS } else { ExitCode(1) })
}
