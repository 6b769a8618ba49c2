//! The lifecycle: which status a container has, and what may be asked of it then.
//!
//! runtime-spec, runtime.md, "State" and "Lifecycle". The texts are runc's:
//! containerd, podman and scripts match them.

use std::fmt;

use super::record::{Phase, State};
use crate::error::{Error, Result};

/// A container's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Being made.
    Creating,
    /// Made; the program has not been started.
    Created,
    /// The program runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its first process is gone.
    Stopped,
}

/// What can be asked of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `start`
    Start,
    /// `kill`
    Kill,
    /// `delete` without `--force`
    Delete,
    /// `exec` without `--ignore-paused`
    Exec,
    /// `pause`
    Pause,
    /// `resume`
    Resume,
    /// `update`
    Update,
    /// `events`
    Events,
}

impl Status {
    /// The status as far as processes tell it; only its cgroup knows whether it is paused.
    pub fn observe(state: &State) -> Result<Self> {
        let init_lives = state.init.map_or(Ok(false), |init| init.lives())?;
        Ok(match (state.phase, init_lives) {
            (Phase::Started, true) => Self::Running,
            (Phase::Created, true) => Self::Created,
            (Phase::Creating, true) => Self::Creating,
            // Before its clone, a container lives as long as its launcher does.
            (Phase::Creating, false) if state.init.is_none() && state.launcher.lives()? => Self::Creating,
            (_, false) => Self::Stopped,
        })
    }

    /// The status with what the freezer of its cgroup says.
    #[must_use]
    pub fn with_freezer(self, frozen: bool) -> Self {
        match self {
            Self::Created | Self::Running if frozen => Self::Paused,
            other => other,
        }
    }

    /// Whether container `id` allows `action` in this status.
    pub fn may(self, action: Action, id: &str) -> Result<()> {
        match self.refusal(action, id) {
            None => Ok(()),
            Some(text) => Err(Error::usage(text)),
        }
    }

    fn refusal(self, action: Action, id: &str) -> Option<String> {
        let not_running = "container not running";
        let text = match (action, self) {
            (Action::Start | Action::Delete, Self::Created) | (Action::Delete, Self::Stopped) => return None,
            (Action::Start, Self::Running) => "cannot start an already running container",
            (Action::Start, Self::Stopped) => "cannot start a container that has stopped",
            (Action::Start, _) => return Some(format!("cannot start a container in the {self} state")),
            (Action::Delete, _) => {
                return Some(format!("cannot delete container {id} that is not stopped: {self}"));
            }
            (Action::Exec, Self::Paused) => {
                "cannot exec in a paused container (use --ignore-paused to override)"
            }
            (Action::Exec, Self::Stopped) => "cannot exec in a stopped container",
            (Action::Exec, Self::Creating) => "cannot exec in a container in the creating state",
            (Action::Resume, Self::Paused) => return None,
            (Action::Resume, _) => "container not paused",
            (Action::Pause, Self::Paused) => not_running,
            (Action::Events, Self::Creating | Self::Stopped) => {
                return Some(format!("container with id {id} is not running"));
            }
            (_, Self::Creating | Self::Stopped) => not_running,
            (_, Self::Created | Self::Running | Self::Paused) => return None,
        };
        Some(text.to_owned())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::process::Process;
    use crate::state::record::sample;

    const ALL: [Status; 5] =
        [Status::Creating, Status::Created, Status::Running, Status::Paused, Status::Stopped];

    #[test]
    fn every_action_in_every_status() {
        // creating, created, running, paused, stopped
        let table = [
            (Action::Start, [false, true, false, false, false]),
            (Action::Kill, [false, true, true, true, false]),
            (Action::Delete, [false, true, false, false, true]),
            (Action::Exec, [false, true, true, false, false]),
            (Action::Pause, [false, true, true, false, false]),
            (Action::Resume, [false, false, false, true, false]),
            (Action::Update, [false, true, true, true, false]),
            (Action::Events, [false, true, true, true, false]),
        ];
        for (action, allowed) in table {
            for (status, good) in ALL.into_iter().zip(allowed) {
                assert_eq!(status.may(action, "a").is_ok(), good, "{action:?} {status}");
            }
        }
    }

    #[test]
    fn a_refusal_has_runcs_words() {
        let table = [
            (Action::Start, Status::Stopped, "cannot start a container that has stopped"),
            (Action::Start, Status::Running, "cannot start an already running container"),
            (Action::Start, Status::Paused, "cannot start a container in the paused state"),
            (Action::Kill, Status::Stopped, "container not running"),
            (Action::Pause, Status::Paused, "container not running"),
            (Action::Resume, Status::Running, "container not paused"),
            (Action::Update, Status::Stopped, "container not running"),
            (Action::Exec, Status::Stopped, "cannot exec in a stopped container"),
            (
                Action::Exec,
                Status::Paused,
                "cannot exec in a paused container (use --ignore-paused to override)",
            ),
            (Action::Delete, Status::Running, "cannot delete container a that is not stopped: running"),
            (Action::Events, Status::Stopped, "container with id a is not running"),
        ];
        for (action, status, text) in table {
            assert_eq!(status.may(action, "a").unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn the_status_is_what_lives_and_how_far_it_came() {
        let alive = Some(Process::current().unwrap());
        let dead = Some(Process { pid: i32::MAX, start_time: 1 });
        let reused = alive.map(|process| Process { start_time: process.start_time + 1, ..process });
        let table = [
            (Phase::Creating, None, alive, Status::Creating),
            (Phase::Creating, None, dead, Status::Stopped),
            (Phase::Creating, alive, dead, Status::Creating),
            (Phase::Creating, dead, alive, Status::Stopped),
            (Phase::Created, alive, dead, Status::Created),
            (Phase::Created, dead, alive, Status::Stopped),
            (Phase::Started, alive, dead, Status::Running),
            (Phase::Started, reused, alive, Status::Stopped),
            (Phase::Started, None, alive, Status::Stopped),
        ];
        for (phase, init, launcher, status) in table {
            let state = State { phase, init, launcher: launcher.unwrap(), ..sample("a") };
            assert_eq!(Status::observe(&state).unwrap(), status, "{phase:?} {init:?}");
        }
    }

    #[test]
    fn only_what_lives_can_be_paused() {
        for status in ALL {
            let paused = matches!(status, Status::Created | Status::Running | Status::Paused);
            assert_eq!(status.with_freezer(true) == Status::Paused, paused, "{status}");
            assert_eq!(status.with_freezer(false), status);
        }
    }
}
