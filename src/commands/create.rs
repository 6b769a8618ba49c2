//! `create`: everything of the configuration is applied; the program waits for `start`.

use super::container::{self, Life};
use super::host::Host;
use super::{preserved, protect};
use crate::cli::{CreateArgs, Global};
use crate::error::{ExitCode, Result};

/// Creates a container and lets go of it.
///
/// # Errors
/// As [`container::make`].
pub fn run(global: &Global, args: &CreateArgs) -> Result<ExitCode> {
    protect::own_binary()?;
    preserved::check(preserved::count(args.launch.preserve_fds)?)?;
    let host = Host::read()?;
    let mut container = container::make(global, &args.launch, &host, Life::Created)?;
    container.child.release();
    container.entry.let_go();
    container.trail.detached(container.child.pid);
    Ok(ExitCode::SUCCESS)
}
