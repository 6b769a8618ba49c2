//! `state` and `list`: what is known of containers. They change nothing.

use super::entry;
use super::host::Host;
use super::output;
use crate::cli::{Global, ListArgs, ListFormat, StateArgs};
use crate::error::{ExitCode, Result};
use crate::state::oci::{self, OciState};
use crate::state::{ContainerDir, State, StateRoot, Status};

/// Prints the state of one container.
///
/// # Errors
/// The container does not exist.
pub fn run(global: &Global, args: &StateArgs) -> Result<ExitCode> {
    let root = entry::open_root(global)?;
    let dir = root.open_container(&args.id.to_string())?;
    let seen = observe(&dir, &mut None)?;
    output::print(&format!("{}\n", seen.to_json()?))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints all containers below the state root.
///
/// # Errors
/// The state root cannot be read.
pub fn list(global: &Global, args: &ListArgs) -> Result<ExitCode> {
    let root = entry::open_root(global)?;
    let mut host = None;
    let text = match (args.quiet, args.format) {
        // Their names alone: how they are takes twice the time.
        (true, _) => each(&root, |dir| dir.load().map(|_| format!("{}\n", dir.id())))?.concat(),
        (false, ListFormat::Json) => {
            format!("{}\n", oci::list_json(&each(&root, |dir| observe(dir, &mut host))?)?)
        }
        (false, ListFormat::Table) => oci::list_table(&each(&root, |dir| observe(dir, &mut host))?),
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Of each container; an entry that ends while it is looked at is left out.
fn each<T>(root: &StateRoot, mut seen: impl FnMut(&ContainerDir) -> Result<T>) -> Result<Vec<T>> {
    let look = |id: &String| root.open_container(id).and_then(|dir| seen(&dir)).ok();
    Ok(root.ids()?.iter().filter_map(look).collect())
}

fn observe(dir: &ContainerDir, host: &mut Option<Host>) -> Result<OciState> {
    let state = dir.load()?;
    let status = with_freezer(&state, Status::observe(&state)?, host)?;
    Ok(OciState::new(&state, status))
}

/// Only a live container can be frozen, and only then the cgroups are looked at.
fn with_freezer(state: &State, status: Status, host: &mut Option<Host>) -> Result<Status> {
    if !matches!(status, Status::Running | Status::Created) || state.cgroup.is_empty() {
        return Ok(status);
    }
    let host = match host {
        Some(host) => host,
        None => host.insert(Host::read()?),
    };
    let frozen = match entry::open_cgroup(host, state)? {
        Some(cgroup) => cgroup.is_frozen()?,
        None => false,
    };
    Ok(status.with_freezer(frozen))
}
