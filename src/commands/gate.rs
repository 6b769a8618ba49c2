//! The gate between launches and `lockdown` or `kill --all-sandboxes`: a file in the default
//! state directory, whichever one a launch uses. A launch shares its lock from the moment in which it
//! looks for the last time whether it may start until its program executes, or its entry tells of
//! the process. Who takes the lock alone therefore finds none in between: it has started, and is
//! seen, or it will look.
//!
//! The lock is flock(2)'s: it ends with its holder. It is taken with a deadline, as a holder may be
//! stopped, and by a descriptor that is opened after the clone, so no child has it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use nix::errno::Errno;

use crate::audit::{Deadline, Sharing, hold};
use crate::error::{Call, Context, Error, Kind, Result};
use crate::policy::{Policy, lockdown};
use crate::state::{self, StateRoot};

/// How long a launch waits for who ends others.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long those wait for launches that are about to start.
const PATIENCE_OF_THE_END: Duration = Duration::from_secs(5);
/// What ends all, whatever their profile.
const ALL: &str = "*";
/// So does this, which the file has where it grew by truncate(2): that needs no room on its filesystem.
const HOLE: char = '\0';

/// A launch at the gate.
#[derive(Debug)]
pub struct Gate {
    /// Whether there is one for this caller.
    stands: bool,
    /// Locked, between the last look and the start.
    file: Option<File>,
    /// How much was written into it when the launch began.
    seen: u64,
    profile: Option<String>,
}

impl Gate {
    /// At the beginning of a launch.
    ///
    /// # Errors
    /// Kind `PolicyRefused`: the host is locked down. The gate cannot be opened.
    pub fn enter(policy: Option<&Policy>) -> Result<Self> {
        lockdown::check()?;
        let profile = policy.and_then(|policy| policy.profile.clone());
        let opened = StateRoot::open(None).and_then(|root| root.gate());
        let seen = match opened.and_then(|file| file.metadata().call("fstat")) {
            Ok(found) => Some(found.len()),
            // Whom no policy binds, and who has no place for it, is let through as runc does.
            Err(_) if policy.is_none() || state::is_without_roots_rights()? => None,
            Err(error) => return Err(error),
        };
        Ok(Self { stands: seen.is_some(), file: None, seen: seen.unwrap_or(0), profile })
    }

    /// The last look before the program starts. The lock is held from here until [`Self::started`].
    ///
    /// # Errors
    /// Kind `PolicyRefused`: the host is locked down, or all that was on its way was ended.
    pub fn pass(&mut self) -> Result<()> {
        if !self.stands {
            return lockdown::check();
        }
        let file = self.file.insert(StateRoot::open(None)?.gate()?);
        // The lock ends with the file.
        std::mem::forget(hold(file, Sharing::Shared, Deadline::after(PATIENCE)).on("the gate of launches")?);
        lockdown::check()?;
        let mut written = String::new();
        file.seek(SeekFrom::Start(self.seen)).and_then(|_| file.read_to_string(&mut written)).call("read")?;
        let ends = |line: &str| line == ALL || line.contains(HOLE) || Some(line) == self.profile.as_deref();
        match written.lines().any(ends) {
            false => Ok(()),
            true => {
                let text = "ended by `kill --all-sandboxes` before its program ran";
                Err(Error::new(Kind::PolicyRefused, text))
            }
        }
    }

    /// The program executes, or its entry tells of it: whoever looks now finds it.
    pub fn started(&mut self) {
        self.file = None;
    }

    /// For who sees later that the program executes: what is closed then.
    pub fn until_executed(&mut self) -> Option<File> {
        self.file.take()
    }
}

/// Waits until every launch that looked before has started.
///
/// # Errors
/// Some have not within the patience: who they are.
pub fn await_passing() -> Result<()> {
    let file = StateRoot::open(None)?.gate()?;
    hold(&file, Sharing::Alone, Deadline::after(PATIENCE_OF_THE_END)).map(drop)
}

/// Ends what is on its way, and all that `end` finds: at once, and again when nothing is
/// between its last look and its start. One that holds the gate up is among those that `end` ends.
///
/// # Errors
/// A gate that cannot be opened or marked; a launch that neither starts nor ends. `end` was called all the same.
pub fn closed(profile: Option<&str>, mut end: impl FnMut()) -> Result<()> {
    let opened = StateRoot::open(None).and_then(|root| root.gate());
    let marked = match &opened {
        Ok(file) => mark(file, profile),
        Err(_) => Ok(()),
    };
    end();
    let file = opened?;
    let soon = || Deadline::after(PATIENCE_OF_THE_END);
    let held = hold(&file, Sharing::Alone, soon()).or_else(|_stopped_meanwhile| {
        end();
        hold(&file, Sharing::Alone, soon()).map_err(|error| {
            error.hint("what was found has ended, but a launch that began before may still start its program: end it, and call this again")
        })
    });
    end();
    held.and(marked)
}

fn mark(mut file: &File, profile: Option<&str>) -> Result<()> {
    match file.write_all(format!("{}\n", profile.unwrap_or(ALL)).as_bytes()).call("write") {
        Err(error) if error.errno() == Some(Errno::ENOSPC) => {
            let length = file.metadata().call("fstat")?.len();
            file.set_len(length + 1).call("ftruncate")
        }
        other => other,
    }
}
