//! `kill`: a signal to the container's first process, by pidfd; SIGKILL is for all of a container.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::entry;
use super::host::Host;
use super::trail::{Need, Trail};
use super::{bundle, matching};
use crate::cgroup::{Cgroup, Mode};
use crate::cli::{Global, KillArgs};
use crate::error::{Call, Error, ExitCode, Result};
use crate::state::{Action, ContainerDir, ContainerKind, Process, State, StateRoot, Status};
use crate::sys;

/// Sends the signal.
///
/// # Errors
/// The container is not running.
pub fn run(global: &Global, args: &KillArgs) -> Result<ExitCode> {
    let Some(id) = &args.id else {
        return super::kill_all::run(global, args.profile.as_deref());
    };
    let root = entry::open_root(global)?;
    let ids = matching::ids(&root, id, args.regex)?;
    matching::each(&ids, args.regex, |id| {
        let mut trail = Trail::of_host("kill", id);
        trail.asks("changes", serde_json::json!({"signal": args.signal.number(), "all": args.all}));
        trail.intent(None, Need::Never)?;
        trail.end(signal(&root, id, args))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn signal(root: &StateRoot, id: &str, args: &KillArgs) -> Result<()> {
    let dir = root.open_container(id)?;
    let state = dir.load()?;
    let signal = i32::from(args.signal.number());
    if args.all {
        return everyone(&state, signal);
    }
    let status = Status::observe(&state)?;
    if signal == libc::SIGKILL
        && shares_pids(&dir, &state, status)
        && let Some(cgroup) = entry::open_cgroup(&Host::read()?, &state)?
    {
        return everything(&state, &cgroup);
    }
    status.may(Action::Kill, dir.id())?;
    // pid 1 of a sandbox is pinfold's init; a signal is for the program beside it.
    let target = match signal {
        libc::SIGKILL => state.init,
        _ => state.program.or(state.init),
    };
    send(target.ok_or_else(not_running)?, signal)?;
    match signal {
        libc::SIGKILL => thaw_legacy(&state),
        _ => Ok(()),
    }
}

/// Whether others of it may outlive its first process: no pid namespace was made for it, with which the kernel would
/// end all (pid_namespaces(7)). A configuration that cannot be read any more keeps nobody from ending what lives.
fn shares_pids(dir: &ContainerDir, state: &State, status: Status) -> bool {
    use oci_spec::runtime::LinuxNamespaceType::Pid;
    if state.kind == ContainerKind::Sandbox || status == Status::Creating {
        return false;
    }
    let Ok((spec, _)) = dir.load_config().and_then(|text| bundle::parse(&text)) else {
        return status != Status::Stopped;
    };
    let linux = spec.linux().as_ref();
    let mut namespaces = linux.and_then(|linux| linux.namespaces().as_ref()).into_iter().flatten();
    !namespaces
        .any(|one| one.typ() == Pid && one.path().as_ref().is_none_or(|path| path.as_os_str().is_empty()))
}

/// Its first process, whatever cgroup that is in now, and all that its own cgroup holds, also when that process is
/// gone (runc): where pids are shared, the others do not end with it.
fn everything(state: &State, cgroup: &Cgroup) -> Result<()> {
    match state.init.map_or(Ok(()), |init| send(init, libc::SIGKILL)) {
        Err(error) if error.errno().is_some() => return Err(error),
        // It has ended.
        _ => {}
    }
    cgroup.kill()
}

/// Where only v1 has a freezer, a process that it holds dies when it is thawed; elsewhere it
/// dies frozen (cgroups(7), "cgroup.freeze").
fn thaw_legacy(state: &State) -> Result<()> {
    let host = Host::read()?;
    match entry::open_cgroup(&host, state)? {
        Some(cgroup) if host.hierarchies.mode() == Mode::Legacy => cgroup.thaw(),
        _ => Ok(()),
    }
}

fn not_running() -> Error {
    Error::usage("container not running")
}

/// The pidfd is opened first and the process recognised afterwards: a number that was
/// given to another process meanwhile is never hit (pidfd_open(2)).
pub fn send(process: Process, signal: i32) -> Result<()> {
    let pidfd = match sys::pidfd::pidfd_open(Pid::from_raw(process.pid)) {
        Err(Errno::ESRCH) => return Err(not_running()),
        other => other.call("pidfd_open")?,
    };
    if !process.lives()? {
        return Err(not_running());
    }
    match sys::pidfd::pidfd_send_signal(pidfd.as_fd(), signal) {
        Err(Errno::ESRCH) => Err(not_running()),
        other => other.call("pidfd_send_signal"),
    }
}

/// Every process of the container's cgroup.
fn everyone(state: &State, signal: i32) -> Result<()> {
    let host = Host::read()?;
    let Some(cgroup) = entry::open_cgroup(&host, state)? else { return Err(not_running()) };
    if signal == libc::SIGKILL {
        return cgroup.kill();
    }
    for pid in cgroup.processes()? {
        let Some(process) = Process::of(pid.as_raw())? else { continue };
        match send(process, signal) {
            Err(error) if error.errno().is_some() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
