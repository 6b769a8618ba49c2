//! `delete`: removes a stopped container and all that create made, and nothing else.

use super::host::Host;
use super::trail::{Need, Trail};
use super::{destroy, entry, matching};
use crate::cgroup::Counters;
use crate::cli::{DeleteArgs, Global};
use crate::error::{ExitCode, Result};
use crate::state::{Action, State, StateRoot, Status};

/// Deletes a container.
///
/// # Errors
/// It is running and `--force` was not given; with it an unknown id is no error.
pub fn run(global: &Global, args: &DeleteArgs) -> Result<ExitCode> {
    let root = entry::open_root(global)?;
    let ids = matching::ids(&root, &args.id, args.regex)?;
    matching::each(&ids, args.regex, |id| {
        let mut trail = Trail::of_host("delete", id);
        trail.asks("changes", serde_json::json!({"force": args.force}));
        trail.intent(None, Need::Never)?;
        let deleted = delete(&root, id, args.force, &trail);
        trail.end(deleted)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn delete(root: &StateRoot, id: &str, force: bool, trail: &Trail) -> Result<()> {
    let dir = match root.open_container(id) {
        Err(error) if force && error.errno().is_none() => return Ok(()),
        other => other?,
    };
    let host = Host::read()?;
    let mut end = None;
    // Who holds the lock may be a `start` that waits for a process of the container's.
    if force && let Ok(state) = dir.load() {
        end = Some(End::seen(&host, &state, trail)?);
        destroy::stop(&host, &state)?;
    }
    let state = {
        let found = dir.lock_changes().and_then(|changes| Ok((changes.load()?, changes)));
        let (state, _changes) = match found {
            // Its launcher died, or is, before it wrote anything: what it made is swept.
            Err(error) if force && error.errno().is_none() => {
                return entry::sweep(root, &host, entry::Thorough::No, trail).map(|_| ());
            }
            other => other?,
        };
        let status = entry::status(&host, &state)?;
        if !force {
            status.may(Action::Delete, id)?;
        }
        if end.is_none() {
            end = Some(End::seen(&host, &state, trail)?);
        }
        destroy::stop(&host, &state)?;
        state
    };
    if let Some(end) = end {
        trail.container_ended(&state, end.how, end.counters.as_ref());
    }
    destroy::remove(root, dir, &host, &state)
}

/// How a container ends, for the audit log: looked at before it is stopped and its cgroup removed.
struct End {
    how: &'static str,
    counters: Option<Counters>,
}

impl End {
    fn seen(host: &Host, state: &State, trail: &Trail) -> Result<Self> {
        let how = match Status::observe(state)? {
            Status::Stopped => "ended",
            _ => "killed",
        };
        Ok(Self { how, counters: entry::counted(host, state, trail)? })
    }
}
