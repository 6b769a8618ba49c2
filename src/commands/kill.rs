//! `kill`: a signal to the container's first process, by pidfd.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::entry;
use super::host::Host;
use crate::cli::{Global, KillArgs};
use crate::error::{Call, Error, ExitCode, Result};
use crate::state::{Action, Process, State, Status};
use crate::sys;

/// Sends the signal.
///
/// # Errors
/// The container is not running.
pub fn run(global: &Global, args: &KillArgs) -> Result<ExitCode> {
    let root = entry::open_root(global)?;
    let dir = root.open_container(&args.id.to_string())?;
    let state = dir.load()?;
    let signal = i32::from(args.signal.number());
    if args.all {
        return everyone(&state, signal);
    }
    Status::observe(&state)?.may(Action::Kill, dir.id())?;
    // pid 1 of a sandbox is pinfold's init; a signal is for the program beside it.
    let target = match signal {
        libc::SIGKILL => state.init,
        _ => state.program.or(state.init),
    };
    send(target.ok_or_else(not_running)?, signal)?;
    Ok(ExitCode::SUCCESS)
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
fn everyone(state: &State, signal: i32) -> Result<ExitCode> {
    let host = Host::read()?;
    let Some(cgroup) = entry::open_cgroup(&host, state)? else { return Err(not_running()) };
    if signal == libc::SIGKILL {
        cgroup.kill()?;
        return Ok(ExitCode::SUCCESS);
    }
    for pid in cgroup.processes()? {
        let Some(process) = Process::of(pid.as_raw())? else { continue };
        match send(process, signal) {
            Err(error) if error.errno().is_some() => return Err(error),
            _ => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}
