//! `gc`: removes what dead launches left behind. A launch does the same before it begins.

use super::entry;
use super::host::Host;
use super::output;
use super::trail::Trail;
use crate::cli::{GcArgs, Global};
use crate::error::{ExitCode, Result};
use crate::state::{StateRoot, id_range};

/// Sweeps.
///
/// # Errors
/// Something could not be read or removed.
pub fn run(global: &Global, _args: &GcArgs) -> Result<ExitCode> {
    let host = Host::read()?;
    let root = entry::open_root(global)?;
    let swept = entry::sweep(&root, &host, entry::Thorough::Yes, &Trail::of_host("gc", ""))?;
    id_range::sweep(&StateRoot::open(None)?)?;
    output::print(&format!("removed {}\n", swept.removed))?;
    match swept.kept.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(ExitCode::SUCCESS),
    }
}
