//! Which state directory a call may use. A record in it names processes and cgroups that `delete`, `exec`
//! and the others act on as root, so while a policy stands none is believed but in the directories that
//! the policy lists, which nobody but root can have put there.

use std::path::{Path, PathBuf};

use super::{caller, host, judge};
use crate::cli::Global;
use crate::error::{Error, Kind, Result};
use crate::policy::{Document, Mode, trusted};
use crate::state::StateRoot;
use crate::sys::caller::present;

/// The state directory of this command line.
///
/// # Errors
/// It cannot be made or is not the caller's; kind `PolicyRefused`: it is none of the policy's.
pub fn open(global: &Global) -> Result<StateRoot> {
    let asked = global.root.as_ref().map(|path| path.as_path());
    if let Some(caller) = present() {
        return caller::state_root(caller, asked);
    }
    let listed = listed(asked)?;
    let root = StateRoot::open(asked)?;
    match listed {
        Listed::Nowhere => Ok(root),
        Listed::Here => root.verify_way().map(|()| root),
    }
}

/// Whether a policy lists the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    Here,
    /// Nobody asks: there is no policy, or it is advice to this caller.
    Nowhere,
}

fn listed(asked: Option<&Path>) -> Result<Listed> {
    if !nix::unistd::geteuid().is_root() || !host::maps_all_ids()? {
        return Ok(Listed::Nowhere);
    }
    let default = StateRoot::default_path()?;
    let asked: PathBuf = asked.unwrap_or(&default).components().collect();
    match judge::host_policy() {
        Ok(None) => Ok(Listed::Nowhere),
        Ok(Some(document)) if document.mode == Mode::Audit => Ok(Listed::Nowhere),
        Ok(Some(document)) => among(&asked, &document, default),
        // What was made before still has to be ended.
        Err(_) if asked == default => Ok(Listed::Here),
        Err(error) => Err(error),
    }
}

fn among(asked: &Path, document: &Document, default: PathBuf) -> Result<Listed> {
    let (known, line) = match &document.running.state_roots {
        Some(roots) => (roots.value.clone(), roots.line),
        None => (vec![default], 0),
    };
    if known.iter().any(|root| root == asked) {
        return Ok(Listed::Here);
    }
    let allowed: Vec<_> = known.iter().map(|path| path.display().to_string()).collect();
    let place = if line == 0 { "by default".to_owned() } else { format!("{}:{line}", trusted::POLICY_FILE) };
    let text = format!(
        "refused by policy: --root: {} (rule running.state_roots, {place}; allowed: {})",
        asked.display(),
        allowed.join(", ")
    );
    Err(Error::new(Kind::PolicyRefused, text).field("--root"))
}
