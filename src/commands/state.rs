//! `state` and `list`: what is known of containers. They change nothing.

use super::entry;
use super::host::Host;
use super::output;
use crate::cli::{Global, ListArgs, ListFormat, StateArgs};
use crate::error::{ExitCode, Result};
use crate::state::oci::{self, OciState};
use crate::state::{ContainerDir, State, Status};

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
    let mut rows = vec![];
    let mut host = None;
    for id in root.ids()? {
        // An entry that ends while it is looked at is not listed.
        let Ok(dir) = root.open_container(&id) else { continue };
        if let Ok(seen) = observe(&dir, &mut host) {
            rows.push((id, seen));
        }
    }
    let text = match (args.quiet, args.format) {
        (true, _) => rows.iter().map(|(id, _)| format!("{id}\n")).collect(),
        (false, ListFormat::Json) => {
            let rows: Vec<_> = rows.into_iter().map(|(_, seen)| seen).collect();
            format!("{}\n", oci::list_json(&rows)?)
        }
        (false, ListFormat::Table) => {
            let rows: Vec<_> = rows.into_iter().map(|(_, seen)| seen).collect();
            oci::list_table(&rows)
        }
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
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
