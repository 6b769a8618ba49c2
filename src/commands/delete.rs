//! `delete`: removes a stopped container and all that create made, and nothing else.

use super::host::Host;
use super::{destroy, entry};
use crate::cli::{DeleteArgs, Global};
use crate::error::{ExitCode, Result};
use crate::state::{Action, Status};

/// Deletes a container.
///
/// # Errors
/// It is running and `--force` was not given; with it an unknown id is no error.
pub fn run(global: &Global, args: &DeleteArgs) -> Result<ExitCode> {
    let root = entry::open_root(global)?;
    let id = args.id.to_string();
    let dir = match root.open_container(&id) {
        Err(error) if args.force && error.errno().is_none() => return Ok(ExitCode::SUCCESS),
        other => other?,
    };
    let host = Host::read()?;
    let state = {
        let changes = dir.lock_changes()?;
        let state = changes.load()?;
        let status = Status::observe(&state)?;
        if !args.force {
            status.may(Action::Delete, &id)?;
        }
        destroy::stop(&host, &state)?;
        state
    };
    destroy::remove(&root, dir, &host, &state)?;
    Ok(ExitCode::SUCCESS)
}
