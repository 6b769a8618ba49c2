//! Freezing and thawing a group: `cgroup.freeze` (Linux 5.2), or the v1 freezer where there is
//! no unified hierarchy.

use std::time::{Duration, Instant};

use cgroups_rs::FreezerState;
use cgroups_rs::fs::freezer::FreezerController;
use nix::errno::Errno;

use crate::error::{Error, Result};

use super::dir::Dir;
use super::event::{self, Event};
use super::group::Cgroup;
use super::v1;

/// How long a process may stay in the kernel before freezing is given up.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cgroup {
    /// Freezes every process of the group and waits until each is. One that cannot be frozen in time
    /// (it waits in the kernel, uninterruptibly) is an error, and all are thawed again.
    pub fn freeze(&self) -> Result<()> {
        self.change(true)
    }

    /// Thaws every process of the group.
    ///
    /// A group that is gone holds nobody frozen.
    pub fn thaw(&self) -> Result<()> {
        if !self.exists()? {
            return Ok(());
        }
        self.change(false)?;
        self.thaw_legacy()
    }

    /// On a hybrid machine other software may have used the freezer of v1.
    pub(super) fn thaw_legacy(&self) -> Result<()> {
        match (&self.unified, self.legacy_dir("freezer")) {
            (Some(_), Some(group)) if !self.leaf => match legacy_state(group, false) {
                Err(error) if error.errno() == Some(Errno::ENOENT) && !self.exists()? => Ok(()),
                result => result,
            },
            _ => Ok(()),
        }
    }

    /// Whether the group is frozen, by itself or by a group above, in any hierarchy.
    pub fn is_frozen(&self) -> Result<bool> {
        if let Some(group) = &self.unified
            && event::holds(group, Event::Frozen)? == Some(true)
        {
            return Ok(true);
        }
        match self.legacy_dir("freezer") {
            Some(group) => Ok(!matches!(legacy_is(group)?, FreezerState::Thawed)),
            None => Ok(false),
        }
    }

    fn change(&self, freeze: bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        if self.change_by(freeze, deadline)? {
            return Ok(());
        }
        if !freeze {
            return Err(Error::setup("is still frozen")
                .object(&self.path)
                .hint("a group above it is frozen"));
        }
        self.change_by(false, deadline)?;
        let text =
            format!("a process could not be frozen within {} s; all are thawed again", PATIENCE.as_secs());
        Err(Error::setup(text).object(&self.path))
    }

    /// False when the time is up.
    pub(super) fn change_by(&self, freeze: bool, deadline: Instant) -> Result<bool> {
        if let Some(group) = &self.unified {
            match group.try_write("cgroup.freeze", if freeze { "1" } else { "0" }) {
                Ok(()) => return event::wait(group, Event::Frozen, freeze, deadline),
                // Before 5.2.
                Err((_, Errno::ENOENT)) => {}
                Err((call, errno)) => {
                    return Err(Error::call(call, errno).object(group.file("cgroup.freeze")));
                }
            }
        }
        let Some(group) = self.legacy_dir("freezer") else {
            let error = Error::setup("cannot be frozen").object(&self.path);
            return Err(error.hint("this needs Linux 5.2 with cgroup v2, or the freezer of v1"));
        };
        if !freeze {
            return legacy_state(group, false).map(|()| true);
        }
        event::look_until(deadline, || {
            // A process that forked meanwhile is caught only by asking again (freezer-subsystem.rst).
            legacy_state(group, true)?;
            Ok(matches!(legacy_is(group)?, FreezerState::Frozen))
        })
    }
}

fn freezer(group: &Dir) -> FreezerController {
    let (path, base) = v1::place(group);
    FreezerController::new(path, base, false)
}

fn legacy_state(group: &Dir, freeze: bool) -> Result<()> {
    let freezer = freezer(group);
    v1::answer(if freeze { freezer.freeze() } else { freezer.thaw() }, group, "freezer.state")
}

fn legacy_is(group: &Dir) -> Result<FreezerState> {
    v1::answer(freezer(group).state(), group, "freezer.state")
}
