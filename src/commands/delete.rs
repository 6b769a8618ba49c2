//! `delete`: removes a stopped container and all that create made, and nothing else.

use super::host::Host;
use super::{destroy, entry, matching};
use crate::cli::{DeleteArgs, Global};
use crate::error::{ExitCode, Result};
use crate::state::{Action, StateRoot};

/// Deletes a container.
///
/// # Errors
/// It is running and `--force` was not given; with it an unknown id is no error.
pub fn run(global: &Global, args: &DeleteArgs) -> Result<ExitCode> {
    let root = entry::open_root(global)?;
    let ids = matching::ids(&root, &args.id, args.regex)?;
    matching::each(&ids, args.regex, |id| delete(&root, id, args.force))?;
    Ok(ExitCode::SUCCESS)
}

fn delete(root: &StateRoot, id: &str, force: bool) -> Result<()> {
    let dir = match root.open_container(id) {
        Err(error) if force && error.errno().is_none() => return Ok(()),
        other => other?,
    };
    let host = Host::read()?;
    // Who holds the lock may be a `start` that waits for a process of the container's.
    if force && let Ok(state) = dir.load() {
        destroy::stop(&host, &state)?;
    }
    let state = {
        let found = dir.lock_changes().and_then(|changes| Ok((changes.load()?, changes)));
        let (state, _changes) = match found {
            // Its launcher died, or is, before it wrote anything: what it made is swept.
            Err(error) if force && error.errno().is_none() => {
                return entry::sweep(root, &host, entry::Thorough::No).map(|_| ());
            }
            other => other?,
        };
        let status = entry::status(&host, &state)?;
        if !force {
            status.may(Action::Delete, id)?;
        }
        destroy::stop(&host, &state)?;
        state
    };
    destroy::remove(root, dir, &host, &state)
}
