//! Lockdown: while this file stands beside the policy, nothing is launched, executed, started or
//! updated. Root's alone, like the policy: whoever may not write there can neither set nor lift
//! it. It stays until it is lifted, over a reboot too: an incident does not end by one.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use serde::{Deserialize, Serialize};

use super::trusted;
use super::violation::Violation;
use crate::error::{Call, Context, Error, Kind, Result};
use crate::sys;

/// Where it stands.
pub const LOCKDOWN_FILE: &str = "/etc/pinfold/lockdown";
const NAME: &str = "lockdown";

/// Why, since when, by whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lockdown {
    /// RFC 3339, UTC.
    pub since: String,
    /// What its setter said.
    pub reason: String,
    /// The user id of who set it.
    pub uid: u32,
    /// Who logged in.
    pub login_uid: Option<u32>,
}

/// The lockdown that is in force, if one is. A file that says nothing of itself is one too.
///
/// # Errors
/// It cannot be read, or not be trusted: nothing is launched then either.
pub fn read() -> Result<Option<Lockdown>> {
    let text = trusted::read_at(LOCKDOWN_FILE).on(LOCKDOWN_FILE)?;
    Ok(text.map(|text| serde_json::from_str(&text).unwrap_or_default()))
}

/// Refuses what would launch or loosen while one is in force.
///
/// # Errors
/// Kind `PolicyRefused`.
pub fn check() -> Result<()> {
    why().map_or(Ok(()), |text| {
        let text = format!("refused by policy: {text} (rule lockdown, {LOCKDOWN_FILE})");
        Err(Error::new(Kind::PolicyRefused, text)
            .hint("`pinfold lockdown --status` tells more; root lifts it by `pinfold lockdown --lift`"))
    })
}

/// What [`check`] refuses, for who asks and launches nothing.
pub fn violation() -> Option<Violation> {
    why().map(|text| Violation {
        rule: "lockdown",
        field: "lockdown".to_owned(),
        asked: text,
        allowed: "nothing until root lifts it".to_owned(),
        file: LOCKDOWN_FILE.to_owned(),
        line: 0,
    })
}

fn why() -> Option<String> {
    match read() {
        Ok(None) => None,
        Ok(Some(lockdown)) => Some(format!("the host is locked down {}", lockdown.words())),
        Err(error) => Some(format!("whether the host is locked down cannot be read: {error}")),
    }
}

impl Lockdown {
    /// Since when, and why; the text is root's, but a message is one line.
    pub fn words(&self) -> String {
        let since = if self.since.is_empty() { "an unknown time" } else { &self.since };
        match self.reason.is_empty() {
            true => format!("since {}", since.escape_debug()),
            false => format!("since {}: {}", since.escape_debug(), self.reason.escape_debug()),
        }
    }
}

/// Sets it; `false` where one is in force already, which stays as it is.
///
/// # Errors
/// The directory is not root's alone, or not the caller's to write.
pub fn set(lockdown: &Lockdown) -> Result<bool> {
    let text = serde_json::to_vec(lockdown).map_err(|error| Error::internal(error.to_string()))?;
    let dir = trusted::directory().on(LOCKDOWN_FILE)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP | Mode::S_IROTH;
    let how = OpenHow::new().flags(flags).mode(mode).resolve(ResolveFlag::RESOLVE_BENEATH);
    // From the moment that the name is there it is in force, whatever is written after.
    let file = match openat2(&dir, NAME, how) {
        Err(Errno::EEXIST) => return Ok(false),
        other => other.call("openat2").on(LOCKDOWN_FILE)?,
    };
    nix::sys::stat::fchmod(&file, mode).call("fchmod").on(LOCKDOWN_FILE)?;
    sys::file::write_all(file.as_fd(), &text).call("write").on(LOCKDOWN_FILE)?;
    nix::unistd::fsync(&file).call("fsync").on(LOCKDOWN_FILE)?;
    nix::unistd::fsync(&dir).call("fsync").on(LOCKDOWN_FILE)?;
    Ok(true)
}

/// Lifts it; `false` where none is in force.
///
/// # Errors
/// As [`set`].
pub fn lift() -> Result<bool> {
    let dir = trusted::directory().on(LOCKDOWN_FILE)?;
    match unlinkat(&dir, NAME, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT) => return Ok(false),
        other => other.call("unlinkat").on(LOCKDOWN_FILE)?,
    }
    nix::unistd::fsync(&dir).call("fsync").on(LOCKDOWN_FILE)?;
    Ok(true)
}
