//! A launch's entry in the state directory: made before anything else of it, removed last,
//! so that what a killed launch leaves behind can be found and swept.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::host::Host;
use super::trail::Trail;
use super::{hooks, rdt, state_root};
use crate::cgroup::{Cgroup, CgroupPath, Counters};
use crate::cli::Global;
use crate::error::{Call, Error, Result};
use crate::plan::HookKind;
use crate::state::{
    self, ContainerDir, ContainerKind, Phase, Process, START_SOCKET, State, StateRoot, Status,
};
use crate::sys;
use crate::systemd::{Systemd, Unit};
use crate::types::hex;

/// What an entry says from the start.
pub struct NewEntry {
    /// The container's id.
    pub id: String,
    /// `ociVersion`.
    pub oci_version: String,
    /// The bundle, absolute; empty for a sandbox.
    pub bundle: String,
    /// The root file system, absolute; empty for a fresh one.
    pub rootfs: String,
    /// Who made it.
    pub owner: String,
    /// Of the configuration.
    pub annotations: BTreeMap<String, String>,
    /// The door.
    pub kind: ContainerKind,
    /// Its cgroup; empty for none.
    pub cgroup: String,
    /// systemd's unit that the cgroup is of.
    pub unit: Option<Unit>,
    /// Swept when its launcher is gone.
    pub ephemeral: bool,
    /// Its slot of host ids.
    pub id_range: Option<u32>,
    /// The name of the call that makes it, in the audit log.
    pub audit: Option<String>,
}

/// An entry of a launch in progress.
pub struct Entry {
    root: StateRoot,
    dir: ContainerDir,
    /// Something of the launch is still there, and the next one looks after it.
    left: Cell<bool>,
}

impl Entry {
    /// Makes the entry, and takes the chance to sweep what killed launches left behind.
    ///
    /// # Errors
    /// The id is taken; the state directory cannot be made or is not the caller's.
    pub fn make(root: StateRoot, host: &Host, new: NewEntry, trail: &Trail) -> Result<Self> {
        sweep(&root, host, Thorough::No, trail)?;
        let entry = Self { dir: root.create(&new.id)?, root, left: Cell::new(false) };
        match entry.save(new) {
            Ok(()) => Ok(entry),
            Err(error) => {
                entry.remove()?;
                Err(error)
            }
        }
    }

    /// What failed has left something behind: the entry stays, for the sweep.
    pub fn leave(&self) {
        self.left.set(true);
    }

    fn save(&self, new: NewEntry) -> Result<()> {
        let state = State {
            id: new.id,
            oci_version: new.oci_version,
            init: None,
            program: None,
            keeper: None,
            created: state::rfc3339::now(),
            bundle: new.bundle,
            rootfs: new.rootfs,
            owner: new.owner,
            annotations: new.annotations,
            phase: Phase::Creating,
            kind: new.kind,
            cgroup: new.cgroup,
            unit: new.unit,
            config_digest: String::new(),
            binds: vec![],
            root: None,
            ephemeral: new.ephemeral,
            id_range: new.id_range,
            rdt: None,
            launcher: Process::current()?,
            audit: new.audit,
        };
        self.dir.lock_changes()?.save(&state)
    }

    /// The state directory that it is in.
    pub fn root_path(&self) -> &std::path::Path {
        self.root.path()
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.dir.id()
    }

    /// Keeps the configuration as it was read.
    ///
    /// # Errors
    /// A full disk.
    pub fn save_config(&self, text: &[u8]) -> Result<()> {
        self.dir.lock_changes()?.save_config(text)
    }

    /// Changes the record.
    ///
    /// # Errors
    /// The record cannot be read or written.
    pub fn update(&self, change: impl FnOnce(&mut State) -> Result<()>) -> Result<()> {
        let changes = self.dir.lock_changes()?;
        let mut state = changes.load()?;
        change(&mut state)?;
        changes.save(&state)
    }

    /// The socket on which the child waits for `start`: bound through the directory's
    /// descriptor, because sun_path holds 108 bytes (unix(7)) and a path could be swapped.
    ///
    /// # Errors
    /// socket(2), bind(2), listen(2).
    pub fn listen(&self) -> Result<OwnedFd> {
        use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
        use std::os::fd::AsRawFd;
        let listener =
            socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).call("socket")?;
        let name = start_socket(&self.dir);
        let address = UnixAddr::new(name.as_str()).call("bind")?;
        bind(listener.as_raw_fd(), &address).call("bind")?;
        listen(&listener, Backlog::new(1).call("listen")?).call("listen")?;
        Ok(listener)
    }

    /// The container lives on without its launcher.
    pub fn let_go(&mut self) {
        self.dir.let_go();
    }

    /// Removes it, the last act of a launch, unless something is left: whether it stays then.
    ///
    /// # Errors
    /// unlinkat(2).
    pub fn remove(self) -> Result<bool> {
        match self.left.get() {
            true => Ok(true),
            false => self.root.remove(self.dir).map(|_| false),
        }
    }

    /// The record as it is now.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn state(&self) -> Result<State> {
        self.dir.load()
    }
}

/// The start socket's name, through the directory's descriptor.
pub fn start_socket(dir: &ContainerDir) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}/{START_SOCKET}", dir.fd().as_fd().as_raw_fd())
}

/// The state directory of this command line.
///
/// # Errors
/// As [`state_root::open`].
pub fn open_root(global: &Global) -> Result<StateRoot> {
    state_root::open(global)
}

/// Whether a sweep does all that `delete` would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thorough {
    /// With the poststop hooks: `gc`.
    Yes,
    /// An entry with poststop hooks stays for `gc` and `delete`: a hook that hangs must not
    /// keep a launch that has nothing to do with it from starting.
    No,
}

/// What a sweep came to.
#[derive(Debug, Default)]
pub struct Swept {
    /// How many entries are gone.
    pub removed: usize,
    /// Why others stay. A launch goes on all the same: what one sandbox left behind, such as a
    /// process that not even SIGKILL ends, must not keep the others from starting. `gc` tells it.
    pub kept: Vec<Error>,
}

/// Removes what killed launches left behind: cgroup, id range, entry.
///
/// # Errors
/// The state directory cannot be read.
pub fn sweep(root: &StateRoot, host: &Host, thorough: Thorough, trail: &Trail) -> Result<Swept> {
    let mut swept = Swept::default();
    let found = state::stale(root)?;
    for state in &found.unkept {
        swept.kept.extend(end_unkept(host, state).err());
    }
    for stale in found.stale {
        match sweep_one(root, host, stale, thorough, trail) {
            Ok(removed) => swept.removed += usize::from(removed),
            Err(error) => swept.kept.push(error),
        }
    }
    Ok(swept)
}

/// The caller asked for limits that nobody holds any more.
fn end_unkept(host: &Host, state: &State) -> Result<()> {
    if let Some(init) = state.init {
        match super::kill::send(init, libc::SIGKILL) {
            // It has ended meanwhile.
            Err(error) if error.errno().is_none() => {}
            other => other?,
        }
    }
    open_cgroup(host, state)?.map_or(Ok(()), |cgroup| cgroup.kill())
}

fn sweep_one(
    root: &StateRoot,
    host: &Host,
    stale: state::Stale,
    thorough: Thorough,
    trail: &Trail,
) -> Result<bool> {
    let Some(state) = &stale.state else { return root.remove(stale.dir) };
    let counters = counted(host, state, trail)?;
    remove_cgroup(host, state)?;
    // A launch that was killed early has no configuration yet, and ran no hook.
    let kept = hooks::kept_for_the_end(&stale.dir, state);
    let has_poststop = kept.iter().any(|hook| hook.kind == HookKind::Poststop);
    if has_poststop && thorough == Thorough::No {
        return Ok(false);
    }
    let removed = root.remove(stale.dir)?;
    if removed {
        trail.container_ended(state, "abandoned", counters.as_ref());
        hooks::poststop(&kept, state)?;
    }
    Ok(removed)
}

/// What a container's cgroup counted, where the audit log asks: read before it is removed.
///
/// # Errors
/// A counter that cannot be read.
pub fn counted(host: &Host, state: &State, trail: &Trail) -> Result<Option<Counters>> {
    match trail.is_on() {
        true => open_cgroup(host, state)?.map(|cgroup| cgroup.counters()).transpose(),
        false => Ok(None),
    }
}

/// Kills what is left in a container's cgroup and removes it, and its resctrl groups.
///
/// # Errors
/// cgroup.kill, rmdir(2).
pub fn remove_cgroup(host: &Host, state: &State) -> Result<()> {
    let ended = || match open_cgroup(host, state)? {
        Some(cgroup) => cgroup.kill().and_then(|()| cgroup.remove()),
        None => Ok(()),
    };
    each(&mut [&mut || rdt::remove(state), &mut || ended().and_then(|()| end_unit(state.unit.as_ref()))])
}

/// Does all of it, whatever becomes of the one before: what cannot be removed keeps nothing else.
///
/// # Errors
/// The first of theirs.
pub fn each(steps: &mut [&mut dyn FnMut() -> Result<()>]) -> Result<()> {
    let mut first = Ok(());
    for step in steps {
        let done = step();
        first = first.and(done);
    }
    first
}

/// Has systemd forget a container's unit, whose processes are dead.
///
/// # Errors
/// systemd cannot stop it.
pub fn end_unit(unit: Option<&Unit>) -> Result<()> {
    let Some(unit) = unit else { return Ok(()) };
    match Systemd::connect(unit.instance()) {
        Ok(mut systemd) => systemd.stop(unit),
        // A user's systemd ends with the session, and its units with it.
        Err(error) => {
            crate::error::warn(format_args!("{}: systemd could not be told of the end: {error}", unit.name));
            Ok(())
        }
    }
}

/// The container's cgroup; `None` when it has none or it is gone.
///
/// # Errors
/// A record that names no cgroup path.
pub fn open_cgroup(host: &Host, state: &State) -> Result<Option<Cgroup>> {
    match state.cgroup.is_empty() {
        true => Ok(None),
        false => Cgroup::open(&host.hierarchies, &CgroupPath::parse(&state.cgroup)?),
    }
}

/// The status with what the container's cgroup says: whether it is paused.
///
/// # Errors
/// proc_pid_stat(5) or the cgroup cannot be read.
pub fn status(host: &Host, state: &State) -> Result<Status> {
    let status = Status::observe(state)?;
    // Only what lives can be frozen.
    match status {
        Status::Created | Status::Running => {}
        _ => return Ok(status),
    }
    let frozen = match open_cgroup(host, state)? {
        Some(cgroup) => cgroup.is_frozen()?,
        None => false,
    };
    Ok(status.with_freezer(frozen))
}

/// The first child of a process: the program beside a sandbox's init. `None` where the
/// kernel keeps no such list or it has ended.
///
/// # Errors
/// proc_pid_stat(5) cannot be read.
pub fn first_child(pid: i32) -> Result<Option<Process>> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    match list.split_whitespace().next().and_then(|word| word.parse().ok()) {
        Some(child) => Process::of(child),
        None => Ok(None),
    }
}

/// An id for a launch without a name.
///
/// # Errors
/// getrandom(2).
pub fn random_id() -> Result<String> {
    let mut bytes = [0_u8; 8];
    sys::random::fill(&mut bytes).call("getrandom")?;
    Ok(format!("sandbox-{}", hex(bytes)))
}

/// The process that started pinfold, held by a pidfd: a launch ends with it. `None` where
/// it cannot be seen (another pid namespace) or never ends (pid 1).
///
/// # Errors
/// It is gone already.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_removed_keeps_nothing_else() {
        let done = Cell::new(0);
        let fails = |name: &'static str| {
            done.set(done.get() + 1);
            Err(Error::setup(name))
        };
        let mut again = || {
            done.set(done.get() + 1);
            Ok(())
        };
        let told = each(&mut [&mut || fails("group"), &mut again]);
        assert_eq!((told.unwrap_err().to_string().as_str(), done.get()), ("group", 2));
        assert!(each(&mut [&mut || Ok(()), &mut || Ok(())]).is_ok());
        each(&mut [&mut || Ok(()), &mut || Err(Error::setup("cgroup"))]).unwrap_err();
    }
}
