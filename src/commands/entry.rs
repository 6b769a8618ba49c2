//! A launch's entry in the state directory: made before anything else of it, removed last,
//! so that what a killed launch leaves behind can be found and swept.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::host::Host;
use crate::cgroup::{Cgroup, CgroupPath};
use crate::cli::Global;
use crate::draft::Draft;
use crate::error::{Call, Error, Result};
use crate::state::id_range::IdRange;
use crate::state::{self, ContainerDir, ContainerKind, Phase, Process, State, StateRoot};
use crate::sys;

/// An entry of a launch in progress.
pub struct Entry {
    root: StateRoot,
    dir: ContainerDir,
    id: String,
}

impl Entry {
    /// The entry of an unnamed foreground sandbox.
    ///
    /// # Errors
    /// The state directory cannot be made or is not the caller's.
    pub fn sandbox(global: &Global, host: &Host, draft: &Draft, range: Option<&IdRange>) -> Result<Self> {
        let root = StateRoot::open(global.root.as_ref().map(|path| path.as_path()))?;
        sweep(&root, host)?;
        let id = random_id()?;
        let dir = root.create(&id)?;
        let state = State {
            id: id.clone(),
            oci_version: "1.3.0".to_owned(),
            init: None,
            created: state::rfc3339::now(),
            bundle: String::new(),
            rootfs: draft.root.directory.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            owner: state::owner::name(host.facts.euid)?,
            annotations: std::collections::BTreeMap::new(),
            phase: Phase::Creating,
            kind: ContainerKind::Sandbox,
            cgroup: String::new(),
            config_digest: String::new(),
            binds: vec![],
            ephemeral: true,
            id_range: range.map(IdRange::slot),
            launcher: Process::current()?,
        };
        let entry = Self { root, dir, id };
        entry.dir.lock_changes()?.save(&state)?;
        Ok(entry)
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Removes it; the last act of a launch.
    ///
    /// # Errors
    /// unlinkat(2).
    pub fn remove(self) -> Result<()> {
        self.root.remove(self.dir)
    }
}

/// Removes what killed launches left behind: cgroup, id range, entry.
///
/// # Errors
/// The state directory cannot be read.
pub fn sweep(root: &StateRoot, host: &Host) -> Result<usize> {
    let sweep = state::stale(root)?;
    let mut removed = 0;
    for stale in sweep.stale {
        let group = stale.state.as_ref().map(|state| state.cgroup.clone()).filter(|name| !name.is_empty());
        if let Some(group) = group
            && let Some(cgroup) = Cgroup::open(&host.hierarchies, &CgroupPath::parse(&group)?)?
        {
            cgroup.kill()?;
            cgroup.remove()?;
        }
        root.remove(stale.dir)?;
        removed += 1;
    }
    Ok(removed)
}

fn random_id() -> Result<String> {
    let mut bytes = [0_u8; 8];
    sys::random::fill(&mut bytes).call("getrandom")?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sandbox-{hex}"))
}

/// The process that started pinfold, held by a pidfd: a launch ends with it. `None` where
/// it cannot be seen (another pid namespace) or never ends (pid 1).
///
/// # Errors
/// `CallerDied` when it is gone already.
pub fn caller() -> Result<Option<OwnedFd>> {
    let parent = nix::unistd::getppid();
    if parent.as_raw() <= 1 {
        return Ok(None);
    }
    let pidfd = match sys::pidfd::pidfd_open(Pid::from_raw(parent.as_raw())) {
        Err(Errno::ESRCH) => return Err(Error::setup("the calling process is gone")),
        other => other.call("pidfd_open")?,
    };
    // The number may have been another's by the time it was opened.
    match nix::unistd::getppid() == parent {
        true => Ok(Some(pidfd)),
        false => Err(Error::setup("the calling process is gone")),
    }
}
