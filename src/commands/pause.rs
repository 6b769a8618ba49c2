//! `pause` and `resume`: the freezer of the container's cgroup.

use super::entry;
use super::host::Host;
use super::trail::{Need, Trail};
use crate::cgroup::Cgroup;
use crate::cli::Global;
use crate::error::{Error, ExitCode, Result};
use crate::state::{Action, StateRoot, Status};

/// Freezes all processes.
///
/// # Errors
/// The container is not running or has no cgroup.
pub fn pause(global: &Global, id: &str) -> Result<ExitCode> {
    with_cgroup(global, id, ("pause", Action::Pause), Cgroup::freeze)
}

/// Lets them go on.
///
/// # Errors
/// The container is not paused.
pub fn resume(global: &Global, id: &str) -> Result<ExitCode> {
    with_cgroup(global, id, ("resume", Action::Resume), Cgroup::thaw)
}

fn with_cgroup(
    global: &Global,
    id: &str,
    (verb, action): (&'static str, Action),
    act: fn(&Cgroup) -> Result<()>,
) -> Result<ExitCode> {
    let root = entry::open_root(global)?;
    let mut trail = Trail::of_host(verb, id);
    trail.intent(None, Need::Never)?;
    trail.end(acted(&root, id, action, act))?;
    Ok(ExitCode::SUCCESS)
}

fn acted(root: &StateRoot, id: &str, action: Action, act: fn(&Cgroup) -> Result<()>) -> Result<()> {
    let dir = root.open_container(id)?;
    let changes = dir.lock_changes()?;
    let state = changes.load()?;
    let host = Host::read()?;
    let cgroup = entry::open_cgroup(&host, &state)?
        .ok_or_else(|| Error::setup("the container has no cgroup to freeze"))?;
    Status::observe(&state)?.with_freezer(cgroup.is_frozen()?).may(action, id)?;
    act(&cgroup)
}
