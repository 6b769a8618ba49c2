//! `run`: create, start, wait and delete in one.

use std::os::fd::OwnedFd;

use super::container::{self, Container, Life};
use super::ending::{OciEnding, counters};
use super::host::Host;
use super::trail::Peaks;
use super::{entry, hooks, preserved, protect, rdt};
use crate::cli::{Global, LaunchArgs, RunArgs};
use crate::error::{ExitCode, Result};
use crate::launch::{self, HookPlace};
use crate::state::Phase;
use crate::timing;

/// Runs a container.
///
/// # Errors
/// As [`container::make`]; the program cannot be executed.
pub fn run(global: &Global, args: &RunArgs) -> Result<ExitCode> {
    protect::own_binary()?;
    preserved::check(preserved::count(args.launch.preserve_fds)?)?;
    let host = Host::read()?;
    match args.detach {
        true => detached(global, args, &host),
        false => foreground(global, args, &host),
    }
}

fn detached(global: &Global, args: &RunArgs, host: &Host) -> Result<ExitCode> {
    let mut container = container::make(global, &args.launch, host, Life::Detached)?;
    let executed = container.child.await_exec(&container.plan);
    container.gate.started();
    let told = executed.and_then(|()| container::tell_caller(&args.launch, &container.child));
    match told.and_then(|()| mark_started(&container)) {
        Ok(()) => {
            container.child.release();
            container.entry.let_go();
            container.trail.detached(container.child.pid);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            container.trail.failed(&error);
            let mut ending = remove(container)?;
            Err(ending.failed(error))
        }
    }
}

fn foreground(global: &Global, args: &RunArgs, host: &Host) -> Result<ExitCode> {
    let signals = launch::signals()?;
    let caller = container::caller()?;
    let mut container = container::make(global, &args.launch, host, Life::Foreground)?;
    let ran = match supervise(&args.launch, &mut container, &signals, caller) {
        Ok(code) => Ok(code),
        Err(error) => {
            container.trail.failed(&error);
            Err(container.ending.failed(error))
        }
    };
    match args.keep {
        // From here it lives until `delete`.
        true => container.entry.update(|state| {
            state.ephemeral = false;
            Ok(())
        })?,
        false => drop(remove(container)?),
    }
    ran
}

fn supervise(
    args: &LaunchArgs,
    container: &mut Container,
    signals: &OwnedFd,
    caller: Option<OwnedFd>,
) -> Result<ExitCode> {
    container.child.await_exec(&container.plan)?;
    container.gate.started();
    container::tell_caller(args, &container.child)?;
    mark_started(container)?;
    timing::ended("state");
    let ending = container.ending.foreground(caller);
    let cgroup = container.cgroup.as_ref();
    let ended = launch::supervise(&container.plan, &container.child, cgroup, signals, ending)?;
    timing::ended("program");
    let after = counters(cgroup)?;
    container.trail.ran(&container.ending.outcome(&ended, &after), &Peaks::measured(&ended, &after));
    container.ending.ended(&ended, after)
}

/// It runs, and its poststart hooks have.
fn mark_started(container: &Container) -> Result<()> {
    container.entry.update(|state| {
        state.phase = Phase::Started;
        Ok(())
    })?;
    let place = HookPlace { cwd: None, interrupts: Some(container.child.interrupts()) };
    hooks::poststart(&container.hooks, &container.entry.state()?, &place)
}

/// What `delete` does, for a container that this process made.
fn remove(mut container: Container) -> Result<OciEnding> {
    let state = container.entry.state()?;
    let unmade = rdt::remove(&state);
    // What dies of a kill -9 now has the rest killed by the watcher.
    let watcher = container.child.take_watcher();
    drop(container.child);
    if let Some(cgroup) = &container.cgroup {
        cgroup.kill()?;
        cgroup.remove()?;
    }
    timing::ended("cgroup removed");
    drop(watcher);
    entry::end_unit(state.unit.as_ref())?;
    unmade?;
    container.entry.remove()?;
    hooks::poststop(&container.hooks, &state)?;
    Ok(container.ending)
}
